"""Change of each probe since the untuned model over the stages, a small picture per probe."""

from typing import NamedTuple

from stagewise.report.figures.axes import limits
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import WIDTH, arm_keys, arm_style, shared_key
from stagewise.report.figures.svg import INK, MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count

HEIGHT, MARGINS = 250, (64, 10, 10, 44)

COLUMNS = ("probe", "kind", "measure", "items", "arms", "stage", "last", "change", "low", "high", "verdict")


def compute(view: View):
    """Every change since the untuned model; adapters that several arms share stand there once."""
    rows = []
    for probe in view.probes:
        record = view.probes.records[probe]
        for change in view.probes.changes(probe):
            if change.change.value is None:
                continue
            ends = [arm for arm in change.arms if view.steps(arm)[-1].stage == change.stage]
            claim = view.claim("probe", ends[0], probe) if ends else None
            keys = probe, record.kind, record.measure, record.items, " ".join(change.arms), change.stage, bool(ends)
            bounds = change.change.value, change.change.low, change.change.high
            rows.append((*keys, *bounds, claim and claim.verdict))
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw a picture per probe."""
    pictures = [_draw_probe(view, probe, rows) for probe, rows in groups(data, "probe")]
    caption = (
        "Change of each probe since the untuned model after each stage, on the same items: no stage learns it. Bars "
        f"are intervals ({view.intervals}); a filled marker is a change that is claimed, after the arm's last stage. "
        "Thin lines join the stages of an arm; dashed: no change."
    )
    plain = variable(INK if view.several_arms else SERIES[0])
    keys = [shared_key(view), *arm_keys(view)] if view.several_arms else []
    keys += [Key("change claimed", plain, MARKERS[0][1]), Key("not claimed", plain, MARKERS[0][1], hollow=True)]
    return Drawing(caption, [("", pictures)], keys)


class Point(NamedTuple):
    """A change at its place on the axes."""

    x: float
    row: object
    """Its row of the numbers."""
    arms: list[str]


def _points(view: View, rows) -> list[Point]:
    """Changes of one stage side by side, in the order of their arms."""
    points = []
    for stage, of_stage in groups(rows, "stage"):
        members = sorted(of_stage.itertuples(), key=lambda row: view.arms.index(row.arms.split()[0]))
        gap = min(0.16, 0.8 / len(members))
        for n, row in enumerate(members):
            points.append(Point(stage + gap * (n - (len(members) - 1) / 2), row, row.arms.split()))
    return points


def _draw_probe(view: View, probe: str, rows) -> Picture:
    measure, points = view.probes.measure(probe), _points(view, rows)
    last = max(point.row.stage for point in points)
    unit = f"{measure.title}, points" if measure.is_share else measure.title
    better = "" if measure.higher_is_better else "; lower is better"

    def draw_on(axes):
        axes.set(xlim=(-0.3, last + 0.5), ylabel=f"Change: {unit}")
        axes.set_xticks(range(last + 1), ["untuned", *(f"stage {n}" for n in range(1, last + 1))])
        values = [v for p in points for v in (p.row.change, p.row.low, p.row.high)]
        axes.set_ylim(limits([0, *measure.scaled(*values)], room=0.08))
        axes.grid(axis="y")
        axes.axhline(0, color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        for point in points:
            _draw_line(view, axes, measure, point, points)
        for point in points:
            _draw_point(view, axes, measure, point)

    spoken = "; ".join(
        f"{', '.join(p.arms)} {measure.write_difference(p.row.change)}{measure.difference_unit} after stage "
        f"{p.row.stage}"
        for p in points
    )
    texts = f"{probe}, {count(rows['items'].iloc[0])} items{better}", f"Change of {measure.title} on the probe {probe}"
    return picture(f"probes-{probe}", (*texts, f"{spoken}."), WIDTH, HEIGHT, draw_on, MARGINS)


def _draw_line(view: View, axes, measure, point: Point, points: list[Point]) -> None:
    """Join a change to that of the stage before, or to the untuned model."""
    before = [p for p in points if p.row.stage == point.row.stage - 1 and set(point.arms) <= set(p.arms)]
    x, change = (before[0].x, before[0].row.change) if before else (0, 0.0)
    if before or point.row.stage == 1:
        color, _ = arm_style(view, point.arms)
        axes.plot([x, point.x], measure.scaled(change, point.row.change), color=color, linewidth=1.2, alpha=0.45)


def _draw_point(view: View, axes, measure, point: Point) -> None:
    color, shape = arm_style(view, point.arms)
    y, low, high = measure.scaled(point.row.change, point.row.low, point.row.high)
    if None not in (low, high):
        axes.vlines(point.x, low, high, color=color, linewidth=1.8, alpha=0.6)
    fill = color if point.row.verdict in ("better", "worse") else "none"
    style = {"color": color, "markerfacecolor": fill, "markeredgewidth": 1.8, "markersize": 7, "clip_on": False}
    axes.plot([point.x], [y], MARKERS[shape][0], **style)


FIGURE = Figure("Probes over the stages", "probes", compute, draw)
