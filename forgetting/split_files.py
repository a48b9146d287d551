"""A split's file, as every step after the data step reads it."""

import json

from forgetting.errors import InputError


def read_split(path, words: list[str]) -> list[dict]:
    """Read a split's ``.jsonl``: one item a line with id, label and fields, and maybe its annotators' agreement.

    Raises
    ------
    InputError
        For a missing file, a line that is not such an item, or a label the task does not declare.
    """
    items = []
    try:
        with open(path, encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                item = json.loads(line)
                if not (isinstance(item["id"], str) and isinstance(item["fields"], dict)):
                    raise TypeError
                if item["label"] not in words:
                    raise InputError(
                        f"{path}: line {number}: the label '{item['label']}' is not one of {', '.join(words)}; "
                        "run the step that writes it again (scripts.make_splits)"
                    )
                items.append({"id": item["id"], "label": item["label"], "fields": item["fields"]})
                if agreement := _agreement(item.get("agreement")):
                    items[-1]["agreement"] = agreement
    except FileNotFoundError:
        raise InputError(f"{path}: the split is missing; run the step that writes it (scripts.make_splits)") from None
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, UnicodeDecodeError):
        raise InputError(
            f"{path}: line {len(items) + 1} is not an item; run the step that writes it again (scripts.make_splits)"
        ) from None
    return items


def _agreement(values) -> dict[str, float]:
    """Agreement by column, those that an item does not have left out."""
    found = {column: float(value) for column, value in (values or {}).items() if value is not None}
    if any(not 0 <= value <= 1 for value in found.values()):
        raise ValueError("an agreement runs from 0 to 1")
    return found
