"""Shared by all phases: the validated configuration, the lineage tree, and functions of wildcards.

CONFIG     the experiment, its compute type resolved    R      its results folder
ADAPTERS   every adapter by lineage
UNTUNED    base models' names by lineage
"""

import os
import sys
from functools import partial
from os.path import dirname
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, str(workflow.basedir))

import stagewise
from stagewise.config.inheritance import DEFAULT_FILE, describe_inheritance
from stagewise.config.load_config import load
from stagewise.config.mirror import MIRROR_VARIABLE
from stagewise.config.tasks import SPLITS
from stagewise.data.probe_texts import fetched_texts
from stagewise.data.raw_files import RAW, raw_path
from stagewise.errors import InputError, one_line, refusal
from stagewise.config.arms import ADOPTED, TUNED
from stagewise.lineage import BASE, LINEAGES, MERGED, data_folder, data_folders, lineage_tree, untuned_lineages
from stagewise.models.compute_type import experiment_compute_type
from stagewise.models.gpus import DEVICE_VARIABLE, JOBS_VARIABLE, jobs_per_gpu, visible_gpus
from stagewise.models.machine import memory
from stagewise.pipeline import settings_files
from stagewise.pipeline.archive import check_archive
from stagewise.pipeline.build_recipe import recipe_settings
from stagewise.pipeline.failures import failed_steps
from stagewise.pipeline.orphans import planned_steps
from stagewise.pipeline.preflight.early import check_at_start
from stagewise.pipeline.resolve_revisions import load_with_commits
from stagewise.pipeline.run_log import keep_logs_shareable
from stagewise.pipeline.siblings import siblings_file, write_siblings
from stagewise.pipeline.splits_inputs import splits_files
from stagewise.pipeline.success import success_lines
from stagewise.pipeline.threads import threads_per_job
from stagewise.probes.fingerprint import probe_files
from stagewise.provenance import container_image

keep_logs_shareable(logger)

MODULE_PATH = "PYTHONPATH"

PROJECT = Path(stagewise.__file__).parents[1]
if PROJECT != Path.cwd():
    # Steps run the modules of `scripts` in the working directory, which -s, --directory and `module` move elsewhere.
    os.environ[MODULE_PATH] = os.pathsep.join(filter(None, [os.environ.get(MODULE_PATH), str(PROJECT)]))

COMPUTE_TYPE = "STAGEWISE_COMPUTE_TYPE"

SIBLINGS = "siblings"

CONFIG_FILE = DEFAULT_FILE

try:
    # Not Snakemake's `config`: it holds texts where `--config` says null, numbers or lists.
    given = workflow.config_settings
    files = [] if given.replace_workflow_config and given.configfiles else [CONFIG_FILE]
    # Once the process that plans has seen to it that every commit is known, its jobs read sources.lock alone.
    read = partial(load_with_commits, save=not workflow.output_settings.dryrun) if workflow.is_main_process else load
    DECLARED = read(*files, *given.configfiles, arguments=given.config_args or ())
    CONFIG = DECLARED
    if DECLARED.dtype == "auto":
        # Decided once, by the process that plans; its jobs, maybe on other machines, inherit the decision.
        if workflow.is_main_process:
            os.environ[COMPUTE_TYPE] = experiment_compute_type(
                DECLARED,
                DECLARED.results,
                gpu_jobs="gpu" in workflow.resource_settings.overwrite_resources.get("train_adapter", ()),
            )
            print(f"dtype: auto is {os.environ[COMPUTE_TYPE]} in this experiment", file=sys.stderr)
        workflow.register_envvars(COMPUTE_TYPE)
        CONFIG = DECLARED.model_copy(update={"dtype": os.environ[COMPUTE_TYPE]})
    ADAPTERS, UNTUNED = lineage_tree(CONFIG), untuned_lineages(CONFIG)
    # Of this machine; a job locks the one that it takes (stagewise/models/gpu_lock.py).
    GPUS = visible_gpus()
    GPU_JOBS = len(GPUS) * jobs_per_gpu()
    workflow.register_envvars(*({DEVICE_VARIABLE, JOBS_VARIABLE} & os.environ.keys()))
    if workflow.is_main_process:
        check_archive(sys.argv[1:])
        if GPUS:
            print(f"GPU: {len(GPUS)} here, for {GPU_JOBS} trainings and predictions at a time", file=sys.stderr)
    # A run in a container image takes only what was made in that very image.
    IN_CONTAINER = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
    IMAGE_SHA256 = container_image.checksum(CONTAINER) if IN_CONTAINER else None
except InputError as error:
    # One sentence is enough: a traceback would bury it.
    sys.exit(f"error: {one_line(error)}")

if workflow.is_main_process:
    for line in describe_inheritance([*files, *given.configfiles], CONFIG.unused_tasks):
        print(line, file=sys.stderr)

DRY_RUN = bool(workflow.output_settings.dryrun)
IMAGE = ["--image", IMAGE_SHA256] if IMAGE_SHA256 else []
R = CONFIG.results
# Where files come from changes no result, so it is no parameter of a step.
if CONFIG.mirror:
    os.environ[MIRROR_VARIABLE] = CONFIG.mirror

# Input of steps that have no other, so that they can be told to run again (rules/current.smk).
DEFINITION = os.path.relpath(workflow.main_snakefile)
TASKS = list(CONFIG.active_tasks)
SCORED = CONFIG.evaluation.splits
# Adapters from elsewhere by their folders' names.
ADOPTED_ADAPTERS = {adapter.adopted.folder: adapter.adopted for adapter in ADAPTERS.values() if adapter.adopted}
DATA = data_folders(CONFIG)
# Trainings and predictions wait for it (rules/preflight.smk) and are not made from it.
PREFLIGHT = f"{R}/preflight.json"
WAITING_FOR_PREFLIGHT = set()  # outputs; rules/current.smk fills it once it is known what this run makes


wildcard_constraints:
    data=r"data(/fold-\d+)?",
    model="[^/]+",
    adopted="[^/]+",
    lineage=LINEAGES,


def write_settings(settings) -> str:
    """Write a step's settings to a file and return its path."""
    try:
        return settings_files.write_settings(settings, DRY_RUN)
    except InputError as error:
        sys.exit(f"error: {error}")


def fold_number(data) -> int | None:
    """Fold of a folder of splits: 3 for data/fold-3, None for data."""
    return int(data.rpartition("-")[2]) if "fold-" in data else None


def adapter_of(wildcards):
    """The adapter of a lineage."""
    planning = workflow.is_main_process and workflow.dag_settings  # not set while the rules are checked
    if planning and workflow.dag_settings.max_checksum_file_size > 0:
        # They belong to a run that Snakemake saw, not to the files that are there (rules/current.smk).
        sys.exit("error: without its profile Snakemake trusts old checksums; add --max-checksum-file-size 0")
    return ADAPTERS[wildcards.lineage]


def base_model(wildcards) -> str:
    """Name of a lineage's base model."""
    adapter = ADAPTERS.get(wildcards.lineage)
    return UNTUNED[adapter.base if adapter else wildcards.lineage]


def model_receipt(wildcards) -> str:
    """Receipt of a lineage's base model."""
    return f"models/{base_model(wildcards)}/receipt.json"


def data_of(wildcards) -> str:
    """Folder of the splits that a lineage belongs to; a base model's is the first fold's."""
    return f"{R}/{ADAPTERS[wildcards.lineage].data if wildcards.lineage in ADAPTERS else DATA[0]}"


def learning_splits(wildcards) -> list[str]:
    """Training and validation items of every task of a lineage."""
    return [
        f"{data_of(wildcards)}/{task}/{split}.jsonl"
        for task in adapter_of(wildcards).learnt_tasks
        for split in SPLITS[:2]
    ]


def learning_prompts(wildcards) -> list[str]:
    """Prompts of every task of a lineage."""
    return [CONFIG.active_tasks[task].prompt for task in adapter_of(wildcards).learnt_tasks]


def parent_files(file):
    """A file of every adapter that a lineage's is made from."""
    return lambda wildcards: [f"{R}/{parent}/{file}" for parent in adapter_of(wildcards).parents]


def taken_from(wildcards) -> list[str]:
    """Receipt of what a lineage's stage takes from elsewhere; none if it is trained or merged."""
    adapter = adapter_of(wildcards)
    if adapter.adopted:
        return [f"adapters/{adapter.adopted.folder}/receipt.json"]
    return tuned_model(wildcards)


def tuned_model(wildcards) -> list[str]:
    """Receipt of the fully fine-tuned model in a lineage's place; none for base models and for adapters."""
    adapter = ADAPTERS.get(wildcards.lineage)
    return [f"models/{adapter.tuned_model}/receipt.json"] if adapter and adapter.tuned_model else []


def adapter_receipt(wildcards) -> list[str]:
    """Receipt of a lineage's adapter; none for a base model."""
    return [] if wildcards.lineage in UNTUNED else [f"{R}/{wildcards.lineage}/adapter/receipt.json"]


def last_layers(wildcards) -> list:
    """Number of adapted layers of a lineage, if not all are: the others' output is kept; a base model's is the same."""
    of_base = [adapter for adapter in ADAPTERS.values() if adapter.base == wildcards.lineage != BASE]
    number = (ADAPTERS.get(wildcards.lineage) or next(iter(of_base), CONFIG.lora)).last_layers
    return ["--last-layers", number] if number else []


def gpus_of(rule):
    """Number of GPUs of a rule's jobs: one a process if this machine runs them and has any, else as profiles say."""

    def count(wildcards):
        resources = workflow.get_rule(rule).resources
        if workflow.local_exec:
            return min(1, GPU_JOBS) * (resources["processes"].value if "processes" in resources else 1)
        default = workflow.resource_settings._parsed_default_resources.get("gpu")
        return default and default.value

    return count


if not workflow.is_main_process and GPUS and "gpu" not in workflow.global_resources:
    # A cluster's job that has several steps to do.
    workflow.register_resource("gpu", GPU_JOBS)


def limit_gpus() -> None:
    """Let jobs on this machine take as many GPUs in all as there are, unless the user says how many."""
    if workflow.local_exec and GPUS and "gpu" not in workflow.global_resources:
        # What `workflow.register_resource` does, which is too late for a run, and earlier the executor is not known.
        for resources in (workflow.scheduler.global_resources, workflow.scheduler.resources):
            resources["gpu"] = GPU_JOBS


def one_job(wildcards):
    """Group of jobs that a cluster runs as one, if its profile has the key `group-components: SIBLINGS=N`.

    An adapter's training and predictions are in one group, and up to N adapters of one parent. First stages have the
    base model alone in common, and merged adapters may wait for others' children, so each is in a group of its own.
    """
    together = workflow.group_settings.group_components.get(SIBLINGS)
    if not together or wildcards.lineage in UNTUNED:
        return None
    adapter = adapter_of(wildcards)
    if together == 1 or adapter.training is None or adapter.parent is None:
        return "_".join(["adapter", *Path(wildcards.lineage).parts])
    group = "_".join([SIBLINGS, "of", *Path(adapter.parent).parts])
    workflow.parent_groupids[group] = SIBLINGS  # as for a group whose name has wildcards in it
    return group


def threads_of(wildcards) -> int:
    """Threads of a training or prediction, at most: --cores and the profile bring them down."""
    cores = workflow.resource_settings.cores
    return threads_per_job(ADAPTERS, wildcards.lineage, CONFIG.models[base_model(wildcards)], cores, memory(), GPU_JOBS)


def time_limit(wildcards, resources) -> list:
    """Minutes that a training may take, if a profile says so: it stops at a checkpoint before they are over."""
    return ["--time-limit", minutes] if (minutes := resources.get("runtime")) else []


def preflight_before(file):
    """Record of the preflight, for jobs that make this file of a lineage in this run."""
    return lambda wildcards: ([PREFLIGHT] if Path(f"{R}/{wildcards.lineage}/{file}") in WAITING_FOR_PREFLIGHT else [])


def planned_rules() -> list[str]:
    """Rule of each job of this run."""
    return [job.rule.name for job in workflow.dag.needrun_jobs(exclude_finished=False)]


def siblings(wildcards, resources) -> list:
    """Let a training go on with others from the same parent, up to the number of its resources."""
    path = siblings_file(R, adapter_of(wildcards))
    return ["--siblings", path, "--trainings", resources.trainings] if resources.trainings > 1 else []


def scoring(wildcards, resources) -> list:
    """Let the process that makes an adapter score it, unless its resources say no."""
    if not resources.scores:
        return []
    texts = ["--score-texts", write_settings(CONFIG.probe_settings())] if CONFIG.probes.active_texts else []
    return ["--score", write_settings(CONFIG.scoring_settings()), *texts]


def claim_folders() -> None:
    """Take the claims of this run and see to what a killed one left (onstart in the Snakefile)."""
    if not workflow.is_main_process:
        return
    try:
        RUN.begin(
            lambda: planned_steps(workflow.dag),
            # The Slurm executor's name for all its jobs.
            slurm_run=getattr(workflow.scheduler._executor, "run_uuid", None),
            started_elsewhere=workflow.overwrite_workdir is not None,
        )
        trained = [job for job in workflow.dag.needrun_jobs(exclude_finished=False) if job.rule.name == "train_adapter"]
        write_siblings(R, map(adapter_of, [job.wildcards for job in trained]))
    except (InputError, OSError) as error:
        if refusal(error) is None:
            raise
        sys.exit(f"error: {one_line(refusal(error))}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted while it waited; nothing was changed, give the same command again")


def check_early() -> None:
    """Check what is known before files are fetched and splits made (rules/preflight.smk has the full check)."""
    if not workflow.is_main_process or workflow.touch:
        return
    # In a container it is another torch that uses the GPU, so the check there counts.
    if not check_at_start(CONFIG, planned_rules(), elsewhere=IN_CONTAINER or not workflow.local_exec):
        raise WorkflowError("preflight found what stops this run; nothing was fetched or trained")
