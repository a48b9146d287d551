"""GPU and cores of this machine, and trainings that run elsewhere."""

import pytest

from stagewise.models import gpu
from stagewise.pipeline.preflight import machine


@pytest.fixture
def one_gpu(monkeypatch):
    for module in (machine, gpu):
        monkeypatch.setattr(module, "accessible_gpus", lambda: 1)


def test_a_gpu_that_a_cpu_build_cannot_use_is_a_warning(tiny_experiment, one_gpu, monkeypatch):
    monkeypatch.setattr(machine, "torch_uses_cuda", lambda: False)
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "warning" and "the installed torch is a CPU build" in sentence


def test_a_gpu_that_a_cuda_build_cannot_use_fails(tiny_experiment, one_gpu, monkeypatch):
    """Training would go on on the CPU, for days."""
    import torch

    for module in (machine, gpu):
        monkeypatch.setattr(module, "torch_uses_cuda", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and "set CUDA_VISIBLE_DEVICES= (empty) to compute on the CPU" in sentence
    assert tiny_experiment.problems(elsewhere=True) == []


def test_more_threads_than_cores_are_a_warning(tiny_experiment, monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "warning" and "OMP_NUM_THREADS is 64" in sentence
