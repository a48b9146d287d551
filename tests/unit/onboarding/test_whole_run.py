"""From a user's file to the report: one command, and then the workflow's steps as they are."""

import json
from pathlib import Path

import pytest

from stagewise.config.load_config import load
from stagewise.measures import MEASURES
from tests.helpers import whole_run

# Kinds that came with the measures of generation: before those, they are no tasks that a run ends well with.
ALL_KINDS = pytest.mark.skipif("rouge_l" not in MEASURES, reason="not every kind of task is here yet")

EXPERIMENTS = "experiments"

SHAPES = {
    "classification": lambda files, n: {"text": files.text(5), "topic": ["tea_time", "rain"][n % 2]},
    "multiple_choice": lambda files, n: {
        "question": files.text(5),
        "options": ["A)tea", "B)rain", "C)bread"][: 2 + n % 2],
        "rationale": f"because of {n}",
        "correct": "AB"[n // 2 % 2],
    },
    "multi_label": lambda files, n: {"text": files.text(5), "tags": [["tea"], ["tea", "rain"], []][n % 3]},
    "generation": lambda files, n: {"question": files.text(5), "answer": [files.text(3), files.text(2)]},
}


@pytest.fixture
def outside(real_data) -> Path:
    """Folder of other public data beside the real ones."""
    folder = real_data / "outside"
    return folder if folder.is_dir() else pytest.skip("no outside data beside the real ones")


def check_results(results: Path, name: str) -> None:
    """Check that base model and adapter are scored on the task, and that the report is about it."""
    scored = sorted((results / "base").rglob(f"{name}.test.csv"))
    assert [len(path.read_text(encoding="utf-8").splitlines()) for path in scored] == [1 + whole_run.FEW["test"]] * 2
    assert f'"{name}"' in (results / "report_metrics.json").read_text(encoding="utf-8")
    assert name in (results / "report.md").read_text(encoding="utf-8") and (results / "report.html").is_file()


@pytest.mark.parametrize(
    "kind", [kind if kind == "classification" else pytest.param(kind, marks=ALL_KINDS) for kind in SHAPES]
)
def test_from_a_file_to_a_report(files, tiny_model, kind):
    path = files.jsonl("mine.jsonl", files.rows(lambda n: SHAPES[kind](files, n)))
    assert files.init(path) == 0
    assert load("config.yaml", "experiments/mine.yaml").tasks["mine"].kind == kind
    check_results(whole_run.run("experiments/mine.yaml", tiny_model), "mine")


@pytest.mark.real
def test_banking77(files, tiny_model, outside):
    """77 labels and no id; repeated texts, some of them with two labels."""
    assert files.init(outside / "banking77" / "train.csv", outside / "banking77" / "test.csv") == 0
    task = load("config.yaml", f"{EXPERIMENTS}/banking77.yaml").tasks["banking77"]
    assert task.id is None and task.label == "category" and list(task.fields) == ["text"]
    assert len(task.labels) == 77 and "card arrival" in task.words
    assert "{value: card_arrival, word: card arrival} # 193" in files.comments("banking77")
    assert files.overlay("banking77")["duplicates"]["across_splits"] == "drop"
    check_results(whole_run.run(f"{EXPERIMENTS}/banking77.yaml", tiny_model), "banking77")


@ALL_KINDS
@pytest.mark.real
def test_aqua(files, tiny_model, outside):
    """Options of each item, and a rationale that must not reach a prompt."""
    assert files.init(outside / "aqua" / "dev.json", outside / "aqua" / "test.json") == 0
    task = load("config.yaml", f"{EXPERIMENTS}/aqua.yaml").tasks["aqua"]
    assert task.id is None and task.label == "correct" and task.words == list("ABCDE")
    assert task.options.columns == ["options"] and task.options.gold == "letter"
    assert task.variables == ["question", "options"]
    results = whole_run.run(f"{EXPERIMENTS}/aqua.yaml", tiny_model)
    check_results(results, "aqua")
    item = json.loads((results / "data" / "aqua" / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert item["options"] == 5 and item["fields"]["options"].startswith("A. ") and "rationale" not in item["fields"]
