"""Learning curves: training logs adapter by adapter, or arm beside arm if there are many."""

from stagewise.report.figures.axes import Line, draw_lines, limit_steps, mean_line
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import WIDTH, arm_keys, arm_style, shared_key
from stagewise.report.figures.svg import MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure

COLUMNS = ("lineage", "stage", "split", "metric", "step", "value")

TRAIN, VALIDATION = (SERIES[1], None), (SERIES[0], 0)
"""Colour and marker of the losses in an adapter's own pictures."""

SCORES = (VALIDATION, *((SERIES[n], n) for n in (2, 3, 4, 5)))
"""Colour and marker of validation scores that are shares, in the order of the measures."""

# Caption, axis label, split and metric of each picture that overlays arms.
OVERLAID = (
    ("Training loss", "Loss, nats per token", "train", "loss"),
    ("Validation loss", "Loss, nats per token", "validation", "loss"),
    ("Validation accuracy", "Accuracy, %", "validation", "accuracy"),
)


def compute(view: View):
    """Losses and validation scores over the steps of every training."""
    rows = [
        (lineage, adapter.stage, split, metric, step, value)
        for lineage, adapter in view.adapters.items()
        if lineage in view.logs
        for (split, metric), line in view.logs[lineage].series.items()
        if metric in ("loss", *view.measures)
        for step, value in line
    ]
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw two pictures per adapter, or three per stage if there are many adapters."""
    lines = {
        key: list(zip(line.step, line.value, strict=True)) for key, line in groups(data, "lineage", "split", "metric")
    }
    shares = _shares(view, set(data.metric))
    panels = _overlay(view, lines) if view.compact else [_draw_adapter(view, x, lines, shares) for x in view.adapters]
    items = ", ".join(f"{s.items} items of {s.task}" for s in view.metrics.splits if s.split == "validation")
    lines_are = "No intervals: curves show one training each."
    if view.compact:
        lines_are = "One line for each way of training the stage"
        lines_are += ", the mean over runs; no intervals." if view.several_runs else "; no intervals."
    caption = (
        "Losses are means over counted tokens of a batch (training, as logged) or of the whole validation split; "
        f"validation scores are over the validation split, {items}. {lines_are}"
    )
    return Drawing(caption, panels, _legend(view, shares))


def missing_reason(view: View, lineage: str) -> str | None:
    """Reason why an adapter has no curves; None if it has."""
    log = view.logs.get(lineage)
    if view.adapters[lineage].sources:
        return "made of other adapters without training"
    if view.adapters[lineage].adopted:
        return "trained elsewhere"
    return "no training log was read" if log is None else log.reason


def _draw_adapter(view: View, lineage: str, lines: dict, shares: list[ShownMeasure]) -> tuple[str, list[Picture]]:
    name = view.name(lineage)
    heading = f"Stage {view.adapters[lineage].stage}: {name}"
    if missing_reason(view, lineage):
        return heading, []
    losses = [
        (TRAIN, "training", lines.get((lineage, "train", "loss"))),
        (VALIDATION, "validation", lines.get((lineage, "validation", "loss"))),
    ]
    scores = [
        (style, f"validation {measure.title}", _percent(lines.get((lineage, "validation", measure.name))))
        for style, measure in zip(SCORES, shares, strict=False)
    ]
    return heading, [
        _draw_curves(view, lineage, "Loss", f"Loss in the training of {name}", "Loss, nats per token", losses),
        _draw_curves(view, lineage, "Validation", f"Validation in the training of {name}", "Validation, %", scores),
    ]


def _shares(view: View, logged: set[str]) -> list[ShownMeasure]:
    """Measures that are shares; where tasks are of several kinds, those that some training logs."""
    several = len(view.of_tasks.alike(view.scored_tasks)) > 1
    return [m for name, m in view.measures.items() if m.is_share and (name in logged or not several)]


def _percent(line: list[tuple] | None) -> list[tuple]:
    return [(step, 100 * value) for step, value in line or ()]


def _draw_curves(view: View, lineage: str, caption: str, title: str, axis: str, lines: list) -> Picture:
    lines = [(style, text, sorted(line)) for style, text, line in lines if line]
    training = view.find("training", lineage=lineage)
    kept = training and (training.steps if training.best_step is None else training.best_step)

    def draw(axes):
        axes.set(xlabel="Optimizer step", ylabel=axis)
        axes.grid(axis="y")
        if kept is not None:
            axes.axvline(kept, color=MUTED, linewidth=1.5, linestyle=(0, (2, 2)))
        for (color, shape), _, line in lines:
            marker = {} if shape is None else {"marker": MARKERS[shape][0], "markersize": 6}
            axes.plot(*zip(*line, strict=True), color=color, linewidth=2, clip_on=False, **marker)
        points = [point for _, _, line in lines for point in line]
        limit_steps(axes, axis, [value for _, value in points], [step for step, _ in points])
        if not lines:
            axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", color=MUTED)

    spoken = [
        f"{text} {line[0][1]:.3g} at step {line[0][0]} to {line[-1][1]:.3g} at step {line[-1][0]}"
        for _, text, line in lines
    ]
    texts = caption, title, f"{', '.join(spoken) or 'not logged'}."
    return picture(f"{caption.lower()}-{lineage}", texts, WIDTH, 210, draw, (52, 12, 10, 44))


def _overlay(view: View, lines: dict) -> list[tuple[str, list[Picture]]]:
    """By stage number and task, every way of training it in one picture."""
    stages: dict[tuple[int, str], dict[str, list[str]]] = {}
    for path, lineages in view.by_stage_path().items():
        adapter = view.adapters[lineages[0]]
        if not adapter.sources:
            stages.setdefault((adapter.stage, adapter.task), {})[path] = lineages
    panels = []
    for (stage, task), paths in sorted(stages.items()):
        pictures = []
        for caption, axis, split, metric in OVERLAID:
            drawn = []
            for path, lineages in paths.items():
                logs = [lines.get((lineage, split, metric), []) for lineage in lineages]
                if points := mean_line(logs, 100 if axis.endswith("%") else 1):
                    drawn.append(Line(path, arm_style(view, view.adapters[lineages[0]].arms), points))
            name, title = f"curves-{stage}-{task}-{split}-{metric}", f"{caption} in stage {stage}, {task}"
            pictures += [draw_lines(name, caption, title, axis, drawn)] if drawn else []
        panels.append((f"Stage {stage}: {task}", pictures))
    return panels


def _legend(view: View, shares: list[ShownMeasure]) -> list[Key]:
    if view.compact:
        return [shared_key(view), *arm_keys(view)]
    titles = ["loss", *(f"validation {measure.title}" for measure in shares[:1])]
    entries = [(TRAIN, "training loss"), (VALIDATION, f"validation {', '.join(titles)}")]
    others = zip(SCORES[1:], shares[1:], strict=False)
    entries += [(style, f"validation {measure.title}") for style, measure in others]
    keys = [
        Key(text, variable(color), None if shape is None else MARKERS[shape][1], "") for (color, shape), text in entries
    ]
    return [*keys, Key("checkpoint kept", variable(MUTED), dashes="2 2")]


FIGURE = Figure("Losses and validation scores", "curves", compute, draw)
