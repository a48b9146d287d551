"""Scores of several experiments: a panel per task, a row per arm, a dot with its interval per experiment."""

from stagewise.comparison.experiments import Experiment, all_arms, all_tasks, measure_on, name_measures
from stagewise.metrics.schema import MAJORITY
from stagewise.report.figures.axes import CHARACTER, limits
from stagewise.report.figures.figure import Drawing, DrawnFigure, Figure, frame, groups
from stagewise.report.figures.style import WIDTH, shorten
from stagewise.report.figures.svg import MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import capital

COLUMNS = ("experiment", "arm", "task", "split", "measure", "value", "low", "high")

LINE, BOTTOM = 14, 44
"""Pixels of a line and below the axes."""

GAP = 0.8
"""Lines between two arms."""

NAME = "experiments"


def draw_figure(experiments: list[Experiment], measure: ShownMeasure) -> DrawnFigure:
    """Draw the scores of all experiments after each arm's last stage."""
    rows = []
    for task in all_tasks(experiments):
        shown = measure_on(experiments, task, measure)
        for arm in all_arms(experiments):
            for e in experiments:
                value = e.score(arm, task, shown.name) if arm in e.arms else None
                if value is not None and value.value is not None:
                    keys = e.label, arm, task, e.view.main_split, shown.name
                    rows.append((*keys, value.value, value.low, value.high))
    data = frame(COLUMNS, rows)
    drawing = _draw(experiments, measure, data)
    figure = Figure("Every arm on every task", "scores", data=lambda _: data, draw=lambda *_: drawing)
    return DrawnFigure(NAME, figure, data, drawing)


def _draw(experiments: list[Experiment], measure: ShownMeasure, data) -> Drawing:
    pictures = [
        _panel(experiments, measure_on(experiments, task, measure), task, rows) for task, rows in groups(data, "task")
    ]
    caption = (
        f"{capital(name_measures(experiments, all_tasks(experiments), measure))} on the test items after each arm's "
        "last stage. Bars: intervals of each experiment's own report; whether two differ is tested on the same items, "
        "in the table of paired differences."
    )
    keys = []
    for number, e in enumerate(experiments):
        color, shape = _style(number)
        keys.append(Key(e.label, variable(color), MARKERS[shape][1]))
    keys.append(Key("majority class", variable(MUTED), dashes="4 3"))
    return Drawing(caption, [("", pictures)], keys)


def _style(number: int) -> tuple[str, int]:
    """Colour and marker of an experiment; both together are different for each of 36."""
    turn, color = divmod(number, len(SERIES))
    return SERIES[color], (color + turn) % len(MARKERS)


def _panel(experiments: list[Experiment], measure: ShownMeasure, task: str, rows) -> Picture:
    labels = [e.label for e in experiments]
    lines, ticks = _positions(rows)
    names = [shorten(arm, 22) for arm in ticks]
    left, bottom = 16 + CHARACTER * max(map(len, names)), max(lines) + 1
    levels = _majority_levels(experiments, task, measure)
    numbers = [number for row in rows.itertuples() for number in (row.value, row.low, row.high)]

    def draw(axes):
        axes.set(xlabel=measure.axis, ylim=(bottom, -1))
        axes.set_yticks(list(ticks.values()), names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        low, high = measure.limits
        room = 0.02 * (high - low)
        axes.set_xlim(limits(measure.scaled(*numbers, *levels), low=low - room, high=high + room))
        axes.grid(axis="x")
        for level in levels:
            axes.axvline(measure.scale * level, color=MUTED, linewidth=1.5, linestyle=(0, (4, 3)))
        for y, row in zip(lines, rows.itertuples(), strict=True):
            color, shape = _style(labels.index(row.experiment))
            value, start, end = measure.scaled(row.value, row.low, row.high)
            if None not in (start, end):
                axes.hlines(y, start, end, color=color, linewidth=2)
            axes.plot([value], [y], MARKERS[shape][0], color=color, markersize=7)

    spoken = "; ".join(f"{row.arm} of {row.experiment} {measure.spoken(row.value)}" for row in rows.itertuples())
    texts = task, f"{measure.heading} on {task} by arm and experiment", f"{spoken}."
    height = LINE * (bottom + 1) + 6 + BOTTOM
    return picture(f"{NAME}-{task}", texts, max(WIDTH, left + 220), height, draw, (left, 14, 6, BOTTOM))


def _positions(rows) -> tuple[list[float], dict[str, float]]:
    """Heights of all dots in lines from the top, and of the arms' names, each beside the middle of its dots."""
    heights: list[float] = []
    ticks = {}
    y = 0.0
    for arm, dots in groups(rows, "arm"):
        heights += [y + n for n in range(len(dots))]
        ticks[arm] = y + (len(dots) - 1) / 2
        y += len(dots) + GAP
    return heights, ticks


def _majority_levels(experiments: list[Experiment], task: str, measure: ShownMeasure) -> set[float]:
    values = [e.view.value(MAJORITY, task, e.view.main_split, measure.name) for e in experiments]
    return {value.value for value in values if value is not None and value.value is not None}
