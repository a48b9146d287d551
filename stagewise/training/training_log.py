"""The training log as a tidy table, and its summary."""

from stagewise.training.arguments import BEST_METRICS


def tidy_log(history: list[dict]) -> list[tuple]:
    """Turn the trainer's log history into rows of (step, epoch, split, metric, value)."""
    rows = []
    for entry in history:
        # Sorted, because a checkpoint keeps its history so: a resumed training's log has the same order.
        for key, value in sorted(entry.items()):
            if key in ("step", "epoch") or not isinstance(value, int | float):
                continue
            split = "validation" if key.startswith("eval_") else "train"
            rows.append((entry["step"], round(entry.get("epoch", 0), 4), split, key.removeprefix("eval_"), value))
    return rows


def summarize_log(history: list[dict], best_metric: str, best_step: int | None) -> dict:
    """Pick final loss, mean token accuracy, lowest validation loss and the kept checkpoint's metric from the log.

    Parameters
    ----------
    history
        The trainer's log history of the stage.
    best_metric
        Metric that picks the checkpoint, or ``last``.
    best_step
        Step of the checkpoint that was kept by it; None if the last one was kept.

    Returns
    -------
    Facts for ``training.json``. `best_value` is the metric at `best_step`; `start_value` the metric before the first
    step, whose weights are never saved, so that the kept checkpoint may be worse.
    """
    trained = [entry for entry in history if "loss" in entry]
    evaluated = [entry for entry in history if "eval_loss" in entry]
    lowest = min(evaluated, key=lambda entry: entry["eval_loss"], default=None)
    summary = {
        "final_loss": trained[-1]["loss"] if trained else None,
        "mean_token_accuracy": trained[-1].get("mean_token_accuracy") if trained else None,
        "best_eval_loss": lowest and lowest["eval_loss"],
        "best_eval_step": lowest and lowest["step"],
        "best_metric": best_metric,
        "best_value": None,
        "best_step": best_step,
        "start_value": None,
    }
    if best_metric in BEST_METRICS:
        key, _ = BEST_METRICS[best_metric]
        # Of two entries for one step, the later one counts.
        values = {entry["step"]: entry[key] for entry in history if key in entry}
        summary |= {"best_value": values.get(best_step), "start_value": values.get(0)}
    return summary
