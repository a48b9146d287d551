"""Refusals of tables that no task can be made of."""

from stagewise.onboarding.columns import ANSWERS, Column, is_parallel, named
from stagewise.task_kinds import TaskKind


def nothing_to_learn(columns: dict[str, Column]) -> str:
    """Say why no column is an answer."""
    constant = next(
        (name for name, column in columns.items() if len(column.counts) == 1 and named(name, ANSWERS)), None
    )
    if constant:
        return f"the column '{constant}' has one label alone; a task has two"
    return (
        nested_problem(columns)
        or _token_problem(columns)
        or (f"no column looks like an answer (there are {_shortened(list(columns))}); name it with --label")
    )


def nested_problem(columns: dict[str, Column]) -> str | None:
    """Say that what may be the text is in lists of records, if there are any."""
    for name, column in columns.items():
        if column.is_list and all(isinstance(element, dict) for value in column.filled for element in value):
            keys = list(column.filled[0][0])
            if "role" in keys or "from" in keys:
                return (
                    f"the column '{name}' holds lists of records, such as the turns of a chat, which are not read; "
                    "write the prompt and the answer into columns of their own"
                )
            return (
                f"the column '{name}' holds lists of records; name the answer by its path, such as "
                f"--label {name}.{keys[0] if keys else 'text'}, or write it into a column of its own"
            )
    return None


def _token_problem(columns: dict[str, Column]) -> str | None:
    """Say that labels of each token are not supported, if there are any."""
    lists = [column for column in columns.values() if column.is_list]
    for column in lists:
        texts = next((other for other in lists if other.is_text_list and is_parallel(column, other)), None)
        if texts and named(column.name, "tag label ner pos chunk"):
            return (
                f"the column '{column.name}' holds a label for each element of '{texts.name}', and labelling tokens is "
                "not supported; store a label of the text, or the answer as a text (kind generation)"
            )
    return None


def why_no_answer(column: Column, kind: TaskKind | None) -> str:
    """Say why the column that the user names is no answer."""
    if not column.filled:
        return f"the column '{column.name}' is empty; name another with --label"
    if column.is_scalar and len(column.counts) < 2:
        return f"the column '{column.name}' has one label alone; a task has two"
    held = "records" if column.is_mapping else "lists" if column.is_list else "values of other types"
    wanted = f" for kind {kind}" if kind else ""
    return f"the column '{column.name}' holds {held}, which are no answers{wanted}; name another with --label"


def _shortened(names: list[str]) -> str:
    return ", ".join(name[:30] for name in names[:8]) + (", …" if len(names) > 8 else "")
