"""Options of multiple-choice items: their texts, and the one that is right."""

import re
from collections import Counter
from typing import NamedTuple

from stagewise.config.tasks import Options
from stagewise.data.set_aside import Problem
from stagewise.data.texts import as_text, is_readable, read_list
from stagewise.errors import InputError
from stagewise.task_kinds import LETTERS

# A letter that stands before an option's text in the raw file: `A)`, `(A)`, `A.` or `A:`.
_LETTER = re.compile(r"\s*\(?([A-Za-z])[).:]\s*")


class ItemOptions(NamedTuple):
    """Options of an item, in order."""

    raw: list[str]
    """Texts as the raw file has them."""
    keys: list[str]
    """Keys of a mapping, names of the columns, or nothing for a plain list."""

    @property
    def texts(self) -> list[str]:
        """Texts without letters of their own, if every option has its letter, each in one line."""
        texts = self.raw
        while texts:  # AQuA has options with two letters: `A)A)59`
            matches = [_LETTER.match(text) for text in texts]
            if [match[1].upper() if match else "" for match in matches] != list(LETTERS[: len(texts)]):
                break
            texts = [text[match.end() :] for text, match in zip(texts, matches, strict=True)]
        return [" ".join(text.split()) for text in texts]

    @property
    def lines(self) -> str:
        """List of options as a prompt shows it: a line each, with its letter."""
        return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, self.texts, strict=False))


def read_options(settings: Options, record: dict, location: str) -> tuple[ItemOptions, Problem | None]:
    """Read the options of a record.

    Returns
    -------
    The options, and the reason why they cannot be used, if there is one.

    Raises
    ------
    InputError
        If there are more options than the task has letters for.
    """
    column = settings.columns[0]
    if len(settings.columns) > 1:
        keys, values = settings.columns, [record[name] for name in settings.columns]
    else:
        keys, values = _keys_and_values(record[column])
    while values and not as_text(values[-1]).strip() and not isinstance(values[-1], list | dict):
        values = values[:-1]
    options = ItemOptions([as_text(value) for value in values], [as_text(key) for key in keys[: len(values)]])
    if len(values) > settings.most:
        raise InputError(f"{location}: {len(values)} options, but options.most is {settings.most}; raise it")
    if len(values) < 2:
        return options, Problem("fewer than two options", column)
    if not all(options.texts):
        return options, Problem("empty option", column)
    if not all(map(is_readable, options.raw)):
        return options, Problem("unreadable text", column)
    return options, None


def _keys_and_values(value) -> tuple[list, list]:
    """Take apart a list, a list that is written as a text, a mapping, or a record of the lists `label` and `text`."""
    if isinstance(value, str):
        value = read_list(value)
    records = (
        isinstance(value, list) and value and all(isinstance(v, dict) and {"label", "text"} <= {*v} for v in value)
    )
    if records:
        value = {name: [record[name] for record in value] for name in ("label", "text")}
    if isinstance(value, dict):
        keys, texts = value.get("label"), value.get("text")
        if isinstance(keys, list) and isinstance(texts, list) and len(keys) == len(texts):
            return keys, texts
        return list(value), list(value.values())
    return [], value if isinstance(value, list) else []


class GoldOption:
    """Reader of the place of the right option, which refuses a count that begins with the wrong number."""

    def __init__(self, settings: Options, column: str):
        self.settings, self.column = settings, column
        self.counted: Counter[str] = Counter()
        """Rows whose gold label is ``zero``, and rows in which it is the ``number`` of options."""

    def find(self, gold: str, options: ItemOptions) -> int | None:
        """Place of the right option, from 0; None if `gold` is none of the options."""
        form, count = self.settings.gold, len(options.raw)
        if form in ("index", "number"):
            digits = re.fullmatch(r"(\d{1,9})(\.0)?", gold)
            place = int(digits[1]) if digits else None
            self.counted.update(["zero"] * (place == 0) + ["number"] * (place == count))
            place = place - 1 if place is not None and form == "number" else place
        elif form == "letter":
            letter = re.fullmatch(r"\(?([A-Za-z])[).:]?", gold)
            place = LETTERS.index(letter[1].upper()) if letter else None
        else:
            places = options.keys if form == "key" else options.raw
            gold_texts = [" ".join(text.split()) for text in places]
            gold = " ".join(gold.split())
            place = next((p for p, text in enumerate(gold_texts) if text == gold), None)
            if place is None and form == "text" and gold in options.texts:
                place = options.texts.index(gold)
        return place if place is not None and 0 <= place < count else None

    def check(self, name: str) -> None:
        """Refuse labels that count from 1 where `options.gold` counts from 0, or the other way round."""
        zero, number = self.counted["zero"], self.counted["number"]
        if self.settings.gold == "index" and number and not zero:
            problem, other = (
                f"counts from 0, but no row has 0 and {number} rows have the number of their options",
                "number",
            )
        elif self.settings.gold == "number" and zero:
            problem, other = f"counts from 1, but {zero} rows have 0", "index"
        else:
            return
        raise InputError(
            f"tasks.{name}.options.gold: '{self.settings.gold}' {problem} in the column '{self.column}'; "
            f"set it to {other}"
        )
