"""GPU and cores of this machine, and trainings that run elsewhere."""

import pytest

from stagewise.errors import InputError
from stagewise.models.gpus import Gpu
from stagewise.models.machine import Memory
from stagewise.pipeline.preflight import machine, memory

SENTENCE = "GPU: CUDA_VISIBLE_DEVICES=0, and torch cannot use it"


@pytest.fixture
def one_gpu(monkeypatch):
    monkeypatch.setattr(machine, "expected_gpu", lambda: "CUDA_VISIBLE_DEVICES=0")


def test_a_gpu_that_torch_cannot_use_fails(tiny_experiment, one_gpu, monkeypatch):
    """Training would go on on the CPU, for days."""

    def refuse():
        raise InputError(SENTENCE)

    monkeypatch.setattr(machine, "check_gpu_apart", refuse)
    assert tiny_experiment.problems() == [("failure", SENTENCE)]
    assert tiny_experiment.problems(elsewhere=True) == []


def test_a_gpu_that_torch_can_use_is_named(tiny_experiment, one_gpu, monkeypatch):
    monkeypatch.setattr(machine, "check_gpu_apart", lambda: "NVIDIA A100, compute capability 8.0")
    assert [f.found for f in tiny_experiment.findings() if f.check == "GPU"] == ["NVIDIA A100, compute capability 8.0"]
    monkeypatch.setattr(machine, "expected_gpu", lambda: "")
    assert [f.found for f in tiny_experiment.findings() if f.check == "GPU"] == ["none: trainings use the CPU"]


def test_the_memory_that_counts_is_that_of_the_fullest_gpu(tiny_experiment, monkeypatch):
    """A job takes any of them."""
    sizes = [Memory(40 * 2**30, 30 * 2**30), Memory(80 * 2**30, 2**30)]
    gpus = [Gpu(f"GPU-{i}", i, "NVIDIA A100", (8, 0), size) for i, size in enumerate(sizes)]
    monkeypatch.setattr(memory, "visible_gpus", lambda: gpus)
    (row,) = [f.found for f in tiny_experiment.findings() if f.check == "memory"]
    assert row.endswith("1.1 GB free")


def test_more_threads_than_cores_are_a_warning(tiny_experiment, monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "warning" and "OMP_NUM_THREADS is 64" in sentence
