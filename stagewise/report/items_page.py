"""The local page with the texts of the items that an arm lost or gained."""

from pathlib import Path
from urllib.parse import quote

from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.lineage import data_folder
from stagewise.report.environment import environment, styles
from stagewise.report.lookup import View
from stagewise.report.tables.flips import flipped


def read_items(view: View, results: Path) -> dict[str, dict[str, dict]]:
    """Label and fields of every item that flipped, by task and id, from the split files below `results`.

    Raises
    ------
    InputError
        Where a split file is missing or broken, or lacks an item.
    """
    # The test split is the same in every fold, validation is not.
    folds = dict.fromkeys(fold for fold, _ in view.runs[: 1 if view.main_split == "test" else None])
    labels = {task.task: task.labels for task in view.metrics.tasks}
    found = {}
    for task, items in flipped(view).items():
        known: dict[str, dict] = {}
        for fold in folds:
            path = Path(results) / data_folder(fold) / task / f"{view.main_split}.jsonl"
            known |= {item["id"]: item for item in read_split(path, labels[task])}
        if unknown := sorted(set(items) - set(known)):
            raise InputError(
                f"{path}: the item '{unknown[0]}' of report_metrics.json is not there; run the step that writes the "
                "metrics again (scripts.metrics)"
            )
        found[task] = {name: known[name] for name in known if name in items}  # the order of the split
    return found


def render(view: View, results: Path, page: str) -> str:
    """The local page with the items' texts; `page` is the report's address from there."""
    licences = {task.task: task.licence for task in view.metrics.tasks}
    closed = [task.task for task in view.metrics.tasks if not task.redistribute]
    return (
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
