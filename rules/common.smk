"""What the phases share: the validated configuration, the lineage tree and where things lie."""

import os
import sys
from os.path import dirname

sys.path.insert(0, str(workflow.basedir))

from forgetting import plan, sources
from forgetting.config import MIRROR_VARIABLE, SPLITS, check
from forgetting.errors import InputError

try:
    # Later files win, and Snakemake lists those of the command line first.
    CONFIG = check(config, sorted(workflow.configfiles, key=workflow.overwrite_configfiles.__contains__))
    ADAPTERS = plan.adapters(CONFIG)
except InputError as error:
    # One sentence is enough: a traceback would bury it.
    sys.exit(f"error: {error}")

R = CONFIG.results
# Where files come from changes no result, so it is no parameter that would make a step run again.
if CONFIG.mirror:
    os.environ[MIRROR_VARIABLE] = CONFIG.mirror

MODEL = f"models/{CONFIG.model}"
LINEAGE = rf"{plan.BASE}(/[^/]+)*"


def settings(part) -> str:
    """A step's settings as JSON: the step reruns when these change, and only then."""
    return part.model_dump_json(exclude_defaults=True, exclude={"mirror"})


def split_files(split_names=SPLITS) -> list[str]:
    return [f"{R}/data/{task}/{split}.jsonl" for task in CONFIG.active_tasks for split in split_names]


def adapter(wildcards):
    return ADAPTERS[wildcards.lineage]


def parent(wildcards, file) -> list[str]:
    lineage = adapter(wildcards).parent
    return [f"{R}/{lineage}/{file}"] if lineage else []
