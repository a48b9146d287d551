"""Pictures with one row per arm: flips of items, and the recall of a rare label."""

from dataclasses import dataclass

from stagewise.metrics.schema import RULES, ArmStage, Decision, DecisionOverRuns, Estimate, Spread
from stagewise.report.figures.figure import Data, Figure
from stagewise.report.figures.style import arm_style, named
from stagewise.report.figures.svg import INK, MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import percent

ROW = 26


def _names(view: View) -> tuple[list[str], float]:
    """Arm names as they fit, and the pixels that they need."""
    names = [name if len(name) <= 22 else f"{name[:21]}…" for name in (named(view, arm) for arm in view.arms)]
    return names, 12 + 6.8 * max(map(len, names))


def _rows(axes, names: list[str]) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def flips(view: View) -> Figure:
    """How many items of an earlier task each arm lost and gained, the mean over runs."""
    data = Data("item-flips", ("arm", "fold", "seed", "task", "split", "lost", "gained"))
    found: dict[str, dict[str, list]] = {}
    for record in view.metrics.flips:
        if record.split == view.main_split:
            own = (record.arm, record.fold, record.seed, record.task, record.split)
            data.add(*own, len(record.lost), len(record.gained))
            found.setdefault(record.task, {}).setdefault(record.arm, []).append(record)
    mean = f", the mean over {view.over_runs()}" if view.several_runs else ""
    caption = (
        f"Items that flipped on the {view.main_split} split{mean}: to the left those that the adapter which learnt the "
        "task answered right and the arm's last one wrong, to the right the other way round."
    )
    panels = [("", [_flips(view, task, arms) for task, arms in found.items()])]
    keys = [Key("lost", variable(SERIES[1]), MARKERS[1][1]), Key("gained", variable(SERIES[0]), MARKERS[1][1])]
    return Figure(data, caption, panels if found else [], keys)


def _mean(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _flips(view: View, task: str, arms: dict[str, list]) -> Picture:
    names, left = _names(view)
    means = {
        arm: tuple(sum(len(getattr(r, side)) for r in records) / len(records) for side in ("lost", "gained"))
        for arm, records in arms.items()
    }
    most = max([n for pair in means.values() for n in pair] + [1])

    def draw(axes):
        _rows(axes, names)
        axes.set(xlim=(-1.25 * most, 1.25 * most), xlabel=f"Items of {task}")
        ticks = [tick for tick in axes.get_xticks() if abs(tick) <= 1.25 * most]
        axes.set_xticks(ticks, [f"{abs(tick):g}" for tick in ticks])
        axes.grid(axis="x")
        axes.axvline(0, color=MUTED, linewidth=1)
        for row, arm in enumerate(view.arms):
            if arm not in means:
                axes.text(0.03 * most, row, "no earlier stage", va="center", color=MUTED, size=11)
                continue
            for value, color, side in zip(means[arm], (SERIES[1], SERIES[0]), (-1, 1), strict=True):
                axes.barh([row], [side * value], height=0.62, color=color)
                align = "right" if side < 0 else "left"
                axes.text(side * (value + 0.03 * most), row, _mean(value), va="center", ha=align, size=11)

    spoken = "; ".join(f"{arm} lost {_mean(lost)}, gained {_mean(gained)}" for arm, (lost, gained) in means.items())
    texts = f"Items of {task} lost and gained", f"Items of {task} lost and gained by arm", f"{spoken}."
    return picture(f"flips-{task}", texts, left + 300, 50 + ROW * len(names), draw, (left, 12, 8, 42))


def rare_labels(view: View) -> dict[str, str]:
    """The least frequent label of each task with three or more, by its share of the main split."""
    found = {}
    for task in view.metrics.tasks:
        split = next((s for s in view.metrics.splits if (s.task, s.split) == (task.task, view.main_split)), None)
        if split and len(task.labels) > 2:
            found[task.task] = min(split.labels, key=lambda entry: entry.items).label
    return found


def recalls(view: View) -> Figure:
    """Recall of each task's rarest label by decision rule, after the stage that learnt it and after the last."""
    data = Data(
        "rare-label-recall", ("arm", "fold", "seed", "task", "label", "split", "rule", "stage", "recall", "low", "high")
    )
    panels = []
    for task, rare in rare_labels(view).items():
        drawn = []
        for rule in RULES:
            found = {arm: ends for arm in view.arms if (ends := _ends(view, data, arm, task, rare, rule))}
            if found:
                drawn.append(_recalls(view, task, rare, rule, found))
        if drawn:
            panels.append((f"Recall of “{rare}” on {task}", drawn))
    caption = (
        f"Recall of the least frequent label under each decision rule, {view.main_split} split: hollow after the stage "
        "that learnt the task, filled after the arm's last stage. "
    )
    if view.several_runs:
        caption += f"Large points are means over {view.over_runs()}, small ones single runs"
        caption += f"; bars are intervals ({view.intervals})." if view.decisions_over_runs else "; no intervals."
    else:
        caption += f"Bars are intervals ({view.interval})."
    keys = [Key("after learning it", variable(INK), MARKERS[0][1], hollow=True)]
    return Figure(data, caption, panels, [*keys, Key("after the last stage", variable(INK), MARKERS[0][1])])


@dataclass(frozen=True)
class End:
    """Recall after one stage of an arm: the mean over runs with its interval, and each run's."""

    value: float
    low: float | None
    high: float | None
    runs: list[float]


def _ends(view: View, data: Data, arm: str, task: str, rare: str, rule: str) -> dict[str, End]:
    """After the stage that learnt the task last, ``before``, and after the arm's last, ``after``, where they differ."""
    steps: dict[str, list[ArmStage]] = {}
    for run in view.runs:
        ways = view.steps(arm, run)
        if learnt := [step for step in ways if task in step.tasks]:
            if learnt[-1] is not ways[-1]:
                steps.setdefault("before", []).append(learnt[-1])
            steps.setdefault("after", []).append(ways[-1])
    found = {}
    for when, each in steps.items():
        single = [_recall(view.decisions.get((step.answers.get(task), task, rule)), rare) for step in each]
        known = [
            (step, recall) for step, recall in zip(each, single, strict=True) if recall and recall.value is not None
        ]
        if not known:
            continue
        for step, recall in known:
            own = (arm, step.fold, step.seed, task, rare, view.main_split, rule, step.stage)
            data.add(*own, recall.value, recall.low, recall.high)
        runs = [recall.value for _, recall in known]
        found[when] = End(sum(runs) / len(runs), None, None, runs)
        key = (*(step.answers.get(task) for step in each), task, rule)
        if not view.several_runs:
            found[when] = End(runs[0], known[0][1].low, known[0][1].high, runs)
        elif whole := _recall(view.decisions_over_runs.get(key), rare):
            found[when] = end = End(whole.value, whole.both.low, whole.both.high, runs)
            data.add(arm, "", "", task, rare, view.main_split, rule, each[0].stage, end.value, end.low, end.high)
    return found


def _recall(decision: Decision | DecisionOverRuns | None, label: str) -> Estimate | Spread | None:
    return next((entry.recall for entry in decision.recalls if entry.label == label), None) if decision else None


def _recalls(view: View, task: str, rare: str, rule: str, found: dict[str, dict[str, End]]) -> Picture:
    names, left = _names(view)

    def draw(axes):
        _rows(axes, names)
        axes.set(xlim=(-3, 103), xticks=range(0, 101, 25), xlabel=f"Recall of “{rare}”, %")
        axes.grid(axis="x")
        for row, arm in enumerate(view.arms):
            color, shape = arm_style(view, [arm])
            ends = found.get(arm, {})
            if len(ends) == 2:
                style = {"color": MUTED, "linewidth": 1.2, "linestyle": (0, (2, 2))}
                axes.plot([100 * end.value for end in ends.values()], [row, row], **style)
            for when, end in ends.items():
                if when == "after" and end.low is not None and end.high is not None:
                    axes.hlines(row, 100 * end.low, 100 * end.high, color=color, linewidth=2, alpha=0.5)
                if when == "after" and view.several_runs:
                    for run in end.runs:
                        axes.plot([100 * run], [row], "|", color=color, markersize=9, alpha=0.5)
                fill = "none" if when == "before" else color
                style = {"color": color, "markerfacecolor": fill, "markersize": 8, "clip_on": False}
                axes.plot([100 * end.value], [row], MARKERS[shape][0], **style)

    spoken = "; ".join(
        f"{arm} {' then '.join(f'{percent(end.value)}%' for end in ends.values())}" for arm, ends in found.items()
    )
    texts = rule, f"Recall of {rare} on {task}, rule {rule}", f"{spoken}."
    return picture(f"recall-{task}-{rule}", texts, left + 230, 50 + ROW * len(names), draw, (left, 14, 8, 42))
