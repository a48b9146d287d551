"""Earlier tasks on validation while a later stage is trained: when does the model forget?"""

from stagewise.report.figures.axes import Line, draw_lines, mean_line
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import arm_keys, arm_style, label, shared_key, shorten
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import listed

OPEN = 4
"""Panels that the page does not fold away."""

COLUMNS = ("arms", "lineage", "fold", "seed", "stage", "stage_tasks", "task", "measure", "step", "value")


def compute(view: View):
    """An earlier task's validation scores over the steps of every later stage, log by log."""
    rows = []
    stages: dict[tuple[int, str], list[str]] = {}
    for lineages in view.by_stage_path().values():
        adapter = view.adapters[lineages[0]]
        stages.setdefault((adapter.stage, adapter.task), []).extend(lineages)
    for _, lineages in sorted(stages.items()):
        for task in view.tasks:
            for measure in view.measures:
                for lineage in lineages:
                    adapter, log = view.adapters[lineage], view.logs.get(lineage)
                    keys = " ".join(adapter.arms), lineage, adapter.fold, adapter.seed, adapter.stage, adapter.task
                    points = sorted(log.get("validation", f"{measure}:{task}")) if log else []
                    rows += [(*keys, task, measure, step, value) for step, value in points]
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw each later stage and earlier task, a picture per measure and in it a line for each way of training."""
    if view.compact:
        data = data[data.measure == view.primary.name]  # the other measures are among the numbers
    panels = []
    for (stage, learnt, task), rows in groups(data, "stage", "stage_tasks", "task"):
        pictures = []
        for name, of_measure in groups(rows, "measure"):
            measure = view.measures[name]
            drawn = draw_lines(
                f"during-{stage}-{learnt}-{task}-{name}",
                f"{measure.heading} on {task}",
                f"{measure.heading} on {task} while stage {stage} learns {learnt}",
                measure.axis,
                _lines(view, of_measure, measure.scale),
                measure.limits,
            )
            pictures.append(measure.fold(drawn))
        panels.append((f"{task} while stage {stage} learns {learnt}", pictures))
    sizes = listed(f"{s.items} of {s.task}" for s in view.metrics.splits if s.split == "validation")
    caption = (
        f"When does it forget? An earlier task on its validation items ({sizes}) during a later stage; step 0 is "
        "before the stage. "
    )
    caption += "Thick: the mean over runs; faint: single runs. " if view.several_runs else ""
    caption += "No intervals: validation splits are small, so read the shape and not the single point."
    caption += view.direction_note(set(data.measure))
    return Drawing(caption, panels, [shared_key(view), *arm_keys(view)] if view.several_arms else [], OPEN)


def _lines(view: View, rows, scale: int) -> list[Line]:
    logs: dict[str, dict[str, list[tuple]]] = {}
    for lineage, log in groups(rows, "lineage"):
        points = list(zip(log.step, log.value, strict=True))
        logs.setdefault(view.stage_path(lineage), {})[lineage] = points
    lines = []
    for path, by_lineage in logs.items():
        arms = view.adapters[next(iter(by_lineage))].arms
        runs = tuple([(step, scale * value) for step, value in log] for log in by_lineage.values())
        end = shorten(", ".join(label(view, arm) for arm in arms), 16) if view.several_arms else ""
        if points := mean_line(list(by_lineage.values()), scale):
            lines.append(Line(path, arm_style(view, arms), points, runs if len(runs) > 1 else (), end))
    return lines


FIGURE = Figure("When does it forget?", "forgotten", compute, draw)
