"""Snakemake takes the plan's times for those of the files."""

import io
import os
import pickle

import pytest
import snakemake.io

from stagewise.pipeline import planned_times
from stagewise.pipeline.planned_times import PlannedTimes, plan_times


@pytest.fixture(autouse=True)
def no_times(monkeypatch):
    monkeypatch.setattr(planned_times, "_TIMES", {})
    monkeypatch.setattr(snakemake.io, "IOCache", snakemake.io.IOCache)


def test_a_new_memory_knows_the_times_of_the_plan(tmp_path):
    path = tmp_path / "x"
    plan_times({path: 5 * 10**9})
    memory = snakemake.io.IOCache(1)
    assert memory.mtime[str(path)].local(follow_symlinks=True) == 5
    with open(tmp_path / "memory", "wb") as handle:
        memory.save(handle)
    assert pickle.loads((tmp_path / "memory").read_bytes()).mtime[str(path)].local() == 5


def test_a_full_disk_loses_the_memory_and_nothing_else():
    class Full(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            raise OSError(28, os.strerror(28))

    with io.BufferedWriter(Full()) as handle:
        PlannedTimes(1).save(handle)
