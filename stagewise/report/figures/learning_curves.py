"""Learning curves: the logs of training, adapter by adapter, or arm beside arm where there are many."""

from stagewise.report.figures.figure import Data, Figure
from stagewise.report.figures.lines import Line, lines
from stagewise.report.figures.style import WIDTH, arm_keys, arm_style
from stagewise.report.figures.svg import MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View

TRAIN, VALIDATION, MACRO = (SERIES[1], None), (SERIES[0], 0), (SERIES[2], 2)

COLUMNS = ("lineage", "stage", "split", "metric", "step", "value")

# Heading, axis label, split and metric of each drawing that overlays arms.
OVERLAID = (
    ("Training loss", "Loss, nats per token", "train", "loss"),
    ("Validation loss", "Loss, nats per token", "validation", "loss"),
    ("Validation accuracy", "Accuracy, %", "validation", "accuracy"),
)


def curves(view: View) -> Figure:
    """Losses and validation scores over the steps of training; a stage without a log has its reason as heading."""
    data = Data("curves", COLUMNS)
    for lineage, adapter in view.adapters.items():
        log = view.logs.get(lineage)
        for (split, metric), line in log.series.items() if log else ():
            if metric in ("loss", "accuracy", "macro_f1"):
                for step, value in line:
                    data.add(lineage, adapter.stage, split, metric, step, value)
    drawn = _overlaid(view) if view.compact else [_single(view, lineage) for lineage in view.adapters]
    items = ", ".join(f"{s.items} items of {s.task}" for s in view.metrics.splits if s.split == "validation")
    how = "No intervals: curves show one training each."
    if view.compact:
        how = "One line for each way of training the stage"
        how += ", the mean over runs; no intervals." if view.several_runs else "; no intervals."
    caption = (
        "Losses are means over counted tokens of a batch (training, as logged) or of the whole validation split; "
        f"validation accuracy and macro-F1 are over the validation split, {items}. {how}"
    )
    return Figure(data, caption, drawn, _legend(view))


def reason(view: View, lineage: str) -> str | None:
    """Why an adapter has no curves; None where it has."""
    log = view.logs.get(lineage)
    if view.adapters[lineage].sources:
        return "made of other adapters without training"
    return "no training log was read" if log is None else log.reason


def _single(view: View, lineage: str) -> tuple[str, list[Picture]]:
    adapter = view.adapters[lineage]
    heading = f"Stage {adapter.stage}: {view.name(lineage)}"
    log = view.logs.get(lineage)
    if reason(view, lineage):
        return heading, []
    losses = [(TRAIN, "training", log.get("train", "loss")), (VALIDATION, "validation", log.get("validation", "loss"))]
    rates = [(VALIDATION, "validation accuracy", log.get("validation", "accuracy"))]
    rates += [(MACRO, "validation macro-F1", log.get("validation", "macro_f1"))]
    rates = [(style, text, [(step, 100 * value) for step, value in line]) for style, text, line in rates]
    who = view.name(lineage)
    return heading, [
        _curves(view, lineage, "Loss", f"Loss in the training of {who}", "Loss, nats per token", losses),
        _curves(view, lineage, "Validation", f"Validation in the training of {who}", "Validation, %", rates),
    ]


def _curves(view: View, lineage: str, caption: str, title: str, label: str, drawn) -> Picture:
    drawn = [(style, text, sorted(line)) for style, text, line in drawn if line]
    kept = next((r.best_step for r in view.metrics.training if r.lineage == lineage), None)

    def draw(axes):
        axes.set(xlabel="Optimizer step", ylabel=label)
        axes.grid(axis="y")
        if kept is not None:
            axes.axvline(kept, color=MUTED, linewidth=1.5, linestyle=(0, (2, 2)))
        for (color, shape), _, line in drawn:
            marker = {} if shape is None else {"marker": MARKERS[shape][0], "markersize": 6}
            axes.plot(*zip(*line, strict=True), color=color, linewidth=2, clip_on=False, **marker)
        values = [value for _, _, line in drawn for _, value in line]
        axes.set_ylim(0, 100 if label.endswith("%") else max([1.05 * v for v in values if v == v] or [1]))
        axes.set_xlim(0, max([step for _, _, line in drawn for step, _ in line] or [1]))
        axes.locator_params(axis="x", integer=True, nbins=6)
        if not drawn:
            axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", color=MUTED)

    spoken = [
        f"{text} {line[0][1]:.3g} at step {line[0][0]} to {line[-1][1]:.3g} at step {line[-1][0]}"
        for _, text, line in drawn
    ]
    texts = caption, title, f"{', '.join(spoken) or 'not logged'}."
    return picture(f"{caption.lower()}-{lineage}", texts, WIDTH, 210, draw, (52, 12, 10, 44))


def _overlaid(view: View) -> list[tuple[str, list[Picture]]]:
    """By stage number and task, every way of training it in one drawing."""
    stages: dict[tuple[int, str], dict[str, list[str]]] = {}
    for way, lineages in view.variants().items():
        adapter = view.adapters[lineages[0]]
        if not adapter.sources:
            stages.setdefault((adapter.stage, adapter.task), {})[way] = lineages
    panels = []
    for (stage, task), ways in sorted(stages.items()):
        pictures = []
        for caption, axis, split, metric in OVERLAID:
            scale = 100 if axis.endswith("%") else 1
            found = []
            for way, lineages in ways.items():
                style = arm_style(view, view.adapters[lineages[0]].arms)
                logs = [view.logs[name].get(split, metric) for name in lineages if name in view.logs]
                line = Line(way, style, mean_line(logs, scale))
                if line.points:
                    found.append(line)
            title = f"{caption} in stage {stage}, {task}"
            if found:
                pictures.append(lines(f"curves-{stage}-{task}-{split}-{metric}", caption, title, axis, found))
        panels.append((f"Stage {stage}: {task}", pictures))
    return panels


def mean_line(logs: list[list[tuple[int, float]]], scale: float = 1) -> list[tuple[int, float]]:
    """The mean over logs of every step that all of them have, times `scale`."""
    logs = [dict(log) for log in logs if log]
    if not logs:
        return []
    steps = sorted(set.intersection(*(set(log) for log in logs)))
    return [(step, scale * sum(log[step] for log in logs) / len(logs)) for step in steps]


def _legend(view: View) -> list[Key]:
    if view.compact:
        return [Key("shared by several arms", variable(arm_style(view, [])[0]), MARKERS[0][1], ""), *arm_keys(view)]
    entries = ((TRAIN, "training loss"), (VALIDATION, "validation loss, validation accuracy"))
    keys = [
        Key(text, variable(color), None if shape is None else MARKERS[shape][1], "")
        for (color, shape), text in (*entries, (MACRO, "validation macro-F1"))
    ]
    return [*keys, Key("checkpoint kept", variable(MUTED), dashes="2 2")]
