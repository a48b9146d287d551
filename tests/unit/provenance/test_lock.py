"""One process at a time, whatever becomes of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from stagewise.errors import Unfinished
from stagewise.provenance import lock
from stagewise.provenance.lock import SILENCE, Holder, locked, locked_if_free
from tests.helpers.project_copy import ROOT

HOLDS = """
import sys, time
from stagewise.provenance import lock
if sys.argv[2] == "no locks":
    def missing(descriptor, operation):
        raise OSError(38, "Function not implemented")
    lock.fcntl.flock = missing
with lock.locked(sys.argv[1], "the work"):
    print("holds", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["locks", "no locks"])
def kind(request, monkeypatch):
    """With the kernel's locks, and on a file system that has none."""
    monkeypatch.setattr(lock, "_POLL", 0.05)
    if request.param == "no locks":
        monkeypatch.setattr(lock.fcntl, "flock", missing)
    return request.param


def missing(descriptor, operation):
    raise OSError(38, "Function not implemented")


def holding(folder, kind: str) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder), kind], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"holds\n"
    return process


def end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_second_process_waits_until_the_first_has_died(tmp_path, capsys, kind):
    folder = tmp_path / "folder"
    process = holding(folder, kind)
    timer = threading.Timer(0.6, end, [process])
    timer.start()
    started = time.monotonic()
    with locked(folder, "the adapter a"):
        assert time.monotonic() - started > 0.5
    timer.join()
    lines = capsys.readouterr().err.splitlines()
    who = f"process {process.pid} on {socket.gethostname()}, since "
    assert len(lines) == 1 and lines[0].startswith(f"the adapter a: waiting for {who}")
    with locked(folder, "the adapter a"):
        pass
    assert capsys.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".holder"] == []


def test_waiting_ends_with_the_time_that_there_is(tmp_path, kind):
    process = holding(tmp_path / "folder", kind)
    try:
        with pytest.raises(Unfinished, match=rf"process {process.pid} on .* still works on it, and this job's time"):
            with locked(tmp_path / "folder", "the adapter a", deadline=time.time() + 0.3):
                pytest.fail("two processes hold one lock")
    finally:
        end(process)


def test_progress_is_told_once_a_minute(tmp_path, capsys, kind, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.2)
    process = holding(tmp_path / "folder", kind)
    try:
        with pytest.raises(Unfinished), locked(tmp_path / "folder", "a", deadline=time.time() + 1.5):
            pass
    finally:
        end(process)
    first, *rest = capsys.readouterr().err.splitlines()
    assert "waiting for process" in first and 1 <= len(rest) <= 8 and all(" minutes" in line for line in rest)


def test_a_failure_frees_the_lock(tmp_path, kind):
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path / "folder", "a", deadline=time.time() + 1):
            raise KeyError


def test_a_process_is_known_by_its_start_and_not_by_its_number():
    me = Holder.current()
    assert me.lives(silent_seconds=1e9)
    assert not replace(me, started=f"{int(me.started) - 1}").lives(0)
    assert not replace(me, machine=f"{me.host} another-boot pid:[1]").lives(0)
    process = subprocess.Popen(["true"])
    process.wait()
    assert not replace(me, pid=process.pid).lives(0)


@pytest.mark.parametrize(
    ("squeue", "lives"),
    [
        ("echo RUNNING", True),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False),
        ("true", False),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", None),
        (None, None),
    ],
)
def test_slurm_is_asked_about_a_process_of_another_host(tmp_path, monkeypatch, squeue, lives):
    if squeue:
        (tmp_path / "squeue").write_text(f"#!/bin/sh\n{squeue}\n")
        (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    other = replace(Holder.current(), host="node7", machine="node7 b0 pid:[1]", slurm_job="4711")
    assert "Slurm job 4711" in str(other)
    # Where Slurm cannot say, a record that is refreshed is a living process's.
    assert other.lives(1) == (lives is None or lives)
    assert other.lives(SILENCE + 1) == bool(lives)


def test_a_silent_record_of_another_host_is_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "flock", missing)
    record = tmp_path / ".folder.holder"
    other = replace(Holder.current(), host="node7", machine="node7 b0 pid:[1]", slurm_job=None)
    record.write_text(json.dumps(asdict(other)))
    with pytest.raises(Unfinished, match="on node7"), locked(tmp_path / "folder", "a", deadline=time.time()):
        pass
    old = time.time() - SILENCE - 10
    os.utime(record, (old, old))
    with locked(tmp_path / "folder", "a", deadline=time.time()):
        assert Holder.parse(record.read_text()) == replace(
            Holder.current(), since=Holder.parse(record.read_text()).since
        )
    assert not record.exists()


def test_a_record_is_refreshed_while_its_process_works(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "flock", missing)
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    with locked(tmp_path / "folder", "a"):
        os.utime(tmp_path / ".folder.holder", (0, 0))
        started = time.monotonic()
        while (tmp_path / ".folder.holder").stat().st_mtime == 0:
            assert time.monotonic() - started < 30
            time.sleep(0.02)


def test_a_lock_that_someone_deletes_is_made_again(tmp_path):
    with locked(tmp_path / "folder", "a"):
        (tmp_path / ".folder.lock").unlink()
    with locked(tmp_path / "folder", "a"):
        assert (tmp_path / ".folder.lock").exists()


def test_who_does_not_want_to_wait_learns_at_once_that_the_lock_is_taken(tmp_path, kind, capsys):
    folder = tmp_path / "folder"
    with locked(folder, "a"), locked_if_free(folder) as is_held:
        assert not is_held
    with locked_if_free(folder) as is_held:
        assert is_held
        with locked_if_free(folder) as is_held_again:
            assert not is_held_again
        with pytest.raises(Unfinished), locked(folder, "a", deadline=time.time()):
            pass
    assert capsys.readouterr().err.count("waiting for") == 1
    with pytest.raises(ValueError, match="its own"), locked_if_free(folder):
        raise ValueError("its own")
    with locked_if_free(folder) as is_held:
        assert is_held
