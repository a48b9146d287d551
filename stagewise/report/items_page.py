"""The local page with the texts of the items that an arm lost or gained."""

from pathlib import Path
from urllib.parse import quote

from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.lineage import data_folder
from stagewise.report.environment import environment, plain, styles
from stagewise.report.lookup import View
from stagewise.report.tables.flips import flipped


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
            licences=licences,
            closed=closed,
            page=quote(page),
        )
    )
