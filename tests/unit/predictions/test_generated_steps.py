"""From raw files to predictions by the steps' commands: a task of free texts, then one of sets of labels."""

import csv
import json
from pathlib import Path

import pytest

from scripts import make_splits, predict, train_adapter, write_recipe
from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.data.items import read_split
from stagewise.lineage import lineage_tree
from stagewise.measures import measures_of
from tests.helpers import tiny_llama
from tests.helpers.tiny_data import task_settings, write_jsonl

TOPICS = ["calm", "sleep"]
REMEDIES = {"rehearsal": {"share": 0.25}, "ewc": {"items": 4}, "kl": {}}


def write_experiment(folder: Path) -> dict:
    """Write raw items, prompts and the configuration below `folder`."""
    rows = [
        {
            "id": f"i{n}",
            "text": f"{n} I cannot sleep.",
            "answers": [f"At the lake,\nday {n}.", f"lake {n}"],
            "topics": TOPICS[: n % 3],
        }
        for n in range(30)
    ]
    write_jsonl(folder / "rows.jsonl", rows)
    reader, files = {"format": "jsonl"}, {"items": "rows.jsonl"}
    for name in ("reply", "topics"):
        (folder / f"{name}.txt").write_text(f"{{text}} Which {name}?\n", encoding="utf-8")
    reply = task_settings(
        files, {}, reader=reader, kind="generation", label="answers", prompt="reply.txt", max_new_tokens=9
    )
    topics = task_settings(
        files, {t: t for t in TOPICS}, reader=reader, kind="multi_label", label="topics", prompt="topics.txt"
    )
    stages = [{"task": "reply"}, {"task": "topics", "name": "topics", "remedies": REMEDIES}]
    config = {
        "experiment": "kinds",
        "results": "out",
        "model": "tiny",
        "models": {"tiny": {"path": "models/tiny"}},
        "dtype": "float32",
        "tasks": {"reply": reply, "topics": topics},
        "arms": {"sequential": {"stages": stages}},
        "lora": {"r": 4, "alpha": 8},
        "training": {"epochs": 1, "max_length": 96, "batch_size": 4, "gradient_accumulation": 1},
        "duplicates": {"across_tasks": "keep"},
    }
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    tiny_llama.build(folder / "models" / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tree = lineage_tree(validate(Config, write_experiment(folder), "config.yaml"))
        settings = ["--settings", "config.yaml"]
        assert make_splits.main([*settings, "--raw", ".", "--output", "data"]) == 0
        common, parents = ["--model", "models/tiny", "--data", "data"], []
        for adapter in tree.values():
            recipe = f"{adapter.stage}/recipe.json"
            argv = ["--lineage", adapter.lineage, *common, "--output", recipe]
            assert write_recipe.main([*settings, *argv, "--parents", *(f"{p}/recipe.json" for p in parents)]) == 0
            argv = ["--recipe", recipe, *common, "--checkpoints", "checkpoints", "--output", f"{adapter.stage}/adapter"]
            argv += ["--parent", f"{parents[0]}/adapter"] if parents else []
            assert train_adapter.main([*argv, "--report-to"]) == 0
            parents = [str(adapter.stage)]
        argv = ["--adapter", "2/adapter", "--checkpoints", "checkpoints", *common, "--output", "predictions"]
        assert predict.main([*settings, *argv]) == 0
    return folder


def rows_of(steps, task: str) -> list[dict]:
    with open(steps / "predictions" / f"{task}.test.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_free_texts_are_learnt_and_scored(steps):
    items, rows = read_split(steps / "data" / "reply" / "test.jsonl", []), rows_of(steps, "reply")
    assert [row["id"] for row in rows] == [item["id"] for item in items] and len(rows) == 6
    assert all(len(item["references"]) == 2 and item["label"] == item["references"][0] for item in items)
    for row in rows:
        assert all(0 <= float(row[f"score:{name}"]) <= 1 for name in measures_of("generation"))
    published = (steps / "predictions" / "reply.test.csv").read_text(encoding="utf-8")
    assert "At the lake,\nday" not in published, "a reference"


def test_sets_of_labels_are_learnt_and_read(steps):
    rows = rows_of(steps, "topics")
    assert {row["label"] for row in rows} <= {"none", "calm", "calm, sleep"} and len(rows) == 6
    for row in rows:
        assert (row["prediction"] in ("none", "calm", "sleep", "calm, sleep")) == (row["valid"] == "True")


def test_remedies_work_on_rows_of_generated_answers(steps):
    summary = json.loads((steps / "2" / "adapter" / "training.json").read_text(encoding="utf-8"))
    assert summary["rehearsed"] == round(0.25 * 18)
    assert summary["extra_tokens"] > 0 and summary["validation_answers"] == {}
