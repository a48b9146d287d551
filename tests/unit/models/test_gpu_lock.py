"""Every job has a GPU of its own: by default one job a GPU, and a GPU is free when its job dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stagewise.errors import InputError, Unfinished
from stagewise.models import gpu_lock, gpus
from stagewise.models.gpus import Gpu
from stagewise.models.machine import Memory
from tests.helpers.project_copy import ROOT

TWO = [Gpu(f"GPU-{letter}", index, "NVIDIA A100", (8, 0), Memory(None, None)) for index, letter in enumerate("ab")]

HOLDER = """
import sys, time
from pathlib import Path
from stagewise.models import gpu_lock
from tests.unit.models.test_gpu_lock import TWO
gpu_lock.FOLDER = Path(sys.argv[1])
gpu_lock.visible_gpus = lambda: TWO
gpu_lock.take_gpus(int(sys.argv[2]), "a training")
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_lock, "FOLDER", tmp_path / "locks")
    monkeypatch.setattr(gpu_lock, "_taken", [])
    monkeypatch.setattr(gpu_lock, "visible_gpus", lambda: TWO)
    for name in ("STAGEWISE_JOBS_PER_GPU", "STAGEWISE_DEVICE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")  # restored at the end


@pytest.fixture
def holder(tmp_path):
    """Starts a process that takes GPUs and holds them."""
    started = []

    def start(count: int = 1) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLDER, str(gpu_lock.FOLDER), str(count)]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "0,1"}
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def soon() -> float:
    return time.time() + 1.2


def test_a_job_takes_a_free_gpu_and_sees_no_other(holder, capsys):
    holder()
    assert gpu_lock.take_gpus(1, "the adapter a") == TWO[1:]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    assert capsys.readouterr().err == "the adapter a: on GPU 1 (NVIDIA A100, GPU-b)\n"
    assert gpu_lock.take_gpus(1, "its predictions") == TWO[1:], "it has one"
    assert capsys.readouterr().err == ""


def test_a_job_waits_for_a_gpu_and_says_for_whom(holder, capsys):
    process = holder(2)
    with pytest.raises(
        Unfinished, match=rf"^the adapter a: process {process.pid} on .* still uses a GPU, and this job"
    ):
        gpu_lock.take_gpus(1, "the adapter a", soon())
    assert f"the adapter a: waiting for process {process.pid} on " in capsys.readouterr().err


def test_a_killed_job_frees_its_gpu(holder):
    process = holder(2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert gpu_lock.take_gpus(1, "the adapter a", soon()) == TWO[:1]


def test_several_gpus_are_taken_together_or_not_at_all(holder, capsys):
    process = holder()
    with pytest.raises(Unfinished):
        gpu_lock.take_gpus(2, "the adapter a", soon())
    other = holder()  # the second one was not kept meanwhile
    for each in (process, other):
        each.kill()
        each.wait()
    assert gpu_lock.take_gpus(2, "the adapter a", soon()) == TWO
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"


def test_the_launcher_of_several_processes_keeps_their_gpus(monkeypatch):
    """It replaces this process by another program, and its processes take none."""
    held = {}
    hold_files = gpu_lock.hold_files
    monkeypatch.setattr(gpu_lock, "hold_files", lambda *args: held.update(hold_files(*args)) or held)
    gpu_lock.take_gpus(2, "the adapter a")
    assert [os.get_inheritable(descriptor) for descriptor in held.values()] == [True, True]
    monkeypatch.setattr(gpu_lock, "_taken", [])
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert gpu_lock.take_gpus(1, "a process of it", soon()) == TWO


def test_jobs_share_a_gpu_only_if_that_is_set(holder, monkeypatch):
    holder(2)
    monkeypatch.setenv("STAGEWISE_JOBS_PER_GPU", "2")
    assert gpu_lock.take_gpus(1, "the adapter a", soon()) == TWO[:1]
    holder()  # the second place of the other
    monkeypatch.setattr(gpu_lock, "_taken", [])
    with pytest.raises(Unfinished):
        gpu_lock.take_gpus(1, "the adapter b", soon())


def test_more_gpus_than_there_are_cannot_be_taken():
    with pytest.raises(InputError, match="3 processes need 3 GPUs, but this job sees 2"):
        gpu_lock.take_gpus(3, "the adapter a")


def test_the_locks_are_for_every_user():
    gpu_lock.take_gpus(1, "the adapter a")
    assert gpu_lock.FOLDER.stat().st_mode & 0o7777 == 0o1777
    assert {path.stat().st_mode & 0o777 for path in gpu_lock.FOLDER.iterdir()} == {0o666}


def test_no_link_leads_a_lock_to_another_file(tmp_path):
    """The folder is everybody's."""
    precious = tmp_path / "precious"
    precious.write_text("text")
    gpu_lock.FOLDER.mkdir()
    (gpu_lock.FOLDER / "GPU-a.0.lock").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        gpu_lock.take_gpus(1, "the adapter a")
    assert precious.read_text() == "text"
    gpu_lock.FOLDER.rename(tmp_path / "elsewhere")
    gpu_lock.FOLDER.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="locks: a link"):
        gpu_lock.take_gpus(1, "the adapter a")


def test_without_the_drivers_library_one_gpu_is_shown(monkeypatch, tmp_path):
    """Transformers multiplies the batch by the number of GPUs that it sees."""
    monkeypatch.setattr(gpu_lock, "visible_gpus", lambda: [])
    monkeypatch.setattr(gpus, "_DEVICE_FILES", tmp_path)
    monkeypatch.setattr(gpus, "installed_gpus", lambda: [])
    monkeypatch.delenv("SLURM_JOB_GPUS", raising=False)
    (tmp_path / "nvidia0").write_text("")
    for before, after in ((None, "0"), ("2,3", "2"), ("1", "1"), ("", "")):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if before is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
        assert gpu_lock.take_gpus(1, "the adapter a") == []
        assert os.environ["CUDA_VISIBLE_DEVICES"] == after
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    Path(tmp_path / "nvidia0").unlink()
    gpu_lock.take_gpus(1, "the adapter a")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ, "it would say that a GPU was asked for"
