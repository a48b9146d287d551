"""Prior or knowledge: what is said of a measured loss, by the verdict that the metrics draw from the decision rules."""

from stagewise.metrics.schema import PriorShift, Value
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import interval, listed, percent, plural, points
from stagewise.report.text.sentences import Sentence

VERDICTS = {
    "shifted prior": "Most of the loss on {task} is a shifted label prior, because its labels are still told apart as "
    "well as before",
    "knowledge lost": "Knowledge of {task} was lost, because its labels are told apart less well than before{runs}",
    "not shown": "Whether the loss on {task} is a shifted label prior or lost knowledge is not shown",
}


def prior(view: View, arm: str, task: str) -> Sentence | None:
    """Say if an arm's loss on a task is a shifted label prior; None where no loss is shown."""
    record: PriorShift | None = view.find("prior_shifts", arm=arm, task=task)
    if record is None or record.verdict not in VERDICTS:
        return None
    runs = f" in each of {plural(len(record.auroc), 'run')}" if len(record.auroc) > 1 else ""
    figures = _auroc(view, record, runs)
    if record.verdict != "knowledge lost":
        gains = listed(f"{moved(entry.gain)} ({entry.rule})" for entry in record.rules)
        figures.append(f"final accuracy minus that of argmax is {gains}")
    return Sentence(VERDICTS[record.verdict].format(task=task, runs=runs), "; ".join(figures))


def _auroc(view: View, record: PriorShift, runs: str) -> list[str]:
    """The change of AUROC, of several runs the smallest and the largest; empty if there is none."""
    changes = sorted((change for change in record.auroc if change.value is not None), key=lambda change: change.value)
    if not changes:
        return []
    text = f"AUROC changed by {moved(changes[0])}"
    if runs:
        ends = dict.fromkeys(points(change.value) for change in (changes[0], changes[-1]))
        text = f"AUROC changed by {' to '.join(ends)} points"
    if record.verdict == "shifted prior":
        text += f", and a fall of {percent(view.experiment.auroc_margin)} points is excluded{runs}"
    return [text]


def moved(change: Value) -> str:
    """A difference in points with its interval."""
    return f"{points(change.value)} points {interval(change.low, change.high, points)}".strip()
