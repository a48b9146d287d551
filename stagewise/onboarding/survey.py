"""The task in a table: answer, kind, fields, ids, groups, repeats."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from stagewise.data.columns import MISSING, follow
from stagewise.data.duplicates import normalize
from stagewise.errors import InputError
from stagewise.onboarding.answers import (
    FLAGS,
    Answer,
    LabelCount,
    constant_flags,
    find_answer,
    flag_columns,
    join_flags,
    label_counts,
    looks_like_scale,
)
from stagewise.onboarding.columns import (
    GROUPS,
    IDS,
    REVEALING,
    SPLITS,
    TEXTS,
    Column,
    named,
    prompt_text,
    variable,
    written_lists,
)
from stagewise.onboarding.files import Table
from stagewise.onboarding.options import OptionColumns, find_options, options_of_rows
from stagewise.onboarding.unsupported import nested_problem
from stagewise.task_kinds import TaskKind

_MOST_FIELDS = 4

_MOST_EMPTY = 0.02
"""Share of empty cells up to which a column becomes a field by itself: a row with an empty field is left out."""

_SPLIT_NAMES = {"train", "training", "dev", "val", "valid", "validation", "test", "testing"}


@dataclass(frozen=True)
class Choices:
    """The user's own words, which leave nothing to guess."""

    kind: TaskKind | None = None
    label: str | None = None
    fields: Sequence[str] = ()
    id: str | None = None
    """An empty text for none."""
    options: Sequence[str] = ()


@dataclass
class Survey:
    """A task as its files show it."""

    table: Table
    columns: dict[str, Column]
    answer: Answer
    labels: list[LabelCount]
    """None for `multiple_choice` and `generation`."""
    options: OptionColumns | None
    fields: dict[str, str]
    """Columns by prompt variable."""
    id: str | None
    rows: list[int] = field(default_factory=list)
    """Rows that can be used, by their index among all."""
    repeats: int = 0
    """Rows whose fields repeat those of an earlier one, compared as `duplicates` does."""
    conflicts: int = 0
    """Those of them that have another answer."""
    left_out: list[str] = field(default_factory=list)
    """Columns with text that are no fields."""
    groups: list[str] = field(default_factory=list)
    """Columns whose values may belong together."""
    split_column: str | None = None
    shown_options: list[str] = field(default_factory=list)
    """Columns with options, of which any number may be right."""
    constant_flags: list[str] = field(default_factory=list)
    """Columns beside those of a label each that hold 0 or 1 alone."""

    @property
    def kind(self) -> TaskKind:
        return self.answer.kind

    @property
    def longest_field(self) -> str:
        """Variable with the longest texts, which is the one to cut."""
        return max(self.fields, key=lambda name: self.columns[self.fields[name]].median_length)

    @property
    def other_answers(self) -> list[str]:
        """Columns that could be the answer as well."""
        return [name for name in self.answer.others if name not in self.fields.values()]

    @property
    def may_be_ordinal(self) -> bool:
        return self.kind == "classification" and looks_like_scale(self.columns[self.answer.column])

    @cached_property
    def words(self) -> dict[str, str]:
        """Label words by value."""
        return {label.value: label.word for label in self.labels}

    @cached_property
    def option_lines(self) -> list[str]:
        """Options of every row as a prompt has them."""
        return [options.lines for options in options_of_rows([self.columns[name] for name in self.options.columns])]

    @property
    def no_label(self) -> str:
        """Answer to an item of `multi_label` without a label: a word that no label has."""
        taken = {word.casefold() for word in self.words.values()}
        return next(word for word in ("none", "nothing", "no label") if word not in taken)

    def answers(self, row: int) -> list[str]:
        """Answers to a row: its label word, all its words, or its references."""
        column = self.columns[self.answer.column]
        if self.kind == "generation":
            return column.elements[row] if column.is_list else [column.texts[row]]
        if self.kind == "multi_label":
            text = column.texts[row]
            parts = column.elements[row] if column.is_list else text.split(self.answer.separator or "\0")
            given = {part.strip() for part in parts}
            return [word for value, word in self.words.items() if value in given] or [self.no_label]
        return [self.words.get(column.texts[row], column.texts[row])]

    def field_texts(self, row: int) -> list[str]:
        """Texts of a row's fields."""
        return [prompt_text(self.columns[name].values[row]) for name in self.fields.values()]


def survey(table: Table, choices: Choices) -> Survey:
    """Find the task in a table.

    Raises
    ------
    InputError
        If a column that is named is not there, or no task of a supported kind is in it.
    """
    columns = _columns(table)
    for name in (choices.label, choices.id, *choices.fields, *choices.options):
        if name and name not in columns and not _add_inner_column(table, columns, name):
            raise InputError(f"there is no column '{name}'; the files have {', '.join(list(columns)[:12])}")
    split_column = next((name for name, column in columns.items() if _is_split(column)), None)
    candidates = {name: column for name, column in columns.items() if name != split_column}
    options = None
    if choices.kind in (None, "multiple_choice"):
        options = find_options(candidates, list(choices.options), choices.label)
    if choices.kind == "multiple_choice" and options is None:
        raise InputError(
            "no columns look like the options of an item; name them with --options and the right one with --label"
        )
    is_free = not choices.label and choices.kind in (None, "multi_label") and not options
    flags = [n for n in flag_columns(candidates) if n not in choices.fields] if is_free else []
    if options:
        answer, labels = Answer(options.label, "multiple_choice"), []
    elif flags:
        columns[FLAGS] = join_flags(columns, flags)
        answer, labels = Answer(FLAGS, "multi_label", flags=tuple(flags)), label_counts(columns[FLAGS])
    else:
        answer = find_answer(
            {name: c for name, c in candidates.items() if name not in choices.fields}, choices.label, choices.kind
        )
        has_labels = answer.kind != "generation"
        labels = label_counts(columns[answer.column], answer.separator) if has_labels else []
    taken = {answer.column, *answer.flags, *(options.columns if options else ())}
    item_id = _id_column(candidates, taken, table) if choices.id is None else choices.id or None
    shown_options = [] if choices.fields or answer.kind != "multi_label" else _options_of_keys(candidates, labels)
    fields, left_out = _fields(candidates, taken | {item_id, *shown_options}, choices.fields)
    fields |= {_new_variable(name, fields): name for name in shown_options}
    task = Survey(table, columns, answer, labels, options, fields, item_id, left_out=left_out)
    task.split_column, task.shown_options = split_column, shown_options
    task.constant_flags = constant_flags(candidates) if flags else []
    task.groups = [
        name
        for name, column in candidates.items()
        if name not in taken and name != item_id and name not in fields.values() and _is_group(column)
    ]
    _count_rows(task)
    return task


def _columns(table: Table) -> dict[str, Column]:
    rows = table.rows
    columns = {}
    for name in table.names:
        values = [row.get(name) for row in rows]
        column = Column(name, written_lists(values), tuple(table.class_names.get(name, ())))
        # The first element of lists is a column of its own if it is their only one, and a class.
        if not name.endswith(".0") or (column.is_class and all(name in row or not row.get(name[:-2]) for row in rows)):
            columns[name] = column
    return columns


def _add_inner_column(table: Table, columns: dict[str, Column], path: str) -> bool:
    """Add the column that a path of the user's leads to, such as `answers.text` in lists of records."""
    values = [follow(row, path) for row in table.rows]
    if all(value is MISSING for value in values):
        return False
    columns[path] = Column(path, [None if value is MISSING else value for value in values])
    return True


def _is_split(column: Column) -> bool:
    values = {text.strip().lower() for text in column.counts}
    return column.is_scalar and len(values) > 1 and values <= _SPLIT_NAMES and named(column.name, SPLITS)


def _id_column(columns: dict[str, Column], taken: set[str], table: Table) -> str | None:
    """Choose a column of short, unique values whose name says that it identifies an item."""
    for name, column in columns.items():
        if name in taken or not named(name, IDS, last=True) or not column.is_scalar:
            continue
        short = all(len(text) <= 64 and not any(c.isspace() for c in text) for text in column.counts)
        # Files may number their rows anew.
        start, unique = 0, True
        for part in table.parts.values():
            texts = column.texts[start : start + len(part.rows)]
            unique &= all(texts) and len(set(texts)) == len(texts)
            start += len(part.rows)
        if short and unique and len({type(value) for value in column.values}) == 1:
            return name
    return None


def _fields(columns: dict[str, Column], taken: set, named_columns: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Choose the prompt's columns; also return those with text that are left out."""
    inner = tuple(f"{name}." for name in taken if name)  # what a column holds that is the answer or the options
    usable = {n: c for n, c in columns.items() if n not in taken and not n.startswith(inner) and _can_be_field(c)}
    if named_columns:
        chosen = list(named_columns)
        if none := next((name for name in chosen if not columns[name].is_text and not columns[name].is_scalar), None):
            raise InputError(f"the column '{none}' holds no texts; name others with --fields")
    else:
        chosen = [n for n, c in usable.items() if named(n, TEXTS) and not named(n, REVEALING) and _is_full(c)]
        last = [n for n in chosen if named(n, TEXTS, last=True)]
        chosen = (last or chosen)[:_MOST_FIELDS]
        if not chosen:
            plain = [name for name in usable if not named(name, REVEALING) and usable[name].median_length >= 4]
            chosen = sorted(plain, key=lambda name: -usable[name].median_length)[:1]
    if not chosen:
        raise InputError(nested_problem(columns) or "no column with text is left for the prompt; name it with --fields")
    fields = {}
    for name in chosen:
        fields[_new_variable(name, fields)] = name
    return fields, [name for name in usable if name not in chosen and usable[name].median_length > 0]


def _new_variable(name: str, fields: dict[str, str]) -> str:
    """Name of a prompt variable for a column that no other one has."""
    key = variable(name)
    while key in fields or key == "options":  # `options` is the list of options itself
        key += "_2"
    return key


def _options_of_keys(columns: dict[str, Column], labels: list[LabelCount]) -> list[str]:
    """List the columns inside a mapping whose keys are the labels: the options, any number of which are right."""
    keys = [label.value for label in labels]
    mappings = [name for name, column in columns.items() if column.is_mapping and _has_texts(columns, name, keys)]
    inner = [name for name in columns if mappings and name.startswith(f"{mappings[0]}.")]
    return [name for name in inner if columns[name].is_scalar and _is_full(columns[name])]


def _has_texts(columns: dict[str, Column], mapping: str, keys: list[str]) -> bool:
    return all(f"{mapping}.{key}" in columns and columns[f"{mapping}.{key}"].is_text for key in keys)


def _can_be_field(column: Column) -> bool:
    """True for texts that say something about an item: no classes, no links."""
    if not column.is_text or column.is_list and named(column.name, "label mesh tag"):
        return False
    few = column.is_class and len(column.counts) <= max(10, len(column.filled) / 20)
    if few and not named(column.name, "question instruction premise"):
        return False
    return not column.is_scalar or sum(text.startswith(("http://", "https://")) for text in column.texts) < len(
        column.texts
    )


def _is_full(column: Column) -> bool:
    return column.share_empty <= _MOST_EMPTY


def _is_group(column: Column) -> bool:
    """True for a column such as a patient's number: a name that says so, and values some of which come again."""
    if not column.is_scalar or not named(column.name, GROUPS) or column.is_real:
        return False
    distinct, rows = len(column.counts), len(column.filled)
    return rows * 0.02 < distinct < rows * 0.98 and distinct > 10


def _count_rows(task: Survey) -> None:
    """Count usable rows, and repeated texts among them, compared as the step that makes splits does."""
    answers = task.columns[task.answer.column]
    first: dict[tuple[str, ...], str] = {}
    for row in range(len(answers.values)):
        texts = task.field_texts(row)
        gold = "\n".join(answers.elements[row]) if answers.is_list else answers.texts[row]
        if not all(text.strip() for text in texts) or (not gold.strip() and task.kind != "multi_label"):
            continue
        task.rows.append(row)
        key = tuple(map(normalize, [*texts, *([task.option_lines[row]] if task.options else [])]))
        if key in first:
            task.repeats += 1
            task.conflicts += first[key] != gold
        first.setdefault(key, gold)
    if len(task.rows) < 10:
        raise InputError(
            f"{len(task.rows)} of {len(answers.values)} rows have a text and an answer, and a task needs 10 at the "
            f"least; look at the columns {', '.join([*task.fields.values(), task.answer.column])}"
        )


def label_shares(task: Survey) -> tuple[int, int]:
    """Count rows without any label, and the most labels of a row, of a `multi_label` task."""
    counts = Counter(0 if task.answers(row) == [task.no_label] else len(task.answers(row)) for row in task.rows)
    return counts[0], max(counts)
