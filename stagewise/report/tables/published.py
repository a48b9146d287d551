"""Published figures beside ours, and what keeps two of them from being comparable."""

from stagewise.metrics.schema import PublishedRecord
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import MISSING, count, number, percent, plural
from stagewise.report.tables.table import Cell, Column, Table, numeric, value, value_cell

SHARES = ("majority_accuracy", "f1", "precision", "recall", "mean_token_accuracy")

COUNTS = ("predicted", "support", "confusion", "steps", "best_eval_step", "items", "tokens")

# Beside every measure; the rest are losses and other plain numbers.
MAIN = ("majority_accuracy", "f1")

OF_DATA = ("majority_accuracy", "support")  # no model has a part in these

NO_ARM = "no arm learns these tasks in this order"

TITLES = {"f1": "F1", "majority_accuracy": "accuracy of the majority class"}


def differences(view: View, record: PublishedRecord) -> list[str]:
    """Known differences between the two experiments behind one pair of figures."""
    texts = []
    source = view.metrics.published_source
    of_model = record.metric not in OF_DATA
    if of_model and source and view.experiment.model.casefold() not in source.title.casefold():
        texts.append("model")
    for task in view.metrics.tasks:
        if task.task == record.task or (record.task is None and task.task in _trained_on(view, record)):
            if task.sample:
                texts.append("data (embedded sample)")
            elif task.split != "published":
                texts.append(f"split ({task.split})")
    if record.task and record.published_items != record.our_items and record.our_items is not None:
        published = MISSING if record.published_items is None else count(record.published_items)
        texts.append(f"items ({published} against {count(record.our_items)})")
    return texts


def _trained_on(view: View, record: PublishedRecord) -> list[str]:
    return view.adapters[record.lineage].tasks if record.lineage in view.adapters else []


def _position(record: PublishedRecord) -> str:
    """Position of the published figure against our interval."""
    ours = record.ours
    if ours.low is None or ours.high is None:
        return ""
    if record.published < ours.low:
        return "below our interval"
    return "above our interval" if record.published > ours.high else "inside our interval"


def main(view: View) -> Table:
    """Accuracy, macro-F1, F1 by label and the figures of the training."""
    return _table(view, "published", lambda record: record.task is None or record.metric in (*view.measures, *MAIN))


def rest(view: View) -> Table:
    """Precision, recall, answered labels and confusion counts."""
    return _table(view, "published-rest", lambda record: record.task and record.metric not in (*view.measures, *MAIN))


def _table(view: View, name: str, is_shown) -> Table:
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
    for record in filter(is_shown, view.metrics.published):
        write = _format(view, record.metric)
        source = f"{record.task}, {record.split} split" if record.task else "training"
        table.part(f"Stage {record.stage}, {source}")
        row: list = [_title(view, record)]
        row += [value(record.arm, str, NO_ARM)] if view.several_arms else []
        items = f"n = {count(record.published_items)}" if record.published_items else ""
        row += [Cell(write(record.published), items), value_cell(record.ours, write)]
        if view.several_seeds:
            mean = value(record.mean_over_seeds, number if write is _count else write, "not every seed has one")
            row.append(Cell(mean.text, f"of {plural(record.seeds, 'seed')}" if record.seeds else "", mean.reason))
        table.add(*row, _position(record), "; ".join(differences(view, record)) or "nothing known")
    return table.drop_empty()


def _format(view: View, metric: str):
    if metric in view.measures:
        return view.measures[metric].write
    return percent if metric in SHARES else _count if metric in COUNTS else number


def _count(figure: float) -> str:
    return count(int(figure)) if float(figure).is_integer() else number(figure)


def _title(view: View, record: PublishedRecord) -> str:
    if record.metric in view.measures:
        return view.measures[record.metric].title
    title = TITLES.get(record.metric, record.metric.replace("_", " "))
    if record.metric == "confusion":
        return f"{record.gold} answered as {record.label}"
    return f"{title} of {record.label}" if record.label else title


def remark(view: View) -> str:
    """Caveats of the comparison, or why there is none."""
    metrics = view.metrics
    if metrics.published_source is None:
        return "This experiment names no published figures to stand beside its own."
    if not metrics.published:
        return f"The file of published figures ({metrics.published_source.file}) holds no figure."
    training = view.experiment.config.get("training") or {}
    counted = {"answer": "the answer alone", "text": "the prompt and the answer"}.get(training.get("loss_on"))
    text = f"Published: {metrics.published_source.title}."
    by_figure = [differences(view, record) for record in metrics.published if record.metric not in OF_DATA]
    if by_figure and all("model" in texts for texts in by_figure):
        text += f" Ours are of another model ({view.experiment.model}), so nothing here reproduces a published figure."
    elif all(by_figure):
        text += " Each comparison differs in data, split or number of items, as the last column says."
    if counted:
        text += f" Our losses and token accuracies count {counted}; they compare only with figures that count the same."
    return text
