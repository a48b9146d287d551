"""Kernels of trl's loss, on machines with and without a GPU, a compiler and Python's headers. No GPU is needed."""

import importlib.util
import json
import subprocess
import sys
import sysconfig
from importlib.metadata import version

import pytest
import torch
import trl.trainer.utils
from packaging.version import Version
from trl.kernels import chunked_logprob

from stagewise.errors import InputError
from stagewise.training.loss_kernels import choose_loss_kernels, triton_problem
from tests.helpers.project_copy import ROOT
from tests.helpers.triton_kernels import CompiledLaunch, loss_and_gradients

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton comes with the CUDA packages (TORCH=cuda)"
)
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
MODULES = (trl.trainer.utils, chunked_logprob)


@pytest.fixture(autouse=True)
def switches(monkeypatch):
    """Gives trl its own switches for a test, whatever trainings of this process have left in their place."""
    spec = importlib.util.spec_from_file_location("trl.kernels.untouched", chunked_logprob.__file__)
    untouched = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(untouched)
    for module in MODULES:
        monkeypatch.setattr(module, "_use_triton", untouched._use_triton)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A pretended GPU and a stand-in for its driver's library, from which Triton builds what launches kernels."""
    from triton.backends.nvidia import driver

    subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", tmp_path / "libcuda.so.1"], check=True)
    monkeypatch.setenv("TRITON_LIBCUDA_PATH", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    driver.libcuda_dirs.cache_clear()
    driver.library_dirs.cache_clear()


def head_positions(device) -> tuple[bool, bool]:
    """Expect what trl does now: compute the head at counted positions only, launch Triton kernels."""
    return trl.trainer.utils._use_triton(device), chunked_logprob._use_triton(device)


def test_on_a_cpu_the_head_is_computed_where_the_loss_is_and_without_triton():
    assert choose_loss_kernels(CPU) is None
    assert head_positions(CPU) == (True, False)


@needs_triton
def test_without_a_compiler_pytorch_computes_the_loss(driver, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    notice = choose_loss_kernels(GPU)
    assert "Failed to find C compiler" in notice and "install a C compiler and Python's headers" in notice
    assert head_positions(GPU) == (True, False)


@needs_triton
def test_without_pythons_headers_pytorch_computes_the_loss(driver, monkeypatch, tmp_path):
    paths = sysconfig.get_paths
    monkeypatch.setattr(sysconfig, "get_paths", lambda **how: paths(**how) | {"include": str(tmp_path)})
    notice = choose_loss_kernels(GPU)
    assert f"{tmp_path}/Python.h is missing" in notice and "python3.11-dev" in notice
    assert head_positions(GPU) == (True, False)


@needs_triton
def test_with_both_the_launcher_is_built(driver):
    """The failure is then this machine's library, which has no function of CUDA's."""
    assert "undefined symbol" in triton_problem(GPU)


def test_a_gpu_that_launches_kernels_is_left_to_trl(monkeypatch):
    monkeypatch.setattr("stagewise.training.loss_kernels._launch", lambda device: None)
    assert choose_loss_kernels(GPU) is None
    assert head_positions(GPU) == ((True, True) if chunked_logprob._TRITON_AVAILABLE else (False, False))


def test_a_trl_without_the_switch_is_refused_if_triton_does_not_work(monkeypatch):
    for module in MODULES:
        monkeypatch.delattr(module, "_use_triton")
    monkeypatch.setattr("stagewise.training.loss_kernels.triton_problem", lambda device: "no compiler")
    with pytest.raises(InputError, match=r"cannot launch a kernel \(no compiler\); install a C compiler"):
        choose_loss_kernels(GPU)
    assert choose_loss_kernels(CPU) is None  # slower, and right


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernels_of_the_loss_compile_for_every_gpu(dtype, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    capabilities = [70, 75, 80, 86, 89, 90, 100, 120] if dtype is torch.float32 else [80, 90, 120]
    expected = loss_and_gradients(dtype)
    kernels = {}
    for name in ("forward", "backward"):
        kernel, tile = (getattr(chunked_logprob, f"_{name}_{kind}") for kind in ("kernel", "tile"))
        kernels[name] = CompiledLaunch(kernel, tile, capabilities)
        monkeypatch.setattr(chunked_logprob, f"_{name}_kernel", kernels[name])
    monkeypatch.setattr(chunked_logprob, "_use_triton", lambda device: True)
    assert all(map(torch.equal, loss_and_gradients(dtype), expected))
    for kernel in kernels.values():
        assert list(kernel.sizes) == capabilities and min(kernel.sizes.values()) > 1000


@needs_triton
def test_pytorch_computes_the_loss_that_triton_does():
    """By Triton's interpreter, which is chosen when trl's kernels are imported."""
    if Version(version("triton")) < Version("3.7"):
        pytest.skip("Triton's interpreter takes no numpy 2.4 before its version 3.7")
    code = (
        "import json; from trl.kernels import chunked_logprob; "
        "from tests.helpers.triton_kernels import loss_and_gradients; "
        "chunked_logprob._use_triton = lambda device: True; "
        "print(json.dumps([tensor.tolist() for tensor in loss_and_gradients()]))"
    )
    environment = {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    for tiles, kernels in zip(loss_and_gradients(), json.loads(done.stdout), strict=True):
        torch.testing.assert_close(tiles, torch.tensor(kernels), rtol=0, atol=1e-5)
