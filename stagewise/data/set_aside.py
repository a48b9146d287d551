"""Why rows are set aside, and where the rows of a label went."""

import re
from collections import Counter, defaultdict
from typing import NamedTuple

from stagewise.config.base import shown
from stagewise.config.tasks import Task
from stagewise.data.columns import list_names
from stagewise.data.items import Item
from stagewise.errors import InputError

UNKNOWN_LABEL = "unknown label"
NO_OPTION = "gold is none of the options"


class Problem(NamedTuple):
    """Why a row is set aside."""

    reason: str
    """As ``set_aside.csv`` has it."""
    column: str = ""
    """Column that it is about, if it is one."""


def list_problems(problems: Counter[Problem]) -> str:
    """List the most frequent problems with their numbers of rows."""
    places = [(reason, f" in '{column}'" if column else "", n) for (reason, column), n in problems.most_common(3)]
    return ", ".join(f"{reason}{place}: {n}" for reason, place, n in places)


class Losses:
    """Rows that were set aside, counted for an error about what is left."""

    def __init__(self) -> None:
        self.problems: dict[str, Counter[Problem]] = defaultdict(Counter)
        """Of the rows of each label word; of unknown labels under the empty word."""
        self.unknown_labels: Counter[str] = Counter()
        """Raw values that are no label, with the number of rows that have them."""

    def add(self, item: Item, problem: Problem, unknown_labels: tuple[str, ...] = ()) -> None:
        """Count one row."""
        for word in item.labels or [item.label]:
            self.problems[word][problem] += 1
        if problem.reason in (UNKNOWN_LABEL, NO_OPTION):
            self.unknown_labels.update(set(unknown_labels))

    def explain(self, label_word: str, label_column: str, any_left: bool) -> str:
        """Say where the rows of a label went: set aside, with the reasons, or under a value that is no label."""
        of_all = sum(self.problems.values(), Counter())
        problems = self.problems[label_word] or (Counter() if any_left or self.unknown_labels else of_all)
        if problems:
            whose = "its" if self.problems[label_word] else "all"
            count, reasons = problems.total(), list_problems(problems)
            return f"{whose} {count} rows were set aside ({reasons}): correct the data or name other columns"
        others = self.list_unknown()
        return f"the column '{label_column}' also has {others}: correct it" if others else "correct the labels"

    def list_unknown(self) -> str:
        """List the most frequent values that are no label with their numbers of rows."""
        return ", ".join(f"{shown(value, 30)} ({n} rows)" for value, n in self.unknown_labels.most_common(5))


def check_labels(name: str, task: Task, items: list[Item], losses: Losses) -> None:
    """Refuse a task without an item, or in which a label has no item left, and say where its rows went."""
    present = {word for item in items for word in item.labels or [item.label]}
    for label in task.labels:
        if label.word not in present:
            text = f"tasks.{name}: no usable row has the label value '{label.value}' ('{label.word}')"
            why = losses.explain(label.word, _label_column(task), any_left=bool(items))
            raise InputError(f"{text}; {why}{_separator_hint(name, task) if losses.unknown_labels else ''}")
    if not items:
        problems = sum(losses.problems.values(), Counter())
        values = f"; the column '{_label_column(task)}' has {losses.list_unknown()}" if losses.unknown_labels else ""
        raise InputError(
            f"tasks.{name}: there is no usable row; all {problems.total()} rows were set aside "
            f"({list_problems(problems)}){values}: correct the data or name other columns"
            f"{_gold_hint(name, task, losses)}"
        )


def check_unknown_labels(name: str, task: Task, losses: Losses) -> None:
    """Refuse values of the label column that are no label, unless their rows are to be set aside."""
    if task.unknown_labels == "set_aside" or task.kind == "multiple_choice" or not losses.unknown_labels:
        return
    setting = f"tasks.{name}.unknown_labels"
    more = f" and {rest} more" if (rest := len(losses.unknown_labels) - 5) > 0 else ""
    raise InputError(
        f"tasks.{name}: the column '{_label_column(task)}' holds {losses.list_unknown()}{more}, none of "
        f"which is a label of the task; add them to tasks.{name}.labels, or set {setting} to set_aside"
        f"{_separator_hint(name, task)}"
    )


def _label_column(task: Task) -> str:
    return list_names(task.label_columns)


def _gold_hint(name: str, task: Task, losses: Losses) -> str:
    """Name the forms of gold labels that the values may have, if none is an option in the form that is set."""
    if not task.options or not losses.unknown_labels:
        return ""
    values = [value.strip() for value in losses.unknown_labels]
    if all(re.fullmatch(r"\d+(\.0)?", value) for value in values):
        forms = "index or number"
    elif all(re.fullmatch(r"\(?[A-Za-z][).:]?", value) for value in values):
        forms = "letter or key"
    else:
        forms = "text or key"
    return f", or set tasks.{name}.options.gold to {forms}" if task.options.gold not in forms.split() else ""


def _separator_hint(name: str, task: Task) -> str:
    apart = task.kind == "multi_label" and task.label is not None
    if apart and task.separator is not None:
        return f"; if another text than {shown(task.separator)} stands between labels, correct tasks.{name}.separator"
    return f"; if a text holds several, say with tasks.{name}.separator what stands between them" if apart else ""
