"""Which jobs wait for the checks: those that train or score in this run, and no others."""

import os

import pytest

from stagewise.pipeline.artifact import Artifact
from stagewise.pipeline.freshness import STALE
from stagewise.pipeline.preflight.record import due_outputs


def artifact(folder, rule, phase, inputs=(), optional=()) -> Artifact:
    path = folder / f"{rule}.{phase}"
    return Artifact(rule, phase, rule, (path, *optional), tuple(inputs), list, (), optional=tuple(optional))


@pytest.fixture
def artifacts(tmp_path):
    """A finished experiment, whose texts are elsewhere."""
    splits = artifact(tmp_path, "make_splits", "splits", optional=[tmp_path / "train.jsonl"])
    first = artifact(tmp_path, "train_adapter", "stage-1", splits.outputs)
    second = artifact(tmp_path, "train_adapter", "stage-2", first.outputs)
    predictions = artifact(tmp_path, "predict", "predictions", second.outputs)
    made = [splits, first, second, predictions, artifact(tmp_path, "metrics", "report", predictions.outputs)]
    for each in made:
        each.outputs[0].write_text("")
    return made


def due(artifacts, *arguments, unwritten=None) -> set[str]:
    return {path.name for path in due_outputs(artifacts, arguments, unwritten or {})}


def path(artifacts, number):
    return artifacts[number].outputs[0]


def test_nothing_waits_if_nothing_is_trained_or_scored(artifacts):
    assert due(artifacts) == set()
    path(artifacts, 4).unlink()  # metrics are to be computed
    assert due(artifacts) == set()


def test_what_is_missing_is_due_if_something_is_made_from_it(artifacts):
    path(artifacts, 2).unlink()
    assert due(artifacts) == set()  # its predictions are there
    path(artifacts, 3).unlink()
    path(artifacts, 4).unlink()
    assert due(artifacts) == {"train_adapter.stage-2", "predict.predictions"}
    path(artifacts, 1).unlink()
    assert due(artifacts) == {"train_adapter.stage-1", "train_adapter.stage-2", "predict.predictions"}


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_is_stale_is_due(artifacts, on_disk):
    if on_disk:
        os.utime(path(artifacts, 2), (STALE, STALE))
        assert due(artifacts) == {"train_adapter.stage-2"}
        assert due(artifacts, unwritten={path(artifacts, 2): 10**18}) == set()
    else:
        assert due(artifacts, unwritten={path(artifacts, 2): STALE * 10**9}) == {"train_adapter.stage-2"}


def test_only_the_phases_that_are_asked_for_count(artifacts):
    path(artifacts, 2).unlink()
    path(artifacts, 3).unlink()
    assert due(artifacts, "--cores", "2", "stage_1") == set()
    assert due(artifacts, "stage_1", "stage_2") == {"train_adapter.stage-2"}
    assert due(artifacts, "predictions") == {"train_adapter.stage-2", "predict.predictions"}


def test_a_file_on_the_command_line_is_due(artifacts):
    path(artifacts, 1).unlink()
    assert due(artifacts, str(path(artifacts, 1))) == {"train_adapter.stage-1"}
