"""Checks of the splits: leaks, sizes, labels."""

from collections import Counter

from stagewise.config.tasks import SPLITS
from stagewise.data.set_aside import UNKNOWN_LABEL
from stagewise.metrics.design import Assumed, TaskItems, plan_of
from stagewise.pipeline.planned_items import group_size
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context
from stagewise.report.tables.number_format import listed
from stagewise.task_kinds import describe_answers

MANY_ROWS = 0.05
"""Share of rows that are set aside that is a warning."""

_BY_RULE = ("not drawn", "not in the split file", "duplicate text", "same text as")
"""Beginnings of reasons that follow from settings of the split and of duplicates."""

FEWEST_ITEMS = 10
FEWEST_OF_LABEL = 2

_MOST_NAMED = 5
"""Labels up to which a sentence names all."""


@check("leaks", "splits")
def check_leaks(context: Context):
    """No text of a validation or test item is trained on."""
    clean = True
    for folder in context.folders:
        summary = context.summary(folder)
        for task, facts in summary["tasks"].items():
            where = f"{context.results / folder}/{task}"
            repeats = facts.get("duplicates", {}).get("across_splits", 0)
            if repeats and context.config.duplicates.across_splits == "keep":
                clean = False
                yield Finding(
                    f"{task}: {repeats} texts in several splits",
                    "warning",
                    f"{where}: {repeats} items have the text of an item in another split, so what is tested was "
                    "seen in training; set duplicates.across_splits to drop",
                )
            if groups := facts.get("groups_across_splits"):
                clean = False
                yield Finding(
                    f"{task}: {groups} groups in several splits",
                    "warning",
                    f"{where}: {groups} groups of tasks.{task}.group are in more than one split; use the split rule "
                    "'random', which keeps groups whole, or correct the lists",
                )
        shared = summary.get("duplicates_across_tasks", 0)
        if shared and context.config.duplicates.across_tasks == "keep":
            clean = False
            yield Finding(
                f"{shared} texts in several tasks",
                "warning",
                f"{context.results / folder}: {shared} texts are in more than one task, so one task's training may see "
                "another's test; set duplicates.across_tasks to drop",
            )
    if clean:
        yield Finding("none")


@check("rows", "splits")
def check_rows(context: Context):
    """Most rows of the raw files are items."""
    for folder in context.folders[:1]:
        for task, facts in context.summary(folder)["tasks"].items():
            unwanted = context.config.active_tasks[task].unknown_labels == "set_aside"
            by_rule = (*_BY_RULE, UNKNOWN_LABEL) if unwanted else _BY_RULE
            reasons = {reason: n for reason, n in facts.get("set_aside", {}).items() if not reason.startswith(by_rule)}
            lost, rows = sum(reasons.values()), facts.get("rows", 0)
            if lost <= MANY_ROWS * rows:
                yield Finding(f"{task}: {lost} of {rows} cannot be used", "note" if lost else "ok")
                continue
            listed_reasons = listed([f"{reason}: {n}" for reason, n in reasons.items()])
            yield Finding(
                f"{task}: {lost} of {rows} cannot be used",
                "warning",
                f"tasks.{task}: {lost} of {rows} rows are set aside ({listed_reasons}); look at "
                f"{context.results / folder}/{task}/set_aside.csv, and correct the data or the columns",
            )


@check("labels", "splits")
def check_labels(context: Context):
    """Each label has items to learn from and to be tested on."""
    for task, spec in context.config.active_tasks.items():
        if spec.kind in ("multiple_choice", "generation"):  # no label is a class of its own
            yield Finding(f"{task}: {describe_answers(spec.kind, spec.words)}, {_sizes(context, task)}")
            continue
        trained = any(task in adapter.tasks for adapter in context.trainings)
        for split in SPLITS:
            if split == "train" and not trained:
                continue
            counts = context.labels(task, split)
            key = f"tasks.{task}: the {split} split"
            fewest = 1 if split == "train" else FEWEST_OF_LABEL
            few = [word for word, count in counts.items() if count < fewest]
            present = [word for word, count in counts.items() if count]
            if len(present) == 1:
                sentence = (
                    f"{key} holds the label '{present[0]}' alone, so nothing can be "
                    f"{'learnt from' if split == 'train' else 'told about the others by'} it; choose another split, or "
                    "raise limit"
                )
                yield Finding(f"{task}, {split}: one label", "warning", sentence)
            elif few:
                numbers = _fewest(counts, few)
                sentence = (
                    f"{key} has too few items of a label to say anything about it ({numbers}); choose another split, "
                    "or raise limit"
                )
                yield Finding(f"{task}, {split}: {numbers}", "warning", sentence)
        yield Finding(f"{task}: {describe_answers(spec.kind, spec.words)}, {_sizes(context, task)}")


def _fewest(counts: Counter[str], few: list[str]) -> str:
    """Say how many items the labels with too few have; of many labels, the first of those with the fewest."""
    if len(few) <= _MOST_NAMED:
        return listed(f"{counts[word]} of '{word}'" for word in few)
    named = sorted(few, key=counts.__getitem__)[:_MOST_NAMED]
    numbers = [f"{counts[word]} of '{word}'" for word in named]
    return f"{len(few)} of {len(counts)} labels, such as {listed(numbers)}"


def _sizes(context: Context, task: str) -> str:
    return f"{' / '.join(str(len(context.items(task, split))) for split in SPLITS)} items"


@check("what it could show", "splits")
def check_sizes(context: Context):
    """The scored split is large enough to show anything."""
    config = context.config
    split = "test" if "test" in config.evaluation.splits else config.evaluation.splits[0]
    items = {}
    for task in config.active_tasks:
        groups = [item.get("group") for item in context.items(task, split)]
        items[task] = TaskItems(len(groups), group_size(groups))
    for task, counted in items.items():
        if counted.items < FEWEST_ITEMS:
            sentence = (
                f"tasks.{task}: the {split} split has {counted.items} items, and no difference can be shown with so "
                "few; choose another split, or raise limit"
            )
            yield Finding(f"{task}: {counted.items} {split} items", "warning", sentence)
    design, findings = plan_of(config, items, _overlap(context)), {}
    what = {"kept": "kept", "probe": "lost as a probe", "arms": "between arms"}
    for group in design.comparisons:
        points = design.detectable(group, Assumed(noise=0.0))
        least = "no difference" if points is None else f"differences from {100 * points:.0f} points on"
        findings[f"{group.task or 'mean over tasks'}, {what[group.kind]}: {least} (see scripts.design)"] = (
            "note" if points is None else "ok"
        )
    # Several orders of tasks have a reference arm each, of which mostly the same is to be said.
    yield from (Finding(text, level) for text, level in findings.items())
    if not design.comparisons:
        yield Finding("nothing is compared: no earlier task and one arm", "note")


def _overlap(context: Context) -> float:
    """Held-out over training items of a fold, the largest of the tasks'; 0 without folds."""
    folded = [
        task
        for task, spec in context.config.active_tasks.items()
        if getattr(spec.splits[spec.split], "fold", None) is not None and len(context.folders) > 1
    ]
    return max((len(context.items(t, "validation")) / len(context.items(t, "train")) for t in folded), default=0.0)
