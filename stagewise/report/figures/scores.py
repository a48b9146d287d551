"""Scores on every task over stages."""

from stagewise.metrics.schema import BASELINES as NAMES
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import BASELINES, WIDTH, arm_style
from stagewise.report.figures.svg import INK, MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import listed

COLUMNS = ("lineage", "stage", "task", "split", "items", "measure", "value", "low", "high")


def compute(view: View):
    """Every measure of every model on every task; no rows if adapters are too many for a picture."""
    rows = []
    for task in view.scored_tasks if not view.compact else ():
        for lineage in view.scorers:
            if score := view.score(lineage, task, view.main_split):
                items = view.predictions(lineage, task, view.main_split).items
                for measure in view.of_tasks.measures_of(task):
                    value = score.measures[measure]
                    keys = lineage, _stage(view, lineage), task, view.main_split, items, measure
                    rows.append((*keys, value.value, value.low, value.high))
    return frame(COLUMNS, rows)


def _stage(view: View, lineage: str) -> int | None:
    if lineage in view.adapters:
        return view.adapters[lineage].stage
    return 0 if lineage in view.untuned else None


def draw(view: View, data) -> Drawing:
    """Draw a picture per task and measure."""
    panels = [
        (task if view.of_tasks.are_mixed else "", _draw_task(view, task, of_task))
        for task, of_task in groups(data, "task")
    ]
    items = ", ".join(f"{view.items(task, view.main_split)} items of {task}" for task in view.scored_tasks)
    titles = listed(measure.title for name, measure in view.measures.items() if name in set(data.measure))
    caption = (
        f"{titles[0].upper()}{titles[1:]} over stages on the {view.main_split} split, {items}. Bars are intervals "
        f"({view.interval}); horizontal lines are baselines; thin lines join an adapter to the one it grew from."
        f"{view.direction_note(set(data.measure))}"
    )
    narrow = all(picture.width <= WIDTH for _, pictures in panels for picture in pictures)
    return Drawing(caption, panels, _legend(view), style="keyed" if narrow else "")


def _draw_task(view: View, task: str, rows) -> list[Picture]:
    measures = view.of_tasks.measures_of(task)
    return [_draw_scores(view, task, measures[name], of_measure) for name, of_measure in groups(rows, "measure")]


def _positions(view: View) -> tuple[dict[str, float], int]:
    """Position of every model on the x axis, siblings of a stage side by side; and the largest number of siblings."""
    stages: dict[int, list[str]] = {0: list(view.untuned)}
    for adapter in view.adapters.values():
        stages.setdefault(adapter.stage, []).append(adapter.lineage)
    siblings = max(len(lineages) for lineages in stages.values())
    gap = min(0.16, 0.8 / siblings)
    positions = {
        lineage: stage + gap * (n - (len(lineages) - 1) / 2)
        for stage, lineages in stages.items()
        for n, lineage in enumerate(lineages)
    }
    return positions, siblings


def _draw_scores(view: View, task: str, measure: ShownMeasure, rows) -> Picture:
    positions, siblings = _positions(view)
    last = max(round(position) for position in positions.values())
    scores = {row.lineage: row for row in rows.itertuples() if row.value is not None}
    scores = {lineage: scores[lineage] for lineage in (*positions, *NAMES) if lineage in scores}

    def draw(axes):
        low, high = measure.limits
        ticks = [low + n * (high - low) / 5 for n in range(6)]
        axes.set(xlim=(-0.5, last + 0.5), ylim=(low, high), yticks=ticks, ylabel=measure.axis)
        axes.set_xticks(range(last + 1), [_tick(view, stage) for stage in range(last + 1)])
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y")
        for name, dashes in BASELINES.items():
            if name in scores:
                axes.axhline(measure.scale * scores[name].value, color=MUTED, linewidth=1.5, linestyle=(0, dashes))
        for lineage, position in positions.items():
            adapter = view.adapters.get(lineage)
            if adapter and lineage in scores and adapter.parent in scores:
                color, _ = arm_style(view, adapter.arms)
                ends = measure.scaled(scores[adapter.parent].value, scores[lineage].value)
                axes.plot([positions.get(adapter.parent, 0), position], ends, color=color, linewidth=1.2, alpha=0.45)
        for lineage, position in positions.items():
            if lineage in scores:
                _draw_score(view, axes, position, scores[lineage], measure, annotate=siblings == 1)

    spoken = ", ".join(f"{view.title(lineage)} {measure.spoken(score.value)}" for lineage, score in scores.items())
    texts = f"{measure.heading} on {task}", f"{measure.heading} on {task} over stages"
    width = max(WIDTH, 60 + (last + 1) * max(70, 12 * siblings))
    spoken = f"{view.main_split} split: {spoken}."
    drawn = picture(
        f"scores-{task}-{measure.name}", (*texts, spoken), width, 250, draw, (46 + measure.axis_room, 8, 10, 40)
    )
    return measure.fold(drawn)


def _draw_score(view: View, axes, position: float, score, measure: ShownMeasure, annotate: bool) -> None:
    adapter = view.adapters.get(score.lineage)
    color, shape = arm_style(view, adapter.arms) if adapter else (INK if view.several_arms else SERIES[0], 0)
    y, low, high = measure.scaled(score.value, score.low, score.high)
    if low is not None and high is not None:
        axes.vlines(position, low, high, color=color, linewidth=2)
    fill = color if view.learnt(score.lineage, score.task) else "none"
    style = {"color": color, "markerfacecolor": fill, "markeredgewidth": 2, "clip_on": False}
    axes.plot([position], [y], MARKERS[shape][0], markersize=8, **style)
    if annotate:
        axes.annotate(measure.write(score.value), (position, y), (9, -4), textcoords="offset points")


def _tick(view: View, stage: int) -> str:
    if stage == 0:
        return "untuned\nmodel"
    tasks = {" + ".join(adapter.tasks) for adapter in view.adapters.values() if adapter.stage == stage}
    return f"stage {stage}\n{next(iter(tasks)) if len(tasks) == 1 else ''}"


def _legend(view: View) -> list[Key]:
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
    for name, dashes in BASELINES.items():
        if name in view.scorers:
            keys.append(Key(view.name(name), variable(MUTED), dashes=" ".join(map(str, dashes))))
    return keys


FIGURE = Figure("Scores over stages", "before-after", compute, draw)
