"""Items to ask about, from the command line or a file, and their answers in a file."""

import csv
import json
from pathlib import Path

from stagewise.errors import InputError
from stagewise.inference.question import Question
from stagewise.provenance.files import atomic, json_problem


def item_from_json(text: str, question: Question) -> dict:
    """Read one item from JSON text."""
    return question.check_item(_parse_object(text, "--item"), "--item")


def item_from_fields(pairs: list[str], question: Question) -> dict:
    """Read one item from ``NAME=TEXT`` pairs."""
    fields: dict[str, str] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise InputError(f"--field '{name}': write NAME=TEXT")
        if name in fields:
            raise InputError("--field: a field is given twice; one item has each field once")
        fields[name] = text
    return question.check_item(fields, "--field")


def read_item_file(path, question: Question) -> list[dict]:
    """Read items from CSV with one column per field, or from JSON lines.

    Raises
    ------
    InputError
        If the file cannot be read, has no items, or one does not fit the task.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            if path.suffix == ".csv":
                rows = _read_csv(path, handle)
            else:
                rows = [_parse_object(line, f"{path}: line {n}") for n, line in enumerate(handle, 1) if line.strip()]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    if not rows:
        raise InputError(f"{path}: no items in this file")
    return [question.check_item(row, f"{path}: item {n}", n) for n, row in enumerate(rows, 1)]


def _read_csv(path: Path, handle) -> list[dict]:
    lines = csv.reader(handle, strict=True)
    rows: list[dict] = []
    try:
        header = next(lines, [])
        if repeated := [name for number, name in enumerate(header) if name in header[:number]]:
            raise InputError(f"{path}: the column '{repeated[0]}' is there twice; keep one")
        for row in filter(None, lines):
            if len(row) != len(header):
                raise InputError(
                    f"{path}: item {len(rows) + 1} (line {lines.line_num}) has {len(row)} fields but the header has "
                    f"{len(header)}; look for a stray quote or comma"
                )
            rows.append(dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise InputError(
            f"{path}: not readable as CSV near line {lines.line_num} ({error}); write each quote inside a text twice"
        ) from None
    return rows


def write_answers(path, answers: list[dict]) -> None:
    """Write answers as CSV with one column per label and those of a set joined by a comma, or as JSON lines."""
    path = Path(path)
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as handle:
        if path.suffix == ".csv":
            rows = list(map(_as_cells, answers))
            columns = dict.fromkeys(name for row in rows for name in row)  # items may have other numbers of options
            writer = csv.DictWriter(handle, fieldnames=list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        else:
            handle.writelines(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)


def _as_cells(answer: dict) -> dict:
    cells = {key: value for key, value in answer.items() if key != "probabilities"} | answer.get("probabilities", {})
    return cells | ({"labels": ", ".join(answer["labels"] or [])} if "labels" in answer else {})


def _parse_object(text: str, source: str) -> dict:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not valid JSON ({json_problem(error)})") from None
    if not isinstance(values, dict):
        raise InputError(f"{source}: an item is a JSON object with one text per field")
    return values
