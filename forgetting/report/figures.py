"""The pictures: scores over stages, learning curves, reliability diagrams."""

from forgetting.metrics.schema import BASELINES, MAJORITY, TFIDF, TFIDF_BALANCED
from forgetting.plan import BASE
from forgetting.report.formats import count, percent
from forgetting.report.svg import INK, MARKERS, MUTED, RULE, SERIES, Key, Picture, picture, variable
from forgetting.report.view import View

MEASURES = {"accuracy": "Accuracy", "macro_f1": "Macro-F1"}
# Line styles of the baselines: matplotlib's (offset, dashes in points) and the same for CSS.
_BASELINES = {MAJORITY: (6, 3), TFIDF: (2, 2), TFIDF_BALANCED: (8, 2, 2, 2)}
TRAIN, VALIDATION, MACRO = (SERIES[1], None), (SERIES[0], 0), (SERIES[2], 2)
WIDTH = 330


def scores(view: View, task: str) -> list[Picture]:
    """One task's accuracy and macro-F1 over stages, intervals around each point, baselines as lines."""
    return [_scores(view, task, measure) for measure in MEASURES]


def _arm_style(view: View, arms: list[str]) -> tuple[str, int]:
    """Colour and marker; what several arms share has the text's colour and the first marker."""
    if not view.several_arms:
        return SERIES[0], 0
    if len(arms) != 1:
        return INK, 0
    place = view.arms.index(arms[0]) + 1
    return SERIES[place % len(SERIES)], place % len(MARKERS)


def _places(view: View) -> tuple[dict[str, float], int]:
    """Where each scorer stands: its stage, siblings side by side; and the most siblings of any stage."""
    stages: dict[int, list[str]] = {0: [BASE]}
    for adapter in view.adapters.values():
        stages.setdefault(adapter.stage, []).append(adapter.lineage)
    most = max(len(lineages) for lineages in stages.values())
    step = min(0.16, 0.8 / most)
    places = {
        lineage: stage + step * (n - (len(lineages) - 1) / 2)
        for stage, lineages in stages.items()
        for n, lineage in enumerate(lineages)
    }
    return places, most


def _scores(view: View, task: str, measure: str) -> Picture:
    places, most = _places(view)
    last = max(round(place) for place in places.values())
    found = {
        lineage: getattr(score, measure)
        for lineage in (*places, *BASELINES)
        if (score := view.score(lineage, task, view.main_split)) and getattr(score, measure).value is not None
    }

    def draw(axes):
        axes.set(xlim=(-0.5, last + 0.5), ylim=(0, 100), yticks=range(0, 101, 20), ylabel=f"{MEASURES[measure]}, %")
        axes.set_xticks(range(last + 1), [_tick(view, stage) for stage in range(last + 1)])
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y")
        for name, dashes in _BASELINES.items():
            if name in found:
                axes.axhline(100 * found[name].value, color=MUTED, linewidth=1.5, linestyle=(0, dashes))
        for lineage, place in places.items():
            adapter = view.adapters.get(lineage)
            if adapter and lineage in found and adapter.parent in found:
                color, _ = _arm_style(view, adapter.arms)
                ends = [100 * found[adapter.parent].value, 100 * found[lineage].value]
                axes.plot([places.get(adapter.parent, 0), place], ends, color=color, linewidth=1.2, alpha=0.45)
        for lineage, place in places.items():
            if lineage in found:
                _point(view, axes, lineage, place, found[lineage], task, most)

    spoken = ", ".join(f"{view.title(lineage)} {percent(value.value)}%" for lineage, value in found.items())
    title = f"{MEASURES[measure]} on {task} over stages"
    width = max(WIDTH, 60 + (last + 1) * max(70, 12 * most))
    name = f"scores-{task}-{measure}"
    texts = f"{MEASURES[measure]} on {task}", title, f"{view.main_split} split: {spoken}."
    return picture(name, texts, width, 250, draw, (46, 8, 10, 40))


def _point(view: View, axes, lineage: str, place: float, value, task: str, most: int) -> None:
    adapter = view.adapters.get(lineage)
    color, shape = _arm_style(view, adapter.arms) if adapter else (INK if view.several_arms else SERIES[0], 0)
    y = 100 * value.value
    if value.low is not None and value.high is not None:
        axes.vlines(place, 100 * value.low, 100 * value.high, color=color, linewidth=2)
    fill = color if view.learnt(lineage, task) else "none"
    style = {"color": color, "markerfacecolor": fill, "markeredgewidth": 2, "clip_on": False}
    axes.plot([place], [y], MARKERS[shape][0], markersize=8, **style)
    if most == 1:
        axes.annotate(percent(value.value), (place, y), (9, -4), textcoords="offset points")


def _tick(view: View, stage: int) -> str:
    if stage == 0:
        return "untuned\nmodel"
    tasks = {adapter.task for adapter in view.adapters.values() if adapter.stage == stage}
    return f"stage {stage}\n{next(iter(tasks)) if len(tasks) == 1 else ''}"


def scores_legend(view: View) -> list[Key]:
    """What the marks in `scores` mean."""
    plain = variable(INK if view.several_arms else SERIES[0])
    keys = [
        Key("task learnt at this stage or before", plain, MARKERS[0][1]),
        Key("task not learnt yet", plain, MARKERS[0][1], hollow=True),
    ]
    if view.several_arms:
        keys.append(Key("shared by several arms", variable(INK), MARKERS[0][1], ""))
        for arm in view.arms:
            color, shape = _arm_style(view, [arm])
            keys.append(Key(f"arm {arm}", variable(color), MARKERS[shape][1], ""))
    known = {score.lineage for score in view.metrics.scores}
    for name, dashes in _BASELINES.items():
        if name in known:
            keys.append(Key(view.name(name), variable(MUTED), dashes=" ".join(map(str, dashes))))
    return keys


def curves(view: View, lineage: str) -> list[Picture]:
    """Loss, then validation accuracy and macro-F1, over the steps of one training; none without a log."""
    log = view.logs.get(lineage)
    if log is None or log.reason:
        return []
    losses = [(TRAIN, "training", log.get("train", "loss")), (VALIDATION, "validation", log.get("validation", "loss"))]
    rates = [(VALIDATION, "validation accuracy", log.get("validation", "accuracy"))]
    rates += [(MACRO, "validation macro-F1", log.get("validation", "macro_f1"))]
    rates = [(style, text, [(step, 100 * value) for step, value in line]) for style, text, line in rates]
    who = view.name(lineage)
    return [
        _curves(view, lineage, "Loss", f"Loss in the training of {who}", "Loss, nats per token", losses),
        _curves(view, lineage, "Validation", f"Validation in the training of {who}", "Validation, %", rates),
    ]


def _curves(view: View, lineage: str, caption: str, title: str, label: str, lines) -> Picture:
    lines = [(style, text, sorted(line)) for style, text, line in lines if line]
    kept = next((r.best_step for r in view.metrics.training if r.lineage == lineage), None)

    def draw(axes):
        axes.set(xlabel="Optimizer step", ylabel=label)
        axes.grid(axis="y")
        if kept is not None:
            axes.axvline(kept, color=MUTED, linewidth=1.5, linestyle=(0, (2, 2)))
        for (color, shape), _, line in lines:
            marker = {} if shape is None else {"marker": MARKERS[shape][0], "markersize": 6}
            axes.plot(*zip(*line, strict=True), color=color, linewidth=2, clip_on=False, **marker)
        values = [value for _, _, line in lines for _, value in line]
        axes.set_ylim(0, 100 if label.endswith("%") else max([1.05 * v for v in values if v == v] or [1]))
        axes.set_xlim(0, max([step for _, _, line in lines for step, _ in line] or [1]))
        axes.locator_params(axis="x", integer=True, nbins=6)
        if not lines:
            axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", color=MUTED)

    spoken = [
        f"{text} {line[0][1]:.3g} at step {line[0][0]} to {line[-1][1]:.3g} at step {line[-1][0]}"
        for _, text, line in lines
    ]
    texts = caption, title, f"{', '.join(spoken) or 'not logged'}."
    return picture(f"{caption.lower()}-{lineage}", texts, WIDTH, 210, draw, (52, 12, 10, 44))


def curves_legend() -> list[Key]:
    """What the lines in `curves` mean."""
    entries = ((TRAIN, "training loss"), (VALIDATION, "validation loss, validation accuracy"))
    keys = [
        Key(text, variable(color), None if shape is None else MARKERS[shape][1], "")
        for (color, shape), text in (*entries, (MACRO, "validation macro-F1"))
    ]
    return [*keys, Key("checkpoint kept", variable(MUTED), dashes="2 2")]


def reliability(view: View, task: str) -> list[Picture]:
    """Share of right answers against confidence, for the base model and every adapter on one task."""
    found = []
    for lineage in (BASE, *view.adapters):
        score = view.score(lineage, task, view.main_split)
        if score and score.calibration:
            found.append(_reliability(view, score))
    return found


def _reliability(view: View, score) -> Picture:
    most = max(entry.items for entry in score.calibration)

    def draw(axes):
        axes.set(xlim=(0, 100), ylim=(0, 100), xticks=range(0, 101, 25), yticks=range(0, 101, 25))
        axes.set(xlabel="Confidence, %", ylabel="Right, %")
        axes.grid()
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        for entry in score.calibration:
            x, y = 100 * entry.confidence, 100 * entry.accuracy
            axes.plot([x, x], [x, y], color=RULE, linewidth=3)
            size = 4 + 8 * (entry.items / most) ** 0.5
            axes.plot([x], [y], "o", markersize=size, color=SERIES[0], alpha=0.85, clip_on=False)

    name = view.title(score.lineage)
    spoken = ", ".join(
        f"{percent(e.accuracy)}% right at {percent(e.confidence)}% ({count(e.items)} items)" for e in score.calibration
    )
    texts = name, f"Reliability of {name} on {score.task}", f"{score.split} split: {spoken}."
    return picture(f"reliability-{score.task}-{score.lineage}", texts, 220, 210, draw, (48, 10, 10, 44))
