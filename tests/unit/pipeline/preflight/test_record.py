"""When the checks are made again: if something is trained or scored, and else never."""

import os
from pathlib import Path

import pytest

from stagewise.pipeline.artifact import Artifact
from stagewise.pipeline.preflight.record import mark_record


def artifact(folder, rule, phase, optional=()) -> Artifact:
    path = folder / f"{rule}.{phase}"
    return Artifact(rule, phase, rule, (path, *optional), (), list, (), optional=tuple(optional))


@pytest.fixture
def artifacts(tmp_path):
    """A finished experiment, whose texts are elsewhere."""
    made = [
        artifact(tmp_path, "fetch_data", "fetch"),
        artifact(tmp_path, "make_splits", "splits", [tmp_path / "train.jsonl"]),
        artifact(tmp_path, "train_adapter", "stage-1"),
        artifact(tmp_path, "train_adapter", "stage-2"),
        artifact(tmp_path, "predict", "predictions"),
        artifact(tmp_path, "metrics", "report"),
    ]
    for each in made:
        each.outputs[0].write_text("")
    return made


def is_old(artifacts, *arguments) -> bool:
    record = artifacts[0].outputs[0].parent / "preflight.json"
    mark_record(record, artifacts, arguments, {})
    return record.stat().st_mtime == 1


def test_nothing_is_checked_if_nothing_is_trained_or_scored(artifacts):
    assert not is_old(artifacts)
    artifacts[-1].outputs[0].unlink()  # metrics are to be computed
    artifacts[0].outputs[0].unlink()  # a raw file that nobody needs
    assert not is_old(artifacts)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_missing_adapter_or_prediction_is_a_reason(artifacts, number):
    artifacts[number].outputs[0].unlink()
    assert is_old(artifacts)
    artifacts[number].outputs[0].write_text("")
    assert not is_old(artifacts)


def test_what_is_stale_is_a_reason(artifacts):
    os.utime(artifacts[1].outputs[0], (1, 1))
    assert is_old(artifacts)


def test_later_phases_than_those_asked_for_are_no_reason(artifacts):
    artifacts[3].outputs[0].unlink()
    assert not is_old(artifacts, "--cores", "2", "stage_1")
    assert is_old(artifacts, "stage_1", "stage_2")
    assert is_old(artifacts, "predictions")


def test_without_results_there_is_no_record(artifacts, tmp_path):
    mark_record(tmp_path / "none" / "preflight.json", artifacts, [], {})
    assert not Path(tmp_path / "none").exists()
