"""Gold answers of raw records, by the task's kind."""

from typing import NamedTuple

from stagewise.config.tasks import Task
from stagewise.data.options import GoldOption, read_options
from stagewise.data.set_aside import NO_OPTION, UNKNOWN_LABEL, Problem
from stagewise.data.texts import as_text, is_readable, read_list
from stagewise.errors import InputError

FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
"""Cells of a column for one label."""


class Gold(NamedTuple):
    """Gold answer of a record, as `items.Item` has it."""

    label: str = ""
    problem: Problem | None = None
    """Why the row cannot be used."""
    unknown: tuple[str, ...] = ()
    """Raw values that are no label, or no option."""
    labels: tuple[str, ...] | None = None
    references: tuple[str, ...] | None = None
    options: int | None = None
    option_lines: str | None = None


class GoldReader:
    """Reader of the gold answers of one task."""

    def __init__(self, name: str, task: Task):
        self.name, self.task = name, task
        self.column = task.label_columns[0]
        self.words = {label.value: label.word for label in task.labels}
        self.option = GoldOption(task.options, self.column) if task.options else None
        self._read = {
            "multiple_choice": self._read_option,
            "multi_label": self._read_labels,
            "generation": self._read_references,
        }.get(task.kind, self._read_label)

    def read(self, record: dict, location: str) -> Gold:
        """Read the gold answer of a record; errors call it `location`.

        Raises
        ------
        InputError
            For a value of another kind of task.
        """
        return self._read(record, location)

    def check(self) -> None:
        """Refuse gold answers that as a whole do not fit the settings."""
        if self.option:
            self.option.check(self.name)

    def _read_label(self, record: dict, location: str) -> Gold:
        value = record[self.column]
        if isinstance(value, list):
            raise InputError(
                f"{location}: the column '{self.column}' holds a list of labels; set tasks.{self.name}.kind to "
                "multi_label, or name one of the list by its place"
            )
        text = as_text(value)
        if text in self.words:
            return Gold(self.words[text])
        return self._empty() if not text.strip() else Gold("", Problem(UNKNOWN_LABEL, self.column), (text,))

    def _read_labels(self, record: dict, location: str) -> Gold:
        if self.task.label is None:
            return self._read_flags(record)
        value = record[self.column]
        if value is None:
            return self._empty()
        return self._labels([as_text(label).strip() for label in self._split(value)])

    def _read_flags(self, record: dict) -> Gold:
        """Labels of a record with a column of 0 and 1 for each."""
        flags = {column: as_text(record[column]).strip().lower() for column in self.words}
        if not any(flags.values()):
            return self._empty()
        if odd := tuple(f"{column}: {flag}" for column, flag in flags.items() if flag not in FLAGS):
            return Gold("", Problem(UNKNOWN_LABEL, self.column), odd)
        return self._labels([column for column, flag in flags.items() if FLAGS[flag]])

    def _labels(self, values: list[str]) -> Gold:
        if unknown := tuple(label for label in values if label and label not in self.words):
            return Gold("", Problem(UNKNOWN_LABEL, self.column), unknown)
        words = {self.words[label] for label in values if label}
        labels = tuple(word for word in self.task.words if word in words)
        return Gold(", ".join(labels) or self.task.answer_without_label, labels=labels)

    def _split(self, value) -> list:
        """Labels of a cell: a list, a text with separators, a list written as a text, or a single label."""
        if isinstance(value, list):
            return value
        if self.task.separator is not None:
            return as_text(value).split(self.task.separator)
        written = read_list(value) if isinstance(value, str) else None
        return [value] if written is None else written

    def _read_option(self, record: dict, location: str) -> Gold:
        options, problem = read_options(self.task.options, record, location)
        if problem:
            return Gold("", problem)
        value = record[self.column]
        if isinstance(value, list):
            if len(value) > 1:
                return Gold("", Problem("more than one right option", self.column))
            value = value[0] if value else None
        text = as_text(value).strip()
        if not text:
            return self._empty()
        place = self.option.find(text, options)
        if place is None:
            return Gold("", Problem(NO_OPTION, self.column), (text,))
        return Gold(self.task.words[place], options=len(options.raw), option_lines=options.lines)

    def _read_references(self, record: dict, location: str) -> Gold:
        value = record[self.column]
        values = value if isinstance(value, list) else [value]
        if any(isinstance(reference, list | dict) for reference in values):
            return Gold("", Problem("not text", self.column))
        references = tuple(dict.fromkeys(text for v in values if (text := as_text(v).strip())))
        if not references:
            return Gold("", Problem("empty reference", self.column))
        if not all(map(is_readable, references)):
            return Gold("", Problem("unreadable text", self.column))
        return Gold(references[0], references=references)

    def _empty(self) -> Gold:
        return Gold("", Problem("empty label", self.column))
