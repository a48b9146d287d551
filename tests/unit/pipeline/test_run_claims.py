"""Claims: one run at a time, and a dead one is not in the way."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from stagewise.pipeline import run_claims
from stagewise.pipeline.run_claims import Claim, Run
from stagewise.provenance.processes import find_process, machine

HOLD = """
import sys, time
from pathlib import Path
from stagewise.pipeline.run_claims import Claim, Run
claim = Claim(sys.argv[1], Path(sys.argv[2]))
assert claim.take()
claim.write(Run.of_this_process())
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def claim(tmp_path):
    return Claim(tmp_path / "out", tmp_path / "runs")


@pytest.fixture
def holder(claim, tmp_path):
    """A process that holds the claim and has written its record."""
    command = [sys.executable, "-c", HOLD, claim.target, str(tmp_path / "runs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def record(**changes) -> Run:
    return replace(Run.of_this_process(), **changes)


def elsewhere(**changes) -> Run:
    """A run on another machine that shares the file system."""
    return record(host="node7", machine="node7 another-boot pid:[1]", pid=1, **changes)


def test_a_living_holder_is_respected_and_a_killed_one_is_not_in_the_way(claim, holder):
    assert not claim.take()
    assert claim.read().pid == holder.pid
    holder.kill()
    holder.wait()
    assert claim.take()
    assert not claim.read().ended  # the record still says what was killed


def test_two_folders_have_two_claims_and_a_link_has_its_targets(claim, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    assert claim.take()
    assert not Claim(tmp_path / "link", tmp_path / "runs").take()
    assert Claim(tmp_path / "other", tmp_path / "runs").take()


def test_the_record_decides_without_locks(claim, holder, monkeypatch):
    def refuse(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(run_claims.fcntl, "flock", refuse)
    assert not claim.take()
    holder.kill()
    holder.wait()
    assert claim.take()


def test_a_later_process_with_the_same_number_is_not_the_holder(claim):
    parent = find_process(os.getppid())
    claim.lock_file.parent.mkdir()
    claim.write(record(pid=parent.pid, started="1"))
    assert claim.take()
    claim.release()
    claim.write(record(pid=parent.pid, started=parent.started))
    assert not claim.take()


@pytest.mark.parametrize(("lives", "taken"), [(True, False), (False, True)])
def test_a_run_on_another_machine_lives_if_it_renews_its_record(claim, monkeypatch, lives, taken):
    """Locks do not reach every other machine, and its process ids mean nothing here."""
    monkeypatch.setattr(run_claims, "HEARTBEAT", 0.3)
    monkeypatch.setattr(run_claims.time, "sleep", lambda _: os.utime(claim.record_file) if lives else None)
    claim.lock_file.parent.mkdir()
    claim.write(elsewhere())
    assert claim.take() is taken


@pytest.mark.parametrize(("answer", "taken"), [(True, False), (False, True)])
def test_slurm_knows_if_a_run_in_a_job_lives(claim, monkeypatch, answer, taken):
    monkeypatch.setattr(run_claims, "is_queued", lambda job: answer)
    claim.lock_file.parent.mkdir()
    claim.write(elsewhere(slurm_job="17"))
    assert claim.take() is taken


def test_a_machine_that_was_started_anew_has_no_run(claim):
    host, boot, numbering = machine().split()
    claim.lock_file.parent.mkdir()
    claim.write(record(machine=f"{host} before-{boot} {numbering}", pid=1))
    assert claim.take()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": "x"}', "null"])
def test_a_damaged_record_is_none(claim, content):
    claim.lock_file.parent.mkdir()
    claim.record_file.write_text(content)
    assert claim.read() is None
    assert claim.take()


def test_a_run_whose_starter_is_gone_says_so(claim):
    run = Run.of_this_process()
    assert run.starters and not run.lost_its_starter
    assert replace(run, starters=[*run.starters, [os.getpid(), "1"]]).lost_its_starter
