"""Recall of each task's rarest label by decision rule, after the stage that learnt the task and after the last."""

from stagewise.metrics.schema import RULES, ArmStage, Score, Value
from stagewise.report.figures.axes import ROW, arm_names, label_rows
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.style import arm_style
from stagewise.report.figures.svg import INK, MARKERS, MUTED, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.task_measures import CLASSIFICATION, ORDINAL

COLUMNS = ("arm", "fold", "seed", "task", "label", "split", "rule", "stage", "recall", "low", "high")


def rare_labels(view: View) -> dict[str, str]:
    """The least frequent label of each task with three or more, by its share of the main split."""
    labels = {}
    fixed = view.of_tasks.of_kind(view.scored_tasks, CLASSIFICATION, ORDINAL)
    for task in (record for record in view.metrics.tasks if record.task in fixed):
        split = next((s for s in view.metrics.splits if (s.task, s.split) == (task.task, view.main_split)), None)
        if split and len(task.labels) > 2:
            occurring = [entry for entry in split.labels if entry.items]
            labels[task.task] = min(occurring, key=lambda entry: entry.items).label
    return labels


def compute(view: View):
    """Recall of every run; with several runs also over runs, in rows without fold and seed."""
    rows = []
    for task, rare in rare_labels(view).items():
        for rule in RULES:
            for arm in view.arms:
                for steps in _stages(view, arm, task):
                    rows += _rows(view, arm, task, rare, rule, steps)
    return frame(COLUMNS, rows)


def _stages(view: View, arm: str, task: str) -> list[list[ArmStage]]:
    """Steps of all runs at the last stage that learnt the task and, if that is another, at the arm's last stage."""
    before, after = [], []
    for run in view.runs:
        steps = view.steps(arm, run)
        if learnt := [step for step in steps if task in step.tasks]:
            before += [learnt[-1]] if learnt[-1] is not steps[-1] else []
            after.append(steps[-1])
    return [steps for steps in (before, after) if steps]


def _rows(view: View, arm: str, task: str, rare: str, rule: str, steps: list[ArmStage]) -> list[tuple]:
    keys, rows = (task, rare, view.main_split, rule), []
    for step in steps:
        recall = _recall(view.score(step.answers[task], task, view.main_split, rule), rare)
        if recall and recall.value is not None:
            rows.append((arm, step.fold, step.seed, *keys, step.stage, recall.value, recall.low, recall.high))
    lineages = [step.answers[task] for step in steps]
    over_runs = _recall(view.score(lineages, task, view.main_split, rule), rare) if len(lineages) > 1 else None
    if rows and over_runs and over_runs.value is not None:
        rows.append((arm, None, None, *keys, steps[0].stage, over_runs.value, over_runs.low, over_runs.high))
    return rows


def _recall(score: Score | None, label: str) -> Value | None:
    return next((entry.recall for entry in score.labels if entry.label == label), None) if score else None


def draw(view: View, data) -> Drawing:
    """Draw each task, a picture per decision rule."""
    panels = [
        (
            f"Recall of “{rare}” on {task}",
            [_draw_rule(view, task, rare, rule, rows) for rule, rows in groups(of_task, "rule")],
        )
        for (task, rare), of_task in groups(data, "task", "label")
    ]
    caption = (
        f"Recall of the least frequent label under each decision rule, {view.main_split} split: hollow after the stage "
        "that learnt the task, filled after the arm's last stage. "
    )
    if view.several_runs:
        caption += f"Large points are means over {view.over_runs()}, small ones single runs"
        caption += f"; bars are intervals ({view.intervals})." if view.has_intervals_over_runs else "; no intervals."
    else:
        caption += f"Bars are intervals ({view.interval})."
    keys = [Key("after learning it", variable(INK), MARKERS[0][1], hollow=True)]
    return Drawing(caption, panels, [*keys, Key("after the last stage", variable(INK), MARKERS[0][1])])


def _draw_rule(view: View, task: str, rare: str, rule: str, rows) -> Picture:
    names, left = arm_names(view)
    points: dict[str, list[tuple]] = {}  # mean recall in percent, single runs, interval, and if it is the last stage
    for (arm, stage), of_stage in groups(rows, "arm", "stage"):
        over_runs, runs = of_stage[of_stage.seed.isna()], of_stage[of_stage.seed.notna()]
        summary = over_runs if view.several_runs else runs  # one run has its interval itself
        mean, bounds = runs.recall.mean(), (None, None)
        if len(summary):
            mean, bounds = summary.recall.iloc[0], (summary.low.iloc[0], summary.high.iloc[0])
        last = stage == view.steps(arm)[-1].stage
        points.setdefault(arm, []).append((100 * mean, list(runs.recall), bounds, last))

    def draw(axes):
        label_rows(axes, names)
        axes.set(xlim=(-3, 103), xticks=range(0, 101, 25), xlabel=f"Recall of “{rare}”, %")
        axes.grid(axis="x")
        for row, arm in enumerate(view.arms):
            color, shape = arm_style(view, [arm])
            ends = points.get(arm, [])
            if len(ends) == 2:
                style = {"color": MUTED, "linewidth": 1.2, "linestyle": (0, (2, 2))}
                axes.plot([end[0] for end in ends], [row, row], **style)
            for mean, runs, (low, high), last in ends:
                if last and low is not None and high is not None:
                    axes.hlines(row, 100 * low, 100 * high, color=color, linewidth=2, alpha=0.5)
                for recall in runs if last and view.several_runs else ():
                    axes.plot([100 * recall], [row], "|", color=color, markersize=9, alpha=0.5)
                fill = {"color": color, "markerfacecolor": color if last else "none"}
                axes.plot([mean], [row], MARKERS[shape][0], markersize=8, clip_on=False, **fill)

    spoken = "; ".join(f"{arm} {' then '.join(f'{end[0]:.1f}%' for end in ends)}" for arm, ends in points.items())
    texts = rule, f"Recall of {rare} on {task}, rule {rule}", f"{spoken}."
    return picture(f"recall-{task}-{rule}", texts, left + 230, 50 + ROW * len(names), draw, (left, 14, 8, 42))


FIGURE = Figure("Recall of the rarest label", "rules", compute, draw)
