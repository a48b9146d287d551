"""Change of an earlier task against the divergence on the new one, a point per adapter."""

from stagewise.report.figures.axes import limits
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import arm_keys, arm_style, shared_key
from stagewise.report.figures.svg import MARKERS, MUTED, Picture, picture
from stagewise.report.lookup import View

WIDTH, HEIGHT, MARGINS = 400, 300, (58, 14, 10, 44)

FEWEST = 3
"""Adapters that a pair of tasks needs to have a picture: two points always lie on a line."""

COLUMNS = ("arms", "lineage", "fold", "seed", "stage", "new_task", "split", "kl", "task", "measure", "change")


def compute(view: View):
    """Divergence of each adapter on the task that it learnt, and the change of the task that its parent had learnt."""
    rows = []
    for lineage, adapter in view.adapters.items():
        changes = {}
        for record in view.select("forgetting", comparison="paired", after_lineage=lineage):
            if (record.before_lineage, record.before_split) == (adapter.parent, view.main_split):
                changes[record.task] = record.changes.get(view.own(record.task).name)
        for drift in view.select("drifts", lineage=lineage, split=view.main_split):
            keys = " ".join(adapter.arms), lineage, adapter.fold, adapter.seed, adapter.stage, drift.task
            rows += [
                (*keys, view.main_split, drift.kl.value, task, view.own(task).name, change.value)
                for task, change in changes.items()
                if change and None not in (change.value, drift.kl.value)
            ]
    data = frame(COLUMNS, rows)
    return data[data.groupby(["task", "new_task"]).lineage.transform("size") >= FEWEST]


def draw(view: View, data) -> Drawing:
    """Draw a picture for each earlier and new task."""
    pictures = [_draw_pair(view, *pair, rows) for pair, rows in groups(data, "task", "new_task")]
    caption = (
        "Does forgetting follow the distance? To the right the divergence of a stage's adapter from its parent on the "
        f"task that it learnt, upwards the change of {view.name_primary()} on the task that the parent had learnt, "
        f"both on the {view.main_split} split; a point per adapter{' and run' if view.several_runs else ''}, without "
        "intervals. Dashed: no change. Merged adapters have no divergence of their own."
    )
    return Drawing(caption, [("", pictures)], [shared_key(view), *arm_keys(view)] if view.several_arms else [])


def _draw_pair(view: View, task: str, learnt: str, rows) -> Picture:
    measure = view.own(task)
    unit = f"{measure.title}, points" if measure.is_share else measure.title

    def draw_on(axes):
        axes.set(xlabel=f"Divergence on {learnt}, nats", ylabel=f"Change on {task}: {unit}")
        axes.set_xlim(0, 1.08 * max(rows.kl) or 1)
        axes.set_ylim(limits([0, *(measure.scale * change for change in rows.change)], room=0.1))
        axes.grid()
        axes.axhline(0, color=MUTED, linewidth=1.5, linestyle=(0, (6, 3)))
        for row in rows.itertuples():
            color, shape = arm_style(view, view.adapters[row.lineage].arms)
            axes.plot([row.kl], [measure.scale * row.change], MARKERS[shape][0], color=color, markersize=7, alpha=0.8)

    spoken = "; ".join(
        f"{view.name(row.lineage)} {row.kl:.3g} nats, {measure.write_difference(row.change)}{measure.difference_unit}"
        for row in rows.itertuples()
    )
    caption = f"{task} while {learnt} is learnt"
    texts = caption, f"Change of {measure.title} on {task} against the divergence on {learnt}", f"{spoken}."
    return picture(f"drift-{task}-{learnt}", texts, WIDTH, HEIGHT, draw_on, MARGINS)


FIGURE = Figure("Forgetting against divergence", "forgotten", compute, draw, order=1)
