"""A GPU that was asked for or is there, and that torch cannot use, is refused with the reason and both versions."""

import pytest
import torch

from stagewise.errors import InputError
from stagewise.models import gpu
from stagewise.models.gpus import Driver


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (["sm_70", "sm_80", "sm_90"], (8, 6), True),  # machine code of the same major version
        (["sm_75", "sm_80"], (7, 0), False),  # a V100 with a build from its successor on
        (["sm_80", "sm_90a"], (9, 0), True),
        (["sm_80"], (9, 0), False),
        (["sm_80", "compute_90"], (12, 0), True),  # intermediate code is compiled when it is loaded
        ([], (9, 0), True),
    ],
)
def test_a_build_runs_on_the_capabilities_it_has_code_for(architectures, capability, runs):
    assert gpu.supports(architectures, *capability) is runs


@pytest.fixture
def v100(monkeypatch):
    """A machine with a V100, a CUDA build of torch and a driver that is new enough."""
    monkeypatch.setenv("STAGEWISE_DEVICE", "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(gpu, "torch_uses_cuda", lambda: True)
    monkeypatch.setattr(gpu, "installed_driver", lambda: Driver("580.65.06", "13.0"))
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_70"])


def test_a_usable_gpu_is_named(v100):
    assert gpu.check_gpu() == "Tesla V100, compute capability 7.0"


def test_a_build_for_the_cpu_is_refused(v100, monkeypatch):
    monkeypatch.setattr(gpu, "torch_uses_cuda", lambda: False)
    with pytest.raises(InputError) as refusal:
        gpu.check_gpu()
    assert "CUDA_VISIBLE_DEVICES=0, and torch 2." in str(refusal.value)
    assert "is a build for the CPU (driver 580.65.06 for CUDA 13.0 at most)" in str(refusal.value)
    assert str(refusal.value).endswith("or set STAGEWISE_DEVICE=cpu to compute on the CPU")


def test_an_old_driver_is_refused_with_torchs_own_reason(v100, monkeypatch):
    def init():
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12040). Please update\nit.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(gpu, "installed_driver", lambda: Driver("550.54.15", "12.4"))
    with pytest.raises(InputError) as refusal:
        gpu.check_gpu()
    assert (
        "torch 2.13.0+cu130 for CUDA 13.0 cannot use it: The NVIDIA driver on your system is too old (found version "
        "12040) (driver 550.54.15 for CUDA 12.4 at most); install a driver for CUDA 13.0 or newer" in str(refusal.value)
    )
    monkeypatch.setattr(gpu, "installed_driver", lambda: None)
    with pytest.raises(InputError, match="no driver is to be seen.*start the container with --nv"):
        gpu.check_gpu()


def test_a_capability_without_code_is_refused(v100, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])
    with pytest.raises(InputError, match=r"has no code for Tesla V100 \(compute capability 7.0; driver 580"):
        gpu.check_gpu()


def test_on_the_cpu_by_choice_nothing_is_checked(v100, monkeypatch):
    monkeypatch.setattr(gpu, "torch_uses_cuda", lambda: False)
    monkeypatch.setenv("STAGEWISE_DEVICE", "cpu")
    assert gpu.check_gpu() == ""


def test_the_check_apart_says_the_same(monkeypatch, tmp_path):
    """In whatever folder, and torch is not imported by the process that asks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGEWISE_DEVICE", "cpu")
    assert gpu.check_gpu_apart() == ""
    monkeypatch.setenv("STAGEWISE_DEVICE", "tpu")
    with pytest.raises(InputError, match="STAGEWISE_DEVICE is 'tpu'"):
        gpu.check_gpu_apart()
    monkeypatch.setattr(gpu, "_APART", "import nothing_of_this_name")
    monkeypatch.setenv("STAGEWISE_DEVICE", "cuda")
    with pytest.raises(InputError, match="torch cannot be imported: ModuleNotFoundError"):
        gpu.check_gpu_apart()
