"""Doubts about a task that was found in data: what may be meant otherwise, and would change results."""

from collections.abc import Iterator
from difflib import SequenceMatcher

from stagewise.onboarding.columns import IDS, REVEALING, named
from stagewise.onboarding.survey import Survey
from stagewise.onboarding.yaml_text import comment

_MISSING = {"na", "n/a", "nan", "#n/a", "null", "<na>", "-", "--", "?"}
"""Texts that tables hold in the place of a missing value."""

_ALIKE = 0.85
"""Similarity of two spellings, as `difflib` has it, from which on one may be a typo."""

_TYPO_ROWS, _TYPO_TIMES = 2, 10
"""Most rows of a typo, and how many times as many its correct spelling has at the least."""

_FEW_REFERENCES = 0.2
"""Distinct references per row up to which they may be labels."""

_LONG = 20
"""Median number of characters from which on a column may be a text that a prompt lacks."""


def doubts(task: Survey) -> list[str]:
    """List doubts, a sentence each."""
    return [*_columns(task), *_labels(task), *_references(task)]


def _columns(task: Survey) -> Iterator[str]:
    texts = [name for name in task.left_out if not named(name, REVEALING) and task.columns[name].median_length >= _LONG]
    if texts:
        more = ", …" if len(texts) > 4 else ""
        yield f"the prompt has no {_listed(texts[:4])}{more}; --fields names the columns that it shows"
    repeated = next((name for name in task.columns if _is_repeated_id(task, name)), None)
    if task.id is None and repeated:
        yield (
            f"{_quoted(repeated)} is no id, because its values repeat, are empty or of several types; "
            f"if rows of one value belong together, set group: {comment(repeated)}"
        )
    if task.shown_options:
        yield (
            f"several options of an item may be right, so the task is multi_label: {_listed(task.shown_options)} are "
            "shown by the prompt, and the model answers with the keys of the right ones"
        )
    if task.options and task.options.is_doubtful:
        yield (
            f"no item has the gold place 0 in {_quoted(task.answer.column)}, so places are taken to count from 1; "
            "else set gold: index"
        )
    if task.constant_flags:
        yield f"{_listed(task.constant_flags)} hold one value alone, so they are taken for no labels"


def _is_repeated_id(task: Survey, name: str) -> bool:
    column = task.columns[name]
    taken = {task.answer.column, *task.fields.values()}
    return name not in taken and column.is_scalar and not column.is_real and named(name, IDS, last=True)


def _labels(task: Survey) -> Iterator[str]:
    rows = {label.value: label.rows for label in task.labels}
    missing = {value for value in rows if value.strip().lower() in _MISSING}
    if "None" in rows and all(_is_number(value) for value in {*rows} - missing - {"None"}):
        missing.add("None")
    for value in rows:
        if value in missing:
            yield (
                f"the label {_quoted(value)} ({rows[value]:,} rows) may stand for a missing one; if so, take it out of "
                "`labels` and set unknown_labels: set_aside"
            )
    for value in rows:
        if other := _correct_spelling(value, rows):
            yield (
                f"the label {_quoted(value)} ({rows[value]} {'rows' if rows[value] > 1 else 'row'}) is spelt almost as "
                f"{_quoted(other)} ({rows[other]:,}); if it is a typo, correct the file"
            )
    if task.kind in ("classification", "multi_label") and rows and all(map(_is_number, task.words.values())):
        yield "the model is to answer with bare numbers; write in `labels` and in the prompt what they mean"


def _references(task: Survey) -> Iterator[str]:
    distinct = len(task.columns[task.answer.column].counts)
    if task.kind == "generation" and 0 < distinct <= _FEW_REFERENCES * len(task.rows):
        yield (
            f"{_quoted(task.answer.column)} has {distinct} texts that come again; if they are labels, "
            "--kind classification"
        )


def _correct_spelling(value: str, rows: dict[str, int]) -> str | None:
    """Find a frequent label that is spelt almost as a rare one; numbers in them tell labels apart."""
    if rows[value] > _TYPO_ROWS or len(value) < 4 or any(character.isdigit() for character in value):
        return None
    frequent = [other for other in rows if rows[other] >= _TYPO_TIMES * rows[value]]
    return next((o for o in frequent if SequenceMatcher(None, value.lower(), o.lower()).ratio() >= _ALIKE), None)


def _is_number(word: str) -> bool:
    return word.removeprefix("-").replace(".", "", 1).isdigit()


def _quoted(text: str) -> str:
    return f"'{comment(text, 40)}'"


def _listed(names: list[str]) -> str:
    return ", ".join(map(_quoted, names))
