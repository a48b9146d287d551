"""Published figures beside ours, and what keeps two of them from being comparable."""

from stagewise.metrics.schema import PublishedRecord
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import MISSING, count, number, percent, plural
from stagewise.report.tables.table import Cell, Column, Table, estimate, numeric, value

SHARES = ("accuracy", "macro_f1", "majority_accuracy", "f1", "precision", "recall", "mean_token_accuracy")

COUNTS = ("predicted", "support", "confusion", "steps", "best_eval_step", "items", "tokens")

# The rest are losses and other plain numbers.
MAIN = ("accuracy", "macro_f1", "majority_accuracy", "f1")

OF_DATA = ("majority_accuracy", "support")  # no model has a part in these

NO_ARM = "no arm learns these tasks in this order"

TITLES = {"macro_f1": "macro-F1", "f1": "F1", "majority_accuracy": "accuracy of the majority class"}


def differences(view: View, record: PublishedRecord) -> list[str]:
    """What is known to differ between the two experiments behind one pair of figures."""
    found = []
    source = view.metrics.published_source
    of_model = record.metric not in OF_DATA
    if of_model and source and view.experiment.model.casefold() not in source.title.casefold():
        found.append("model")
    for task in view.metrics.tasks:
        if task.task == record.task or (record.task is None and task.task in _trained_on(view, record)):
            if task.sample:
                found.append("data (embedded sample)")
            elif task.split != "published":
                found.append(f"split ({task.split})")
    if record.task and record.published_items != record.our_items and record.our_items is not None:
        published = MISSING if record.published_items is None else count(record.published_items)
        found.append(f"items ({published} against {count(record.our_items)})")
    return found


def _trained_on(view: View, record: PublishedRecord) -> list[str]:
    return view.adapters[record.lineage].tasks if record.lineage in view.adapters else []


def _place(record: PublishedRecord) -> str:
    """Where the published figure stands against our interval."""
    ours = record.ours
    if ours.low is None or ours.high is None:
        return ""
    if record.published < ours.low:
        return "below our interval"
    return "above our interval" if record.published > ours.high else "inside our interval"


def main(view: View) -> Table:
    """Accuracy, macro-F1, F1 by label and the figures of the training."""
    return _table(view, "published", lambda record: record.task is None or record.metric in MAIN)


def rest(view: View) -> Table:
    """Precision, recall, answered labels and confusion counts."""
    return _table(view, "published-rest", lambda record: record.task is not None and record.metric not in MAIN)


def _table(view: View, name: str, wanted) -> Table:
    seeds = f" Ours is of seed {view.experiment.seeds[0]}, beside the mean over seeds." if view.several_seeds else ""
    caption = (
        "Published figures beside ours. Shares are in percent, losses in nats; ours have intervals "
        f"({view.interval}) where they are over items, the published ones have none.{seeds} Where something differs, "
        "the two figures measure different things."
    )
    columns = ["Figure"] + (["Arm"] if view.several_arms else []) + numeric("Published", "Ours")
    columns += numeric("Mean over seeds") if view.several_seeds else []
    columns += [Column("Published is"), Column("Differs in", wide=True)]
    table = Table(name, caption, columns)
    for record in filter(wanted, view.metrics.published):
        write = percent if record.metric in SHARES else _count if record.metric in COUNTS else number
        where = f"{record.task}, {record.split} split" if record.task else "training"
        table.part(f"Stage {record.stage}, {where}")
        row: list = [_figure(record)]
        row += [value(record.arm, str, NO_ARM)] if view.several_arms else []
        items = f"n = {count(record.published_items)}" if record.published_items else ""
        row += [Cell(write(record.published), items), estimate(record.ours, write, "not computed")]
        if view.several_seeds:
            mean = value(record.mean_over_seeds, percent if write is percent else number, "not every seed has one")
            row.append(Cell(mean.text, f"of {plural(record.seeds, 'seed')}" if record.seeds else "", mean.reason))
        table.add(*row, _place(record), "; ".join(differences(view, record)) or "nothing known")
    return table.drop_empty()


def _count(figure: float) -> str:
    return count(int(figure)) if float(figure).is_integer() else number(figure)


def _figure(record: PublishedRecord) -> str:
    title = TITLES.get(record.metric, record.metric.replace("_", " "))
    if record.metric == "confusion":
        return f"{record.gold} answered as {record.label}"
    return f"{title} of {record.label}" if record.label else title


def remark(view: View) -> str:
    """What to keep in mind when reading the comparison, or why there is none."""
    metrics = view.metrics
    if metrics.published_source is None:
        return "This experiment names no published figures to stand beside its own."
    if not metrics.published:
        return f"The file of published figures ({metrics.published_source.file}) holds no figure."
    training = view.experiment.config.get("training") or {}
    counted = {"answer": "the answer alone", "text": "the prompt and the answer"}.get(training.get("loss_on"))
    text = f"Published: {metrics.published_source.title}."
    every = [differences(view, record) for record in metrics.published if record.metric not in OF_DATA]
    if every and all("model" in found for found in every):
        text += f" Ours are of another model ({view.experiment.model}), so nothing here reproduces a published figure."
    elif all(every):
        text += " Each comparison differs in data, split or number of items, as the last column says."
    if counted:
        text += f" Our losses and token accuracies count {counted}; they compare only with figures that count the same."
    return text
