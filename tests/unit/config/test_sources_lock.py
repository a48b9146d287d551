"""sources.lock: the commits of branches and tags, and the checksums of first fetches."""

import json

import pytest

from stagewise.config.load_config import load
from stagewise.config.sources import File, Source
from stagewise.config.sources_lock import (
    SOURCES_LOCK,
    NamedRevision,
    SourcesLock,
    expected_sha256,
    file_key,
    is_used,
    open_revisions,
    record,
    with_commits,
)
from stagewise.errors import InputError
from tests.helpers.project_copy import ROOT
from tests.helpers.tiny_data import task_settings

MODEL, DATA, ADAPTER = "a" * 40, "b" * 40, "c" * 40
LOCK = SourcesLock(
    models={"me/model@v1": MODEL, "me/adapter@main": ADAPTER}, datasets={"me/films@main": DATA, "me/films@v2": MODEL}
)


def overlay(**film) -> dict:
    files = {"items": {"dataset": "me/films", "split": "train"} | film}
    films = task_settings(files, {"bad": "bad", "good": "good"}, reader={"format": "jsonl"})
    arms = {"mine": {"stages": [{"adapter": "me/adapter@main"}, {"task": "films"}]}}
    return {
        "inherits": "all",
        "model": "hub",
        "models": {"hub": {"hub": "me/model", "revision": "v1"}},
        "tasks": {"films": films},
        "arms": arms | {"sequential": None, "rehearsal": None},
    }


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A configuration with a model, a data set and an adapter that names stand for, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text(json.dumps(overlay()))
    return ROOT / "config.yaml", tmp_path / "mine.json"


def test_names_are_read_as_the_commits_that_are_written_down(files):
    names = open_revisions(load(*files))
    assert [str(name) for name in names] == ["me/model@v1", "me/films@main", "me/adapter@main"]
    assert [name.kind for name in names] == ["models", "datasets", "models"]
    record((name.kind, str(name), LOCK.commit(name)) for name in names)
    config = load(*files)
    assert open_revisions(config) == []
    assert config.models[config.model].revision == MODEL
    assert config.active_tasks["films"].sources["made"].files["items"].revision == DATA
    assert config.active_arms["mine"].stages[0].adapter == f"me/adapter@{ADAPTER}"
    assert is_used(config, SourcesLock.read()) and not is_used(config, SourcesLock())
    assert not is_used(load(files[0]), SourcesLock.read())


@pytest.mark.parametrize(
    "revision, commit", [(None, DATA), ("main", DATA), ("v2", MODEL), ("v3", "v3"), (ADAPTER, ADAPTER)]
)
def test_no_revision_is_main_and_an_unknown_name_stays(revision, commit):
    values = overlay(**({"revision": revision} if revision else {}))
    pinned = with_commits(values, LOCK)
    assert pinned["tasks"]["films"]["sources"]["made"]["files"]["items"]["revision"] == commit
    assert "revision" not in values["tasks"]["films"]["sources"]["made"]["files"]["items"] or revision


@pytest.mark.parametrize(
    "values", [{"models": None}, {"tasks": {"t": None}}, {"arms": {"a": {"stages": ["x"]}}}, {"tasks": 3}]
)
def test_what_is_no_configuration_is_left_to_its_validation(values):
    assert with_commits(values, LOCK) == values


def test_entries_are_added_one_by_one_and_taken_out(tmp_path):
    path = tmp_path / "sources.lock"
    record([("models", "me/b@main", MODEL)], path)
    record([("models", "me/a@main", DATA), ("files", "https://host/x", "f" * 64)], path)
    assert list(json.loads(path.read_text())["models"]) == ["me/a@main", "me/b@main"]
    record([("files", "https://host/x", None)], path)
    assert SourcesLock.read(path) == SourcesLock(models={"me/a@main": DATA, "me/b@main": MODEL})
    assert SourcesLock.read(path).commit(NamedRevision("models", "me/a", "main")) == DATA


@pytest.mark.parametrize("content", ["{", "[]", '{"models": ["x"]}', '{"weights": {}}', '{"files": {"x": 1}}'])
def test_a_damaged_file_is_refused_with_the_way_out(tmp_path, content):
    path = tmp_path / "sources.lock"
    path.write_text(content)
    with pytest.raises(InputError, match="sources.lock"):
        SourcesLock.read(path)


def test_a_secret_of_a_url_is_not_written_down(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = (File(url=f"https://me:word@host/a.zip?key={key}", member="in/b.csv") for key in "12")
    key = file_key(one)
    assert key.startswith("https://host/a.zip ") and key.endswith(" in/b.csv")
    assert "word" not in key and "key=" not in key and key != file_key(other)
    assert file_key(File(url="https://host/a.csv")) == "https://host/a.csv"
    assert expected_sha256(one) is None
    record([("files", key, "f" * 64)])
    assert expected_sha256(one) == "f" * 64 and expected_sha256(other) is None
    assert expected_sha256(File(url=one.url, sha256="0" * 64)) == "0" * 64
    assert SOURCES_LOCK.is_file()


@pytest.mark.parametrize(
    "file, says",
    [
        ({"dataset": "me/films"}, "needs 'split'"),
        ({"dataset": "films", "split": "train"}, "dataset"),
        ({"dataset": "me/films", "split": "train[:10]"}, "split"),
        ({"dataset": "me/films", "split": "train", "revision": "../x"}, "a revision is a commit"),
        ({"dataset": "me/films", "split": "train", "path": "x"}, "exactly one of 'path', 'url' and 'dataset'"),
        ({"path": "x", "split": "train"}, "'split' goes with 'dataset'"),
        ({"url": "https://host/x", "revision": "main"}, "'revision' goes with 'dataset'"),
    ],
)
def test_what_does_not_go_together_is_refused(file, says):
    with pytest.raises(ValueError, match=says):
        File(**file)


def test_a_source_has_one_format():
    task = overlay()["tasks"]["films"]
    source = task["sources"]["made"]
    for changed, says in (
        (source | {"reader": {"format": "parquet"}}, "take 'reader' out"),
        (source | {"files": source["files"] | {"more": {"path": "x.jsonl"}}}, "do not mix"),
    ):
        with pytest.raises(ValueError, match=says):
            Source(**changed)
    assert Source(files=source["files"]).reader.format == "jsonl"
