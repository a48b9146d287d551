"""The experiments of published benchmarks, on tiny files of the same layout: they are read, and run, as declared."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from experiments.trace_format import read_science_qa
from stagewise.config.load_config import load
from stagewise.config.readers import Reader
from stagewise.errors import InputError
from stagewise.lineage import lineage_tree
from tests.helpers.in_process import fetch_all, run_all, split_all
from tests.helpers.project_copy import ROOT

EXPERIMENTS = ROOT / "experiments"
TRACE = ("C-STANCE", "FOMC", "MeetingBank", "Py150", "ScienceQA", "NumGLUE-cm", "NumGLUE-ds", "20Minuten")
SCIENCE = (
    "Choose an answer for the following question and give your reasons.\n\nQuestion:\nWhich of {0} melts?\n"
    "Context:\nA. Miller asks.\nChoices:\nA. ice {0}\nB. a stone\nof the\nriver\n"
)
ROWS = {
    "C-STANCE": ("文本：\n{0}\n对象：\n茶\n态度：", ("A", "B", "C")),
    "FOMC": ("What is the stance?\nText:\nRates in {0}.\nStance:", ("A", "B", "C")),
    "MeetingBank": ("Write a summary.\nMeeting transcripts:\nItem {0} passes.\nSummary:", ("Item {0} passed.",)),
    "Py150": ("<s> import os <EOL> x = {0} <EOL>", ("print ( x )",)),
    "ScienceQA": (SCIENCE + "\nAnswer:", ("A\nBecause ice is frozen water.", "B\nBecause of heat.")),
    "NumGLUE-cm": ("Solve it.\nQuestion: {0} and 1?\nAnswer:", ("12", "1,000")),
    "NumGLUE-ds": ("Solve it.\nQuestion: {0} less 2?\nAnswer:", ("7.5", "-2")),
    "20Minuten": ("Provide it in German.\n\nParagraph:\nAbsatz {0}.\nSimplified:", ("Satz {0}.",)),
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A folder with the project's prompts, and a mirror for raw files."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "prompts", tmp_path / "prompts")
    return tmp_path


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def test_trace_reads_its_eight_layouts_into_splits(project):
    """The benchmark's own files, without a checksum, are taken from the mirror and written down."""
    for task, (prompt, answers) in ROWS.items():
        for number, split in enumerate(("train", "eval", "test")):
            rows = [
                {"prompt": prompt.format(f"{split} {n}"), "answer": answers[n % len(answers)].format(f"{split} {n}")}
                for n in range(6)
            ]
            write_rows(project / "mirror/TRACE-Benchmark/LLM-CL-Benchmark_5000" / task / f"{split}.json", rows)
            # Another variant of the benchmark has files of the same names.
            write_rows(project / "mirror/TRACE-Benchmark/LLM-CL-Benchmark_500" / task / f"{split}.json", rows[number:])
    config = load(ROOT / "config.yaml", EXPERIMENTS / "trace.yaml", EXPERIMENTS / "variants/trace-5000.yaml")
    fetch_all(config, project / "mirror")
    data = split_all(config)
    assert len(json.loads((project / "sources.lock").read_text())["files"]) == 24
    items = {task: [json.loads(line) for line in (data / task / "train.jsonl").open()] for task in TRACE}
    assert {task: len(rows) for task, rows in items.items()} == dict.fromkeys(TRACE, 6)
    assert [item["label"] for item in items["C-STANCE"]] == ["A", "B", "C"] * 2
    assert items["MeetingBank"][1]["references"] == ["Item train 1 passed."]
    assert items["NumGLUE-ds"][0]["label"] == "7.5"
    science = items["ScienceQA"][1]
    assert science["label"] == "B" and science["options"] == 2
    assert science["fields"]["question"] == "Which of train 1 melts?\nContext:\nA. Miller asks."
    assert science["fields"]["options"] == "A. ice train 1\nB. a stone of the river"


def test_trace_names_a_checksum_for_each_reduced_file_and_measures_that_apply():
    config = load(ROOT / "config.yaml", EXPERIMENTS / "trace.yaml")
    files = {
        file.member: file.sha256
        for task in config.active_tasks.values()
        for file in task.sources[task.source].files.values()
    }
    assert {member.split("/")[1] for member in files} == set(TRACE)
    assert len(files) == 24 and len(set(files.values())) == 24 and None not in files.values()
    (arm,) = config.active_arms.values()
    assert tuple(stage.task for stage in arm.stages) == TRACE
    assert set(config.own_measures.values()) == {"accuracy", "rouge_l", "numeric_match"}


@pytest.mark.parametrize(
    "prompt, answer", [("Question: x\nChoices:\nA. one", "A"), ("Question: x", "A"), (SCIENCE, "so it is B")]
)
def test_a_row_of_science_qa_without_options_or_letter_is_refused(tmp_path, prompt, answer):
    (tmp_path / "x.json").write_text(json.dumps([{"prompt": prompt, "answer": answer}]))
    with pytest.raises(InputError, match="row 1 has no choices"):
        read_science_qa(tmp_path / "x.json", Reader(), [])


@pytest.mark.parametrize(
    "overlays, orders",
    [
        (
            ["standard-cl"],
            ["ag yelp amazon yahoo dbpedia", "yelp yahoo amazon dbpedia ag", "dbpedia yahoo ag amazon yelp"],
        ),
        (
            ["standard-cl", "variants/standard-cl-four"],
            ["dbpedia amazon yahoo ag", "dbpedia amazon ag yahoo", "yahoo amazon ag dbpedia"],
        ),
    ],
)
def test_the_standard_benchmark_has_the_published_orders(overlays, orders):
    config = load(ROOT / "config.yaml", *(EXPERIMENTS / f"{name}.yaml" for name in overlays))
    assert [" ".join(stage.task for stage in arm.stages) for arm in config.active_arms.values()] == orders
    prefixes = {tuple(order.split()[:stages]) for order in orders for stages in range(1, len(order.split()) + 1)}
    assert len(lineage_tree(config)) == len(prefixes)  # stages that orders begin alike are trained once


def test_five_stages_in_three_orders_end_in_one_report(project, tiny_model):
    """Fifteen trainings of a tiny model, from raw files without a checksum to the report."""
    tiny = {
        "limit": {"train": 4, "validation": 2, "test": 4},
        "lora": {"r": 2, "alpha": 4, "dropout": 0},
        "training": {"batch_size": 4, "gradient_accumulation": 1, "eval_every": "epoch"},
        "statistics": {"bootstrap_samples": 100},
        "evaluation": {"splits": ["test"]},
        "dtype": "float32",
        "models": {"tiny": {"path": str(tiny_model)}},
        "model": "tiny",
    }
    (project / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    config = load(ROOT / "config.yaml", EXPERIMENTS / "standard-cl.yaml", project / "tiny.yaml")
    for task in config.active_tasks.values():
        for file in task.sources[task.source].files.values():
            words = task.words * (1 if len(task.words) > 9 else 3)
            rows = [{"label": word, "sentence": f"{word} {file.url[-10:]} {n}"} for n, word in enumerate(words * 3)]
            write_rows(project / "mirror" / Path(*Path(file.url).parts[-3:]), rows)
    results = run_all(config, tiny_model, project / "mirror")
    metrics = json.loads((results / "report_metrics.json").read_text())
    assert [record["stage"] for record in metrics["arms"]] == [0, 1, 2, 3, 4, 5] * 3
    page = (results / "report.md").read_text()
    assert all(f"sequential-order-{number}" in page for number in (4, 5, 6))
