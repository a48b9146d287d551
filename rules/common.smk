"""What the phases share: the validated configuration, the lineage tree and where things lie."""

import os
import sys
from os.path import dirname
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, str(workflow.basedir))

from stagewise.config.mirror import MIRROR_VARIABLE
from stagewise.config.load_config import check
from stagewise.config.tasks import SPLITS
from stagewise.data import raw_files
from stagewise.errors import InputError
from stagewise.lineage import BASE, MERGED, data_folder, data_folders, lineage_tree
from stagewise.models.compute_type import experiment_compute_type
from stagewise.pipeline import artifacts, freshness, origins
from stagewise.pipeline.build_recipe import recipe_settings
from stagewise.provenance import container_image

COMPUTE_TYPE = "STAGEWISE_COMPUTE_TYPE"

try:
    # Later files win, and Snakemake lists those of the command line first.
    DECLARED = check(config, sorted(workflow.configfiles, key=workflow.overwrite_configfiles.__contains__))
    CONFIG = DECLARED
    if DECLARED.dtype == "auto":
        # Decided once, by the process that plans; its jobs, maybe on other machines, inherit the decision.
        if workflow.is_main_process:
            os.environ[COMPUTE_TYPE] = experiment_compute_type(DECLARED, DECLARED.results)
            print(f"dtype: auto is {os.environ[COMPUTE_TYPE]} in this experiment", file=sys.stderr)
        workflow.register_envvars(COMPUTE_TYPE)
        CONFIG = DECLARED.model_copy(update={"dtype": os.environ[COMPUTE_TYPE]})
    ADAPTERS = lineage_tree(CONFIG)
    # Where the run uses a container image: a rebuilt one makes everything again.
    IN_CONTAINER = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
    IMAGE_CHECKSUM = container_image.checksum(CONTAINER) if IN_CONTAINER else None
except InputError as error:
    # One sentence is enough: a traceback would bury it.
    sys.exit(f"error: {error}")

IMAGE = ["--image", IMAGE_CHECKSUM] if IMAGE_CHECKSUM else []
R = CONFIG.results
# Where files come from changes no result, so it is no parameter that would make a step run again.
if CONFIG.mirror:
    os.environ[MIRROR_VARIABLE] = CONFIG.mirror

MODEL = f"models/{CONFIG.model}"
# What steps without any input have for one, so that they can be told to run again (see rules/current.smk).
DEFINITION = os.path.relpath(workflow.main_snakefile)
# An adapter's folder says whether it was trained or merged from others.
TRAINED = rf"{BASE}(/[^/]+)*/(?!{MERGED})[^/]+"
MERGED = rf"{BASE}(/[^/]+)*/{MERGED}[^/]+"
LINEAGE = rf"{BASE}(/[^/]+)*"


# A step's command is one argument, and Linux takes 128 KiB in one; the rest is for quotes and paths.
LONGEST_SETTINGS = 120_000


def settings(part) -> str:
    """A step's settings as JSON: the step reruns when these change, and only then."""
    text = part.model_dump_json(exclude_defaults=True, exclude={"mirror"})
    if (size := len(text.encode())) > LONGEST_SETTINGS:
        sys.exit(
            f"error: config: {size:,} bytes of settings, and a step can be given {LONGEST_SETTINGS:,}; "
            "spread the arms over several experiments"
        )
    return text


def split_files(folder, split_names=SPLITS) -> list[str]:
    return [f"{folder}/{task}/{split}.jsonl" for task in CONFIG.active_tasks for split in split_names]


def fold(data) -> int | None:
    """The fold of a folder of splits."""
    return int(data.rpartition("-")[2]) if "fold-" in data else None


def adapter(wildcards):
    if workflow.is_main_process and workflow.dag_settings.max_checksum_file_size > 0:
        # They belong to a run that Snakemake saw, not to the files that are there (see rules/current.smk).
        sys.exit("error: without its profile Snakemake trusts old checksums; add --max-checksum-file-size 0")
    return ADAPTERS[wildcards.lineage]


def data_of(wildcards) -> str:
    """The folder of the splits that a lineage belongs to; the base model's is the first fold's."""
    known = ADAPTERS.get(wildcards.lineage)
    return f"{R}/{known.data if known else data_folder(CONFIG.runs[0][0])}"


def learning_files(wildcards) -> list[str]:
    """Training and validation items of every task of a lineage."""
    return [
        f"{data_of(wildcards)}/{task}/{split}.jsonl" for task in adapter(wildcards).learnt_tasks for split in SPLITS[:2]
    ]


def parents(wildcards, file) -> list[str]:
    return [f"{R}/{lineage}/{file}" for lineage in adapter(wildcards).parents]
