"""When does it forget? Earlier tasks on validation while a later stage is trained."""

from stagewise.report.figures.figure import Data, Figure
from stagewise.report.figures.learning_curves import mean_line
from stagewise.report.figures.lines import Line, lines
from stagewise.report.figures.style import MEASURES, arm_keys, arm_style, label
from stagewise.report.figures.svg import MARKERS, Key, variable
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import listed

COLUMNS = ("arms", "lineage", "fold", "seed", "stage", "stage_tasks", "task", "measure", "step", "value")


def during(view: View) -> Figure:
    """An earlier task's validation scores over the steps of every later stage, one line for each way of training it."""
    data = Data("earlier-task-in-training", COLUMNS)
    stages: dict[tuple[int, str], dict[str, list[str]]] = {}
    for way, lineages in view.variants().items():
        adapter = view.adapters[lineages[0]]
        stages.setdefault((adapter.stage, adapter.task), {})[way] = lineages
    panels = []
    for (stage, learnt), ways in sorted(stages.items()):
        for task in view.tasks:
            found = [(m, _lines(view, data, ways, task, m)) for m in MEASURES]
            pictures = [
                lines(
                    f"during-{stage}-{learnt}-{task}-{measure}",
                    f"{MEASURES[measure]} on {task}",
                    f"{MEASURES[measure]} on {task} while stage {stage} learns {learnt}",
                    f"{MEASURES[measure]}, %",
                    drawn,
                )
                for measure, drawn in found
                if drawn
            ]
            if pictures:
                panels.append((f"{task} while stage {stage} learns {learnt}", pictures))
    sizes = listed(f"{s.items} of {s.task}" for s in view.metrics.splits if s.split == "validation")
    caption = (
        f"When does it forget? An earlier task on its validation items ({sizes}) during a later stage; step 0 is "
        "before the stage. "
    )
    caption += "Thick: the mean over runs; faint: single runs. " if view.several_runs else ""
    caption += "No intervals: validation splits are small, so read the shape and not the single point."
    keys = [Key("shared by several arms", variable(arm_style(view, [])[0]), MARKERS[0][1], "")]
    return Figure(data, caption, panels, [*keys, *arm_keys(view)] if view.several_arms else [])


def _lines(view: View, data: Data, ways: dict[str, list[str]], task: str, measure: str) -> list[Line]:
    found = []
    for way, lineages in ways.items():
        logs = []
        for lineage in lineages:
            log, adapter = view.logs.get(lineage), view.adapters[lineage]
            points = sorted(log.get("validation", f"{measure}:{task}")) if log else []
            own = (" ".join(adapter.arms), lineage, adapter.fold, adapter.seed, adapter.stage, adapter.task)
            for step, value in points:
                data.add(*own, task, measure, step, value)
            if points:
                logs.append(points)
        if points := mean_line(logs, 100):
            runs = tuple([(step, 100 * value) for step, value in log] for log in logs) if len(logs) > 1 else ()
            arms = view.adapters[lineages[0]].arms
            end = ", ".join(label(view, arm) for arm in arms) if view.several_arms else ""
            found.append(Line(way, arm_style(view, arms), points, runs, end if len(end) <= 16 else f"{end[:15]}…"))
    return found
