"""A Slurm cluster for the tests' duration, and the tiny experiment in two copies."""

import os

import pytest

from tests.cluster.slurm import Cluster
from tests.workflow.conftest import workspace  # noqa: F401

# What a site adds; and the first look at a job's state comes after a second, not 40, the later ones ten seconds apart.
SITE = {
    "default-resources": {"slurm_partition": "batch"},
    "slurm-no-account": True,
    "slurm-init-seconds-before-status-checks": 1,
    "latency-wait": 10,
}
# The number of threads decides the last bits of a sum, so both runs get the same.
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
