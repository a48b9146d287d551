"""Items of an earlier task that each arm lost and gained."""

from stagewise.report.figures.axes import ROW, arm_names, label_rows
from stagewise.report.figures.figure import Drawing, Figure, frame, groups
from stagewise.report.figures.svg import MARKERS, MUTED, SERIES, Key, Picture, picture, variable
from stagewise.report.lookup import View

COLUMNS = ("arm", "fold", "seed", "task", "split", "lost", "gained")


def compute(view: View):
    """Count the items that every run of every arm lost and gained."""
    rows = [
        (record.arm, record.fold, record.seed, record.task, record.split, len(record.lost), len(record.gained))
        for record in view.metrics.flips
        if record.split == view.main_split
    ]
    return frame(COLUMNS, rows)


def draw(view: View, data) -> Drawing:
    """Draw a picture per earlier task, the mean over runs."""
    mean = f", the mean over {view.over_runs()}" if view.several_runs else ""
    caption = (
        f"Items that flipped on the {view.main_split} split{mean}: to the left those that the adapter which learnt the "
        "task answered right and the arm's last one wrong, to the right the other way round."
    )
    caption += view.of_tasks.flips_note(data.task.unique())
    keys = [Key("lost", variable(SERIES[1]), MARKERS[1][1]), Key("gained", variable(SERIES[0]), MARKERS[1][1])]
    return Drawing(caption, [("", [_draw_flips(view, task, rows) for task, rows in groups(data, "task")])], keys)


def _one_decimal(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _draw_flips(view: View, task: str, rows) -> Picture:
    names, left = arm_names(view)
    means = {arm: (of_arm.lost.mean(), of_arm.gained.mean()) for arm, of_arm in groups(rows, "arm")}
    longest = max([n for pair in means.values() for n in pair] + [1])

    def draw(axes):
        label_rows(axes, names)
        axes.set(xlim=(-1.25 * longest, 1.25 * longest), xlabel=f"Items of {task}")
        ticks = [tick for tick in axes.get_xticks() if abs(tick) <= 1.25 * longest]
        axes.set_xticks(ticks, [f"{abs(tick):g}" for tick in ticks])
        axes.grid(axis="x")
        axes.axvline(0, color=MUTED, linewidth=1)
        for row, arm in enumerate(view.arms):
            if arm not in means:
                axes.text(0.03 * longest, row, "not an earlier task", va="center", color=MUTED, size=11)
                continue
            for value, color, side in zip(means[arm], (SERIES[1], SERIES[0]), (-1, 1), strict=True):
                axes.barh([row], [side * value], height=0.62, color=color)
                text = {"va": "center", "ha": "right" if side < 0 else "left", "size": 11}
                axes.text(side * (value + 0.03 * longest), row, _one_decimal(value), **text)

    spoken = "; ".join(
        f"{arm} lost {_one_decimal(lost)}, gained {_one_decimal(gained)}" for arm, (lost, gained) in means.items()
    )
    texts = f"Items of {task} lost and gained", f"Items of {task} lost and gained by arm", f"{spoken}."
    return picture(f"flips-{task}", texts, left + 300, 50 + ROW * len(names), draw, (left, 12, 8, 42))


FIGURE = Figure("Items lost and gained", "items", compute, draw)
