"""Train a stage with the workflow and with plain TRL scripts: same items, same order, same losses.

python -m benchmarks.run training
"""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Figures, Progress, alternate, ratio, run_command
from benchmarks.peer_items import PeerItems, write_lines
from benchmarks.workspace import KEPT_LAYERS, REAL_STAGE, STAGE, Workspace
from stagewise.errors import InputError

PRODUCT, SCRIPT, DEFAULTS = "stagewise", "TRL script, float32", "TRL's defaults"

LOSS_TOLERANCE = 1e-5
"""Largest difference of two losses, relative to the larger one and to 1: five digits."""

DEFAULTS_STEPS = 8
"""Optimizer steps with TRL's defaults, which take several times as long; they are compared by their speed alone."""


def run(folder: Path, settings: dict, progress: Progress) -> dict:
    """Train the default stage in turn with both programs and compare their losses."""
    workspace = Workspace(folder, STAGE | settings.get("overlay", {}), models=settings["models"])
    workspace.make_inputs()
    threads = settings["threads"]
    sides = {PRODUCT: product(workspace, threads), SCRIPT: script(workspace, threads)}
    runs = alternate(sides, settings["rounds"], progress)
    for one, other in zip(runs[PRODUCT], runs[SCRIPT], strict=True):
        check_losses(one["losses"], other["losses"])
    runs |= alternate({DEFAULTS: script(workspace, threads, DEFAULTS_STEPS)}, 1, progress)
    return {"runs": runs, "ratios": compare(runs)}


def run_real(folder: Path, settings: dict, progress: Progress) -> dict:
    """Train two steps in the shape of the real data; dropout draws differ, so that losses are only recorded."""
    workspace = Workspace(folder, REAL_STAGE | settings.get("overlay", {}), "real.yaml", settings["models"])
    workspace.make_inputs()
    threads = settings["threads"]
    sides = {PRODUCT: product(workspace, threads), SCRIPT: script(workspace, threads)}
    runs = alternate(sides, settings["rounds"], progress)
    return {"runs": runs, "ratios": compare(runs)}


def compare(runs: dict[str, list[Figures]]) -> dict[str, dict[str, float]]:
    """Ratios of each other side to the workflow: how many times as long, or as much."""
    ratios: dict[str, dict[str, float]] = {}
    for side in runs:
        if side == PRODUCT:
            continue
        figures = ["wall_seconds", "cpu_seconds"] if side != DEFAULTS else []
        ratios[side] = {figure: round(ratio(runs, side, PRODUCT, figure), 3) for figure in figures}
        ratios[side]["tokens_per_second"] = round(ratio(runs, PRODUCT, side, "tokens_per_second"), 3)
    return ratios


def product(workspace: Workspace, threads: int) -> Callable[[int], Figures]:
    """Side of the workflow's training step."""

    def measure(number: int) -> Figures:
        run, adapter = workspace.train(f"stagewise-{number}", threads)
        summary = json.loads((adapter / "training.json").read_text(encoding="utf-8"))
        losses, validation = read_losses(adapter / "training_log.csv")
        return run.costs | {
            "train_seconds": summary["seconds"],
            "tokens_per_second": summary["tokens_per_second"],
            "tokens": summary["tokens"],
            "steps": summary["steps"],
            "dtype": summary["dtype"],
            "lower_layers_kept": (adapter.parent / "checkpoints" / KEPT_LAYERS).is_dir(),
            "losses": losses,
            "validation_losses": validation,
        }

    return measure


def script(workspace: Workspace, threads: int, default_steps: int | None = None) -> Callable[[int], Figures]:
    """Side of the TRL script; with `default_steps`, TRL's own precision and checkpointing for so many steps."""
    items = PeerItems(workspace.recipe, workspace.model, workspace.data)
    folder, training = workspace.fresh("trl-items"), workspace.config.training
    rows = items.rows_in_order(training)
    step = training.batch_size * training.gradient_accumulation
    settings = {
        "seed": items.recipe.seed,
        "lora": workspace.config.lora.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "steps_per_epoch": int(len(rows) / training.epochs / step),
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    train = write_lines(folder / "train.jsonl", rows)
    validation = write_lines(folder / "validation.jsonl", items.training_rows("validation"))
    command = [sys.executable, "-m", "benchmarks.peers.train_with_trl", "--model", workspace.model]
    command += ["--settings", folder / "settings.json", "--train", train, "--validation", validation]
    if default_steps:
        command += ["--trl-defaults", "--max-steps", default_steps]

    def measure(number: int) -> Figures:
        output = workspace.fresh(f"trl-{number}")
        run = run_command([*command, "--output", output], OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")
        result = json.loads((output / "result.json").read_text(encoding="utf-8"))
        tokens = sum(len(row["input_ids"]) for row in rows[: result["steps"] * step])
        return run.costs | {
            "train_seconds": round(result["train_seconds"], 3),
            "tokens_per_second": round(tokens / result["step_seconds"], 1),
            "tokens": tokens,
            "steps": result["steps"],
            "losses": result["losses"],
            "validation_losses": result["validation_losses"],
        }

    return measure


def read_losses(log: Path) -> tuple[dict[str, float], list[float]]:
    """Training losses by step and validation losses after each epoch, from an adapter's training log."""
    losses, validation = {}, []
    with open(log, encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            if row["metric"] == "loss" and row["split"] == "train":
                losses[row["step"]] = float(row["value"])
            elif row["metric"] == "loss" and int(row["step"]):
                validation.append(float(row["value"]))
    return losses, validation


def check_losses(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Check that two trainings had the same losses.

    Raises
    ------
    InputError
        If they have no step in common, or a loss differs by more than `LOSS_TOLERANCE`.
    """
    common = [step for step in ours if step in theirs]
    if not common:
        raise InputError("the two trainings logged no step in common; give both the same --log-steps")
    for step in common:
        one, other = ours[step], theirs[step]
        if abs(one - other) > LOSS_TOLERANCE * max(1, abs(one), abs(other)):
            raise InputError(
                f"step {step}: the losses {one:.7f} and {other:.7f} differ, so the trainings are not the same"
            )
