"""The training log as a tidy table, and its summary."""

from stagewise.training.arguments import _BEST


def tidy_log(history: list[dict]) -> list[tuple]:
    """(step, epoch, split, metric, value) rows from the trainer's log history."""
    rows = []
    for entry in history:
        # Sorted, because a checkpoint keeps its history so: a resumed training's log has the same order.
        for key, value in sorted(entry.items()):
            if key in ("step", "epoch") or not isinstance(value, int | float):
                continue
            split = "validation" if key.startswith("eval_") else "train"
            rows.append((entry["step"], round(entry.get("epoch", 0), 4), split, key.removeprefix("eval_"), value))
    return rows


def summarize(history: list[dict], best_metric: str) -> dict:
    """Final loss, mean token accuracy and best evaluation from the trainer's log history."""
    logged = [entry for entry in history if "loss" in entry]
    evaluated = [entry for entry in history if "eval_loss" in entry]
    scored = {entry["step"]: entry for entry in history if "eval_accuracy" in entry}
    lowest = min(evaluated, key=lambda entry: entry["eval_loss"], default=None)
    summary = {
        "final_loss": logged[-1]["loss"] if logged else None,
        "mean_token_accuracy": logged[-1].get("mean_token_accuracy") if logged else None,
        "best_eval_loss": lowest and lowest["eval_loss"],
        "best_eval_step": lowest and lowest["step"],
        "best_metric": best_metric,
        "best_value": None,
        "best_step": None,
    }
    if best_metric in _BEST:
        key, greater = _BEST[best_metric]
        entries = evaluated if best_metric == "loss" else list(scored.values())
        if entries:
            best = (max if greater else min)(entries, key=lambda entry: entry[key])
            summary |= {"best_value": best[key], "best_step": best["step"]}
    return summary
