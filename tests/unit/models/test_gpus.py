"""GPUs that a process may see, by NVIDIA's management library and without torch."""

import ctypes
import subprocess
import sys

import pytest

from stagewise.errors import InputError
from stagewise.models import gpus
from stagewise.models.gpus import expected_gpu, gpu_capability, installed_driver, jobs_per_gpu, visible_gpus
from stagewise.models.machine import Memory
from tests.helpers.pretended_gpus import GIB, PretendedGpu, pretend
from tests.helpers.project_copy import ROOT

T4 = PretendedGpu("GPU-bbbb-2", (7, 5), "Tesla T4", 16 * GIB)
A100 = PretendedGpu("GPU-aaaa-1")
SLICED = PretendedGpu("GPU-cccc-3", (9, 0), "NVIDIA H100", slices=("MIG-1111", "MIG-2222"))


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """Sets the machine's GPUs; there are neither device files nor a variable that names any."""
    for name in ("CUDA_VISIBLE_DEVICES", "STAGEWISE_DEVICE", "STAGEWISE_JOBS_PER_GPU", "SLURM_JOB_GPUS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpus, "_DEVICE_FILES", tmp_path)

    def put(*installed, **versions):
        monkeypatch.setattr(ctypes, "CDLL", pretend(*installed, **versions))

    put()
    return put


def test_facts_of_every_gpu_and_of_the_driver(machine):
    assert visible_gpus() == [] and installed_driver() is None
    machine(T4, A100)
    first, second = visible_gpus()
    assert (first.uuid, first.index, first.name, first.capability) == ("GPU-bbbb-2", 0, "Tesla T4", (7, 5))
    assert first.memory == Memory(16 * GIB, 15 * GIB)
    assert str(second) == "GPU 1 (NVIDIA A100, GPU-aaaa-1)"
    assert str(installed_driver()) == "driver 550.54.15 for CUDA 12.4 at most"
    machine(A100, status=9)  # NVML_ERROR_DRIVER_NOT_LOADED
    assert visible_gpus() == [] and installed_driver() is None


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        (None, ["GPU-bbbb-2", "GPU-aaaa-1", "MIG-1111", "MIG-2222"]),
        ("1", ["GPU-aaaa-1"]),
        ("1,0", ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("GPU-bbbb", ["GPU-bbbb-2"]),
        ("MIG-2222", ["MIG-2222"]),
        ("2", ["MIG-1111"]),  # as CUDA does: the first slice
        ("0,7,1", ["GPU-bbbb-2"]),
        ("1,1", ["GPU-aaaa-1"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_the_variable_hides_and_orders_them(machine, monkeypatch, visible, uuids):
    machine(T4, A100, SLICED)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in visible_gpus()] == uuids


def test_the_capability_is_one_that_every_gpu_has(machine, monkeypatch):
    """A job takes any of them."""
    monkeypatch.setattr(gpus, "torch_uses_cuda", lambda: True)
    assert gpu_capability() is None
    machine(A100, T4)
    assert gpu_capability() == (7, 5)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpu_capability() == (8, 0)


def test_a_gpu_that_torch_was_not_built_for_does_not_count(machine, monkeypatch, tmp_path):
    machine(A100)
    (tmp_path / "torch").mkdir()
    monkeypatch.setattr(gpus, "find_spec", lambda name: type("Spec", (), {"origin": tmp_path / "torch/x.py"}))
    for text, expected in (("cuda: Optional[str] = None", None), ("cuda: Optional[str] = '12.8'", (8, 0))):
        (tmp_path / "torch/version.py").write_text(f"__version__ = '2'\n{text}\nhip = None\n")
        assert gpu_capability() == expected


def test_a_gpu_is_expected_if_it_was_asked_for_or_is_there(machine, monkeypatch, tmp_path):
    assert expected_gpu() == ""
    (tmp_path / "nvidia1").symlink_to("gone")  # a batch job without a GPU sees the node's files, and cannot open them
    (tmp_path / "nvidiactl").write_text("")
    assert expected_gpu() == ""
    (tmp_path / "nvidia0").write_text("")
    assert expected_gpu() == f"{tmp_path}/nvidia0"
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "2")
    assert expected_gpu() == "SLURM_GPUS_ON_NODE=2"
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    assert expected_gpu() == "SLURM_JOB_GPUS=0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert expected_gpu() == "CUDA_VISIBLE_DEVICES=3"


def test_the_cpu_can_be_chosen_and_a_gpu_demanded(machine, monkeypatch, tmp_path):
    machine(A100)
    (tmp_path / "nvidia0").write_text("")
    for hidden in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert expected_gpu() == ""
    monkeypatch.setenv("STAGEWISE_DEVICE", "cuda")
    assert expected_gpu() == "STAGEWISE_DEVICE=cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("STAGEWISE_DEVICE", "cpu")
    assert expected_gpu() == "" and visible_gpus() == []
    monkeypatch.setenv("STAGEWISE_DEVICE", "gpu")
    with pytest.raises(InputError, match="^STAGEWISE_DEVICE is 'gpu'; set it to auto, cpu or cuda$"):
        expected_gpu()


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "100", "٣"])
def test_jobs_per_gpu_are_a_small_whole_number(monkeypatch, value):
    assert jobs_per_gpu() == 1
    monkeypatch.setenv("STAGEWISE_JOBS_PER_GPU", "3")
    assert jobs_per_gpu() == 3
    monkeypatch.setenv("STAGEWISE_JOBS_PER_GPU", value)
    with pytest.raises(InputError, match=f"STAGEWISE_JOBS_PER_GPU is '{value}'"):
        jobs_per_gpu()


def test_it_takes_no_torch():
    code = "import sys; from stagewise.models.gpus import visible_gpus; visible_gpus(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
