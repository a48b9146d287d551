"""A Slurm cluster for the tests' duration, and the tiny experiment in two copies."""

import os

import pytest

from tests.cluster.slurm import Cluster
from tests.workflow.conftest import workspace  # noqa: F401


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
