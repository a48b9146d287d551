"""Every task's scores over stages."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import BASELINES as NAMES
from stagewise.report.figures.figure import Data, Figure
from stagewise.report.figures.style import BASELINES, MEASURES, WIDTH, arm_style
from stagewise.report.figures.svg import INK, MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import percent


def scores(view: View) -> Figure:
    """Each task's accuracy and macro-F1 over stages, intervals around each point, baselines as lines."""
    data = Data("scores", ("lineage", "stage", "task", "split", "items", "measure", "value", "low", "high"))
    panels = []
    for task in view.tasks:
        for lineage in view.scorers:
            if score := view.score(lineage, task, view.main_split):
                for measure in MEASURES:
                    value = getattr(score, measure)
                    own = (lineage, score.stage, task, score.split, score.items, measure)
                    data.add(*own, value.value, value.low, value.high)
        panels.append(("", [_scores(view, task, measure) for measure in MEASURES]))
    items = ", ".join(f"{view.items(task, view.main_split)} items of {task}" for task in view.tasks)
    caption = (
        f"Accuracy and macro-F1 over stages on the {view.main_split} split, {items}. Bars are intervals "
        f"({view.interval}); horizontal lines are baselines; thin lines join an adapter to the one it grew from."
    )
    return Figure(data, caption, panels, _legend(view))


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
        for lineage in (*places, *NAMES)
        if (score := view.score(lineage, task, view.main_split)) and getattr(score, measure).value is not None
    }

    def draw(axes):
        axes.set(xlim=(-0.5, last + 0.5), ylim=(0, 100), yticks=range(0, 101, 20), ylabel=f"{MEASURES[measure]}, %")
        axes.set_xticks(range(last + 1), [_tick(view, stage) for stage in range(last + 1)])
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y")
        for name, dashes in BASELINES.items():
            if name in found:
                axes.axhline(100 * found[name].value, color=MUTED, linewidth=1.5, linestyle=(0, dashes))
        for lineage, place in places.items():
            adapter = view.adapters.get(lineage)
            if adapter and lineage in found and adapter.parent in found:
                color, _ = arm_style(view, adapter.arms)
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
    color, shape = arm_style(view, adapter.arms) if adapter else (INK if view.several_arms else SERIES[0], 0)
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
    tasks = {" + ".join(adapter.tasks) for adapter in view.adapters.values() if adapter.stage == stage}
    return f"stage {stage}\n{next(iter(tasks)) if len(tasks) == 1 else ''}"


def _legend(view: View) -> list[Key]:
    """What the marks mean."""
    plain = variable(INK if view.several_arms else SERIES[0])
    keys = [
        Key("task learnt at this stage or before", plain, MARKERS[0][1]),
        Key("task not learnt yet", plain, MARKERS[0][1], hollow=True),
    ]
    if view.several_arms:
        keys.append(Key("shared by several arms", variable(INK), MARKERS[0][1], ""))
        for arm in view.arms:
            color, shape = arm_style(view, [arm])
            keys.append(Key(f"arm {arm}", variable(color), MARKERS[shape][1], ""))
    known = {score.lineage for score in view.metrics.scores}
    for name, dashes in BASELINES.items():
        if name in known:
            keys.append(Key(view.name(name), variable(MUTED), dashes=" ".join(map(str, dashes))))
    return keys
