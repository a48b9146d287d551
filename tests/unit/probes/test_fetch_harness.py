"""Fetching the data of harness tasks, here from local files."""

import json

import pytest

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (make harness)")

from scripts import fetch_harness  # noqa: E402
from tests.helpers.harness_tasks import WISHES, write_harness_tasks  # noqa: E402
from tests.helpers.probe_step import ProbeStep  # noqa: E402
from tests.helpers.refusals import check_refusal  # noqa: E402


@pytest.fixture
def fetch(tmp_path, monkeypatch, capsys):
    """A function that fetches tasks of a local folder; it returns the exit code and what was said."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    step = ProbeStep(tmp_path, tmp_path / "no-model")
    include = str(write_harness_tasks(tmp_path / "mine"))

    def run(*tasks: str) -> tuple[int, str]:
        harness = {"tasks": list(tasks), "include": include} if tasks else None
        code = fetch_harness.main(["--settings", json.dumps(step.settings(harness))])
        return code, capsys.readouterr().err

    return run


def test_data_are_fetched_and_the_main_metric_is_named(fetch, tmp_path):
    code, said = fetch("wishes", "things")
    assert code == 0 and f"wishes: {len(WISHES)} items, strict_acc" in said and "things: 11 items, acc" in said
    assert any((tmp_path / "datasets").rglob("*.arrow"))


def test_data_that_are_not_there_are_one_sentence(fetch, tmp_path):
    (tmp_path / "mine" / "wishes.jsonl").unlink()
    check_refusal(*fetch("wishes"), "probes.harness: the task wishes cannot be loaded")


def test_without_harness_tasks_there_is_nothing_to_fetch(fetch):
    check_refusal(*fetch(), "probes.harness is not set")
