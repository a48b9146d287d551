"""Items that an arm lost or gained, by id."""

from dataclasses import dataclass, field

from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count
from stagewise.report.tables.table import Cell, Table, numeric


@dataclass
class Flipped:
    """One item and the runs in which each arm lost or gained it."""

    id: str
    anchor: str
    """Its place in the local page. Made of numbers, because an id may hold anything."""
    lost: dict[str, int] = field(default_factory=dict)
    gained: dict[str, int] = field(default_factory=dict)


def flipped(view: View) -> dict[str, dict[str, Flipped]]:
    """By task and id, the items of the main split that some arm lost or gained."""
    by_task: dict[str, dict[str, Flipped]] = {}
    for record in view.select("flips", split=view.main_split):
        items = by_task.setdefault(record.task, {})
        for name in (*record.lost, *record.gained):
            items.setdefault(name, Flipped(name, ""))
        for side in ("lost", "gained"):
            for name in getattr(record, side):
                arms = getattr(items[name], side)
                arms[record.arm] = arms.get(record.arm, 0) + 1
    for task_number, items in enumerate(by_task.values(), start=1):
        for item_number, name in enumerate(sorted(items), start=1):
            items[name].anchor = f"item-{task_number}-{item_number}"
    return by_task


def flips_table(view: View) -> Table:
    """Numbers of items that each arm lost and gained."""
    mean = f", the mean over {view.over_runs()}" if view.several_runs else ""
    caption = (
        f"Items that flipped, {view.main_split} split{mean}. Lost: right after the stage that learnt the task, wrong "
        "after the arm's last stage; gained: the other way round."
    )
    items_by_task = flipped(view)
    caption += view.of_tasks.flips_note(items_by_task)
    if view.several_runs:
        caption += " In every run: lost, or gained, in all of them."
    columns = ["Arm", *numeric("Lost", "Gained")]
    if view.several_runs:
        columns += numeric("Lost", "Gained", group="In every run")
    table = Table("flips", caption, columns)
    for task, items in items_by_task.items():
        table.part(task)
        for arm in view.arms:
            by_run = view.select("flips", arm=arm, task=task, split=view.main_split)
            if not by_run:
                continue
            row = [
                Cell(f"{sum(len(getattr(r, side)) for r in by_run) / len(by_run):.1f}".removesuffix(".0"))
                for side in ("lost", "gained")
            ]
            if view.several_runs:
                for side in ("lost", "gained"):
                    row.append(Cell(count(sum(getattr(i, side).get(arm, 0) == len(by_run) for i in items.values()))))
            table.add(arm, *row)
    return table


def lost_items(view: View) -> list[tuple[str, str, list[Flipped]]]:
    """By task and arm, the items that the arm lost in some run, those of most runs first."""
    lists = []
    for task, items in flipped(view).items():
        for arm in view.arms:
            lost = sorted((i for i in items.values() if arm in i.lost), key=lambda i: (-i.lost[arm], i.id))
            if lost:
                lists.append((task, arm, lost))
    return lists
