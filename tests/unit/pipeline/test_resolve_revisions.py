"""Branches and tags are asked for once; a command asks again, on purpose."""

import json

import pytest

from tests.helpers import branched_hub
from tests.helpers.project_copy import ROOT
from tests.helpers.steps_on_hub import run_steps
from tests.helpers.tiny_data import task_settings

RESOLVE = "scripts.resolve_revisions"


@pytest.fixture
def hub():
    with branched_hub.serve() as served:
        served.push("models", "me/model", {"config.json": b"{}"}, "main")
        served.push("models", "me/model", {"config.json": b"{}", "LICENSE": b"x"}, "v1")
        served.push("datasets", "me/films", {"a.csv": b"text,label\na,1\n"}, "main")
        yield served


def write(folder, **model) -> list[str]:
    files = {"items": {"dataset": "me/films", "split": "train"}, "more": {"url": "https://host.invalid/x.csv"}}
    one, other = ({name: file} for name, file in files.items())
    task = task_settings(one, {"0": "no", "1": "yes"}, reader={"format": "jsonl"})
    task["sources"]["other"] = {"reader": {"format": "csv"}, "files": other}
    values = {
        "inherits": "all",
        "model": "hub",
        "models": {"hub": {"hub": "me/model", "revision": "v1"} | model},
        "tasks": {"films": task},
        "arms": {"mine": {"stages": [{"task": "films"}]}, "sequential": None, "rehearsal": None},
    }
    (folder / "mine.json").write_text(json.dumps(values))
    return [str(ROOT / "config.yaml"), "mine.json"]


def test_a_name_stands_for_its_first_commit_until_it_is_updated(hub, tmp_path):
    files = write(tmp_path)
    names = hub.names["datasets", "me/films"], hub.names["models", "me/model"]
    data, model = names[0]["main"], names[1]["v1"]
    (first,) = run_steps(tmp_path, hub.address, [(RESOLVE, files)])
    assert first.code == 0, first.error
    assert f"me/films@main: {data}" in first.output and f"me/model@v1: {model}" in first.output
    lock = tmp_path / "sources.lock"
    assert json.loads(lock.read_text()) == {"models": {"me/model@v1": model}, "datasets": {"me/films@main": data}}

    moved = hub.push("datasets", "me/films", {"a.csv": b"text,label\nb,1\n"}, "main")
    asked = len(hub.requests)
    (again,) = run_steps(tmp_path, hub.address, [(RESOLVE, files)])
    assert f"me/films@main: {data}, written down before" in again.output
    assert len(hub.requests) == asked
    key = f"me/films@{data} train"
    content = json.loads(lock.read_text())
    lock.write_text(json.dumps(content | {"files": {key: "0" * 64, "https://kept/": "1" * 64}}))
    (updated,) = run_steps(tmp_path, hub.address, [(RESOLVE, [*files, "--update"])])
    assert f"me/films@main: {moved}, was {data}" in updated.output
    assert json.loads(lock.read_text())["datasets"] == {"me/films@main": moved}


def test_a_hub_that_does_not_know_or_is_not_there_is_said_in_one_sentence(hub, tmp_path):
    unknown = write(tmp_path, revision="v9")
    (outcome,) = run_steps(tmp_path, hub.address, [(RESOLVE, unknown)])
    assert outcome.code == 2
    assert "me/model: the hub has no revision 'v9'; it has main, v1" in outcome.error
    files = write(tmp_path)
    (outcome,) = run_steps(tmp_path, "http://127.0.0.1:9", [(RESOLVE, files)])
    assert outcome.code == 2 and len(outcome.error.splitlines()) == 1
    assert "could not be reached" in outcome.error
    assert "sources.lock does not say which commit me/model@v1 is" in outcome.error
    assert not (tmp_path / "sources.lock").exists()
    (outcome,) = run_steps(tmp_path, "http://127.0.0.1:9", [(RESOLVE, [str(ROOT / "config.yaml")])])
    assert outcome.code == 0 and "nothing to write down" in outcome.output
