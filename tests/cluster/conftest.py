"""A Slurm cluster for the tests' duration, and the tiny experiment in two copies."""

import os

import pytest

from tests.cluster.slurm import Cluster
from tests.workflow.conftest import workspace  # noqa: F401

# Settings of a site. Each adapter has a job of its own, so that each accident happens to one. Job states are read after
# one second, not 40, and then every ten seconds.
SITE = {
    "default-resources": {"slurm_partition": "batch"},
    "slurm-no-account": True,
    "group-components": ["siblings=1"],
    "slurm-init-seconds-before-status-checks": 1,
    "latency-wait": 10,
}
# The last bits of a sum depend on the number of threads, so both runs get the same.
THREADS = ("--set-threads", "train_adapter=1", "predict=1")


@pytest.fixture
def cluster(tmp_path):
    if os.geteuid():
        pytest.fail("the cluster test starts Slurm's daemons, so it must run as root")
    cluster = Cluster(tmp_path / "slurm")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
