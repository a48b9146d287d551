"""A split of a data set of the hub becomes one local file, or is refused with the names that exist."""

import io
import json
from hashlib import sha256

import pytest

from stagewise.config.sources import File
from stagewise.data.fetch_file import fetch_file
from stagewise.data.raw_files import dataset_file
from stagewise.errors import InputError
from tests.helpers import branched_hub
from tests.helpers.data_step import run_data_step
from tests.helpers.steps_on_hub import run_steps
from tests.helpers.tiny_data import task_settings

CARD = b"""---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: stars
    dtype:
      class_label:
        names: {'0': bad, '1': good}
  - name: tags
    sequence: string
  - name: author
    struct:
    - {name: name, dtype: string}
  - name: sound
    dtype: binary
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train-*}
  - {split: test, path: data/test-*}
---
"""
TWO_CONFIGS = b"""---
configs:
- {config_name: en, data_files: en.csv}
- {config_name: de, data_files: de.csv}
---
"""


def parquet(rows: list[dict]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


def film(number: int, stars: int) -> dict:
    author = {"name": f"Ünal {number}"}
    return {"text": f"film {number}", "stars": stars, "tags": ["a", "b"], "author": author, "sound": b"\xff"}


FILMS = {
    "README.md": CARD,
    "data/train-0.parquet": parquet([film(n, n % 2) for n in range(12)]),
    "data/train-1.parquet": parquet([film(12, -1)]),
    "data/test-0.parquet": parquet([film(n, n % 2) for n in range(20, 24)]),
}


@pytest.fixture(scope="module")
def hub():
    with branched_hub.serve() as served:
        served.commit = served.push("datasets", "me/films", FILMS)
        yield served


def run(folder, hub, sources: list[dict], **environment):
    steps = []
    for number, source in enumerate(sources):
        (folder / f"{number}.settings.json").write_text(json.dumps(source))
        arguments = ["--settings", f"{number}.settings.json", "--output", f"{number}.jsonl"]
        steps.append(("scripts.fetch_data", arguments))
    return run_steps(folder, hub.address, steps, **environment)


def test_a_split_becomes_json_lines_and_is_read_by_the_data_step(hub, tmp_path, capsys, monkeypatch):
    """Class labels become names, nested values stay, bytes go; offline, the same file is there already."""
    source = {"dataset": "me/films", "revision": hub.commit}
    train, test, again = run(
        tmp_path, hub, [source | {"split": "train"}, source | {"split": "test"}, source | {"split": "train"}]
    )
    assert (train.code, test.code, again.code) == (0, 0, 0), train.error
    assert "left out, for they hold no text and no numbers: sound" in train.error
    rows = [json.loads(line) for line in (tmp_path / "0.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {"text": "film 0", "stars": "bad", "tags": ["a", "b"], "author": {"name": "Ünal 0"}}
    assert [row["stars"] for row in rows[:2]] == ["bad", "good"]
    assert rows[12]["stars"] is None  # the hub's -1
    written = json.loads((tmp_path / "sources.lock").read_text())["files"]
    digest = sha256((tmp_path / "0.jsonl").read_bytes()).hexdigest()
    assert written[f"me/films@{hub.commit} train"] == digest == sha256((tmp_path / "2.jsonl").read_bytes()).hexdigest()
    # Nothing is asked for again once the file is there.
    asked = len(hub.requests)
    (offline,) = run(tmp_path, hub, [source | {"split": "train"}], HF_HUB_OFFLINE="1")
    assert offline.code == 0 and "there already" in offline.error
    assert len(hub.requests) == asked

    monkeypatch.chdir(tmp_path)
    files = {role: source | {"split": role} for role in ("train", "test")}
    for role, number in (("train", 0), ("test", 1)):
        raw = tmp_path / "raw" / "t" / role / dataset_file(File(**files[role]))
        raw.parent.mkdir(parents=True)
        (tmp_path / f"{number}.jsonl").rename(raw)
    task = task_settings(
        files,
        {"bad": "bad", "good": "good"},
        {"rule": "files", "validation_share": 0.25},
        {"format": "jsonl"},
        id="text",
        label="stars",
        unknown_labels="set_aside",
    )
    step = run_data_step(tmp_path, capsys, task, raw=tmp_path / "raw")
    assert step.code == 0, step.error
    assert len(step.ids("train") + step.ids("validation")) == 12 and len(step.ids("test")) == 4
    assert step.summary["tasks"]["t"]["files"]["train"]["sha256"] == digest


def test_what_does_not_exist_is_refused_with_the_names_that_do(hub, tmp_path):
    script = hub.push("datasets", "me/old", {"README.md": b"x", "old.py": b"raise SystemExit"})
    two = hub.push("datasets", "me/two", {"README.md": TWO_CONFIGS, "en.csv": b"a\n1\n", "de.csv": b"a\n2\n"})
    gated = hub.push("datasets", "me/gated", {"README.md": b"x", "a.csv": b"a\n1\n"})
    empty = hub.push("datasets", "me/empty", {"README.md": b"x"})
    hub.gated.add("me/gated")
    films = {"dataset": "me/films", "split": "train", "revision": hub.commit}
    cases = [
        (films | {"split": "dev"}, "there is no split 'dev'; it has train, test"),
        (films | {"config": "plain"}, "there is no configuration 'plain'; it has default"),
        ({"dataset": "me/two", "split": "train", "revision": two}, "set 'config' to one of en, de"),
        ({"dataset": "me/old", "split": "train", "revision": script}, "made by a script (old.py), which is not run"),
        ({"dataset": "me/gated", "split": "train", "revision": gated}, "it is gated: accept its licence"),
        ({"dataset": "me/none", "split": "train", "revision": gated}, "no such repository, or it is private"),
        (films | {"revision": "0" * 40}, f"the hub has no commit {'0' * 40}"),
        (films | {"revision": "main"}, "sources.lock does not say which commit 'main' is"),
        ({"dataset": "me/empty", "split": "train", "revision": empty}, "`datasets` cannot read it"),
        (films | {"sha256": "0" * 64}, "nothing was kept: correct the checksum or the revision"),
    ]
    outcomes = run(tmp_path, hub, [source for source, _ in cases])
    for (source, says), outcome in zip(cases, outcomes, strict=True):
        assert outcome.code == 2, source
        assert says in outcome.error.splitlines()[-1], outcome.error
        assert "Traceback" not in outcome.error
    assert not list(tmp_path.glob("*.jsonl")) and not (tmp_path / "sources.lock").exists()


def test_the_mirror_is_searched_first_and_known_by_the_name(tmp_path, monkeypatch):
    """No hub is asked: the name of the file holds the commit."""
    monkeypatch.chdir(tmp_path)
    file = File(dataset="me/films", split="train", revision="a" * 40)
    copy = tmp_path / "mirror" / "deep" / dataset_file(file)
    copy.parent.mkdir(parents=True)
    copy.write_text('{"a": 1}\n')
    assert copy.name == "films-train-aaaaaaaaaaaa.jsonl"
    assert "in the mirror" in fetch_file(file, tmp_path / "out" / "a.jsonl", str(tmp_path / "mirror"))
    assert (tmp_path / "out" / "a.jsonl").read_text() == '{"a": 1}\n'
    # From now on the checksum is known, and another file of that name is not taken.
    copy.write_text('{"a": 2}\n')
    assert "there already" in fetch_file(file, tmp_path / "out" / "a.jsonl", str(tmp_path / "mirror"))
    monkeypatch.setattr("stagewise.data.hub_dataset._download", lambda file, target: target.write_text("other\n"))
    with pytest.raises(InputError, match="expected sha256"):
        fetch_file(file, tmp_path / "out" / "b.jsonl", str(tmp_path / "mirror"))
