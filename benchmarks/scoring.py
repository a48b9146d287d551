"""Score a labelled set with the workflow, with lm-evaluation-harness and by greedy generation: same accuracy.

python -m benchmarks.run scoring

lm-evaluation-harness compares the labels once without and once with the answer's end token. Without it, labels of one
token share a forward pass there; the workflow always scores whole answers.
"""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from benchmarks.measure import ROOT, Figures, Progress, alternate, ratio, run_command
from benchmarks.peer_items import PeerItems, write_lines
from benchmarks.workspace import KEPT_LAYERS, REAL_STAGE, STAGE, Workspace
from stagewise.errors import InputError

COLD, WARM = "stagewise", "stagewise, lower layers kept"
LM_EVAL, LM_EVAL_WHOLE, GENERATE = "lm-eval, first tokens", "lm-eval, whole answers", "generate()"

HARNESS = ROOT / ".venv-bench" / "bin" / "python"
BATCH = 32


def run(folder: Path, settings: dict, progress: Progress) -> dict:
    """Score the sample's test items in turn with every program."""
    workspace = Workspace(folder, STAGE | settings.get("overlay", {}), models=settings["models"])
    return compare_programs(workspace, settings, progress)


def run_real(folder: Path, settings: dict, progress: Progress) -> dict:
    """Score as many real test items."""
    workspace = Workspace(folder, REAL_STAGE | settings.get("overlay", {}), "real.yaml", settings["models"])
    return compare_programs(workspace, settings, progress)


def compare_programs(workspace: Workspace, settings: dict, progress: Progress) -> dict:
    """Measure every program on a workspace's test items, and check that they agree."""
    workspace.make_inputs()
    threads = settings["threads"]
    adapter = workspace.adapter(threads)
    progress.say(f"scored is {adapter.parent.name}")
    sides = {COLD: product(workspace, adapter, threads, None)}
    kept = keep_lower_layers(workspace, adapter, threads)
    if kept is not None:
        sides[WARM] = product(workspace, adapter, threads, kept)
    items = PeerItems(workspace.recipe, workspace.model, workspace.data)
    if HARNESS.exists():
        sides[LM_EVAL] = harness(workspace, items, adapter, threads, whole_answers=False)
        sides[LM_EVAL_WHOLE] = harness(workspace, items, adapter, threads, whole_answers=True)
    else:
        progress.say("lm-evaluation-harness is not installed, so it is left out (make .venv-bench/.bench)")
    sides[GENERATE] = generation(workspace, items, adapter, threads)
    runs = alternate(sides, settings["rounds"], progress)
    check_accuracy(runs)
    figures = ("wall_seconds", "cpu_seconds", "peak_mb")
    ratios = {
        side: {figure: round(ratio(runs, side, COLD, figure), 3) for figure in figures} for side in runs if side != COLD
    }
    return {"items": len(items.scoring_items("test", False)), "runs": runs, "ratios": ratios}


def check_accuracy(runs: dict[str, list[Figures]]) -> None:
    """Check that every run of every program had the same accuracy.

    Raises
    ------
    InputError
        If one differs.
    """
    accuracies = {side: {round(figures["accuracy"], 9) for figures in of_side} for side, of_side in runs.items()}
    if len(set().union(*accuracies.values())) > 1:
        texts = [f"{side} {', '.join(map(str, sorted(values)))}" for side, values in accuracies.items()]
        raise InputError(f"the programs do not agree on the accuracy: {'; '.join(texts)}")


def keep_lower_layers(workspace: Workspace, adapter: Path, threads: int) -> Path | None:
    """Score once and return the folder with the lower layers' outputs; None if this version keeps none."""
    folder = workspace.fresh("keeping")
    workspace.predict(adapter, folder / "checkpoints", folder / "predictions", threads)
    kept = folder / "checkpoints" / KEPT_LAYERS
    return kept if kept.is_dir() else None


def product(workspace: Workspace, adapter: Path, threads: int, kept: Path | None) -> Callable[[int], Figures]:
    """Side of the workflow's prediction step, with nothing kept or with the lower layers' outputs."""

    def measure(number: int) -> Figures:
        folder = workspace.fresh(f"predicting-{number}")
        if kept is not None:
            shutil.copytree(kept, folder / "checkpoints" / KEPT_LAYERS)
        run = workspace.predict(adapter, folder / "checkpoints", folder / "predictions", threads)
        return run.costs | {"accuracy": read_accuracy(folder / "predictions" / "pubmedqa.test.csv")}

    return measure


def read_accuracy(predictions: Path) -> float:
    """Share of right answers in a prediction file."""
    with open(predictions, encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return sum(row["prediction"] == row["label"] for row in rows) / len(rows)


def harness(workspace, items: PeerItems, adapter: Path, threads: int, whole_answers: bool) -> Callable[[int], Figures]:
    """Side of lm-evaluation-harness's hf backend, on a multiple-choice task of the same texts."""
    name = "whole-answers" if whole_answers else "first-tokens"
    folder = workspace.fresh(f"harness-{name}")
    scored = items.scoring_items("test", whole_answers)
    rows = write_lines(folder / "test.jsonl", scored)
    task = {
        "task": f"stagewise-{name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "{{answers}}",
        "doc_to_target": "gold",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    command = [HARNESS, "-m", "lm_eval", "run", "--model", "hf", "--tasks", task["task"], "--include_path", folder]
    command += ["--model_args", f"pretrained={workspace.model.resolve()},peft={adapter.resolve()},dtype=float32"]
    command += ["--batch_size", BATCH, "--device", "cpu"]

    def measure(number: int) -> Figures:
        output = workspace.fresh(f"harness-{name}-{number}")
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(output / "datasets")}
        run = run_command([*command, "--output_path", output], OMP_NUM_THREADS=str(threads), **offline)
        (results,) = output.glob("**/results_*.json")
        figures = json.loads(results.read_text(encoding="utf-8"))["results"][task["task"]]
        return run.costs | {"accuracy": figures["acc,none"]}

    return measure


def generation(workspace: Workspace, items: PeerItems, adapter: Path, threads: int) -> Callable[[int], Figures]:
    """Side of greedy generation with transformers."""
    folder = workspace.fresh("generation")
    rows = write_lines(folder / "test.jsonl", items.scoring_items("test", False))
    command = [sys.executable, "-m", "benchmarks.peers.generate_answers", "--model", workspace.model]
    command += ["--adapter", adapter, "--items", rows, "--batch-size", BATCH, "--output", folder / "accuracy.json"]

    def measure(number: int) -> Figures:
        run = run_command(command, OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")
        return run.costs | json.loads((folder / "accuracy.json").read_text(encoding="utf-8"))

    return measure
