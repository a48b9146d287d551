"""Start of a run: a living run is respected, and a killed one is seen to."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from stagewise.errors import InputError
from stagewise.pipeline import interrupted
from stagewise.pipeline.interrupted import RunStart, refuse_foreign_locks
from stagewise.pipeline.orphans import RUN_VARIABLE
from stagewise.pipeline.run_claims import Claim, Run


@pytest.fixture
def killed():
    """A run that is dead."""
    return replace(Run.of_this_process(), pid=2**22 - 1, started="1")


@pytest.fixture
def starts(tmp_path, monkeypatch):
    """Starts of runs in a folder of their own; `start_again` only counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    monkeypatch.setattr(interrupted.atexit, "register", lambda *_: None)
    monkeypatch.setattr(interrupted, "start_again", lambda elsewhere: again.append(True))
    again: list[bool] = []
    yield SimpleNamespace(again=again, new=lambda: RunStart(["out", "models/m"]))
    os.environ.pop(RUN_VARIABLE, None)


def test_a_second_run_is_refused_with_one_sentence(starts):
    one, two = starts.new(), starts.new()
    one.begin(list)
    with pytest.raises(InputError, match=r"makes this now; wait for it, or end it with `kill -INT \d+`"):
        two.begin(list)
    assert starts.again == []


def test_a_run_that_ended_while_this_one_was_planned_makes_it_plan_again(starts):
    one, two = starts.new(), starts.new()
    one.begin(list)
    for claim in one.claims:
        claim.release()
    two.begin(list)
    assert starts.again == [True]


def test_steps_of_a_killed_run_are_remembered_until_they_are_seen_to(starts, killed, monkeypatch):
    for claim in starts.new().claims:
        claim.lock_file.parent.mkdir(exist_ok=True, parents=True)
        claim.write(killed)
    seen = []

    def interrupt(runs, planned):
        seen.append([run.id for run in runs])
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupted, "settle_orphans", interrupt)
    for end in (RunStart.end, lambda start: None):  # by Ctrl-C, and by signal 9
        start = starts.new()
        with pytest.raises(KeyboardInterrupt):
            start.begin(list)
        end(start)
        for claim in start.claims:
            claim.release()
        assert killed.id in seen[-1]
    monkeypatch.setattr(interrupted, "settle_orphans", lambda *_: False)
    starts.new().begin(list)
    assert Claim("out").read().unfinished == []


def test_a_command_that_cannot_be_given_again_says_so():
    with pytest.raises(InputError, match="has ended since this one was planned; start it again"):
        interrupted.start_again(started_elsewhere=False)  # this is pytest
    with pytest.raises(InputError):
        interrupted.start_again(started_elsewhere=True)


def test_locks_of_an_unknown_snakemake_are_never_broken(tmp_path):
    refuse_foreign_locks(tmp_path / "locks")
    (tmp_path / "locks").mkdir()
    refuse_foreign_locks(tmp_path / "locks")
    (tmp_path / "locks" / "0.input.lock").touch()
    with pytest.raises(InputError, match="make sure that none runs here, then `snakemake --unlock`"):
        refuse_foreign_locks(tmp_path / "locks")
    assert (tmp_path / "locks" / "0.input.lock").exists()
