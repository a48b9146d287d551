"""Threads of a job: the cores are shared among the jobs of one stage."""

import pytest

from stagewise.config.load_config import load
from stagewise.lineage import BASE, lineage_tree
from stagewise.models.machine import Memory
from stagewise.pipeline.threads import threads_per_job
from tests.helpers.project_copy import ROOT

CONFIG = load(ROOT / "config.yaml")
ADAPTERS = lineage_tree(CONFIG)  # one first stage, two second ones
FIRST, SECOND = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
PLENTY = Memory(64 * 10**9, 10**9)
HUB = CONFIG.models[CONFIG.model].model_validate({"hub": "owner/name", "revision": "0" * 40})


@pytest.mark.parametrize(
    ("lineage", "cores", "threads"),
    [(BASE, 2, 8), (FIRST, 2, 2), (SECOND, 2, 1), (SECOND, 1, 1), (SECOND, 6, 3), (FIRST, 16, 8), (SECOND, 40, 8)],
)
def test_adapters_of_one_stage_share_the_cores(lineage, cores, threads):
    assert threads_per_job(ADAPTERS, lineage, CONFIG.models[CONFIG.model], cores, PLENTY, gpu_jobs=0) == threads


@pytest.mark.parametrize(
    ("model", "cores", "memory", "gpu_jobs", "threads"),
    [
        (CONFIG.models[CONFIG.model], 4, Memory(7 * 10**9, None), 0, 4),  # no room for two
        (CONFIG.models[CONFIG.model], 4, Memory(None, None), 0, 2),
        (HUB, 4, PLENTY, 0, 8),  # perhaps too large for two
        (CONFIG.models[CONFIG.model], None, PLENTY, 0, 8),  # another machine's cores
        (CONFIG.models[CONFIG.model], 16, PLENTY, 1, 4),
        (CONFIG.models[CONFIG.model], 16, PLENTY, 12, 1),  # or fewer than 12 would run at a time
        (CONFIG.models[CONFIG.model], None, PLENTY, 12, 4),
    ],
)
def test_a_job_that_may_have_no_other_beside_it_takes_what_there_is(model, cores, memory, gpu_jobs, threads):
    assert threads_per_job(ADAPTERS, SECOND, model, cores, memory, gpu_jobs) == threads
