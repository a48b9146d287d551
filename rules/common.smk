"""What the phases share: the validated configuration, the lineage tree and where things lie."""

import json
import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(workflow.basedir))

from forgetting import plan, sources
from forgetting.config import SPLITS, check
from forgetting.errors import InputError

try:
    CONFIG = check(config, workflow.configfiles)
    ADAPTERS = plan.adapters(CONFIG)
except InputError as error:
    # One sentence is enough: a traceback would bury it.
    sys.exit(f"error: {error}")

R = CONFIG.results
MODEL = f"models/{CONFIG.model}"
LINEAGE = rf"{plan.BASE}(/[^/]+)*"


def settings(part) -> str:
    """A step's settings as JSON: the step reruns when these change, and only then."""
    return part.model_dump_json(exclude_defaults=True, exclude={"mirror"})


def split_files(split_names=SPLITS) -> list[str]:
    return [f"{R}/data/{task}/{split}.jsonl" for task in CONFIG.active_tasks for split in split_names]


# Neither changes a byte of any result, so neither is a parameter that would make a job run again.
MIRROR = ["--mirror", CONFIG.mirror] if CONFIG.mirror else []
LOGGING = ["--log-steps", str(CONFIG.logging.steps), "--report-to", *CONFIG.logging.report_to]
