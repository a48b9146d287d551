"""The local page with the texts of the items that an arm lost or gained."""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.lineage import data_folder
from stagewise.report.environment import environment, plain, styles
from stagewise.report.lookup import View
from stagewise.report.tables.flips import flipped
from stagewise.report.task_measures import GENERATION, MULTI_LABEL


def read_items(view: View, results: Path) -> dict[str, dict[str, dict]]:
    """Read label and fields of every item that flipped, by task and id, from the split files below `results`.

    Raises
    ------
    InputError
        If a split file is missing or broken, or lacks an item.
    """
    # The test split is the same in every fold, validation is not.
    folds = dict.fromkeys(fold for fold, _ in view.runs[: 1 if view.main_split == "test" else None])
    labels = {task.task: task.labels for task in view.metrics.tasks}
    by_task = {}
    for task, items in flipped(view).items():
        split: dict[str, dict] = {}
        for fold in folds:
            path = Path(results) / data_folder(fold) / task / f"{view.main_split}.jsonl"
            split |= {item["id"]: item for item in read_split(path, labels[task])}
        if missing := sorted(set(items) - set(split)):
            raise InputError(
                f"{path}: the item '{missing[0]}' of report_metrics.json is not there; run the step that writes the "
                "metrics again (scripts.metrics)"
            )
        by_task[task] = {name: item for name, item in split.items() if name in items}  # the order of the split
    return by_task


class Change(NamedTuple):
    """A generated answer before and after, in a run in which the arm lost or gained the item."""

    arm: str
    run: str
    before: str
    after: str


def read_changes(view: View, results: Path) -> dict[str, dict[str, list[Change]]]:
    """Read the generated answers to items that flipped, by task and id.

    The figures stand for the prediction files, so that these may be missing: a task is left out then.
    """
    changes: dict[str, dict[str, list[Change]]] = {}
    read = cache(_read_answers)
    for record in view.select("flips", split=view.main_split):
        if record.task not in view.of_tasks.of_kind(view.scored_tasks, MULTI_LABEL, GENERATION):
            continue
        sides = [
            read(Path(results) / lineage / "predictions" / f"{record.task}.{view.main_split}.csv")
            for lineage in (record.before_lineage, record.after_lineage)
        ]
        run = view.run(record.after_lineage) if view.several_runs else ""
        for name in (*record.lost, *record.gained):
            if all(name in answers for answers in sides):
                of_task = changes.setdefault(record.task, {})
                of_task.setdefault(name, []).append(Change(record.arm, run, *(answers[name] for answers in sides)))
    return changes


def _read_answers(path: Path) -> dict[str, str]:
    """Answers of a prediction file by id; none if it is missing."""
    if not path.is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as handle:
        return {row["id"]: row["prediction"] for row in csv.DictReader(handle)}


def render(view: View, results: Path, page: str) -> str:
    """Write the local page with the items' texts; `page` is the report's address from there."""
    licences = {task.task: task.licence for task in view.metrics.tasks}
    closed = [task.task for task in view.metrics.tasks if not task.redistribute]
    return plain(
        environment(autoescape=True)
        .get_template("items.html.j2")
        .render(
            view=view,
            css=styles(),
            items=read_items(view, results),
            flipped=flipped(view),
            changes=read_changes(view, results),
            licences=licences,
            closed=closed,
            page=quote(page),
        )
    )
