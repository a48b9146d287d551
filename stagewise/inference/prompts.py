"""Encode items as token ids: prompt template, chat template, answer, shortening. Imports no torch."""

import re
import string
from dataclasses import dataclass
from pathlib import Path

from stagewise.config.training import Prompting
from stagewise.errors import InputError


@dataclass(frozen=True)
class Template:
    """A prompt file with ``{name}`` placeholders."""

    path: str
    text: str

    @classmethod
    def read(cls, path, variables) -> "Template":
        """Read a prompt file and check that it uses exactly the given variables.

        Raises
        ------
        InputError
            For a missing file, an unknown or unused variable, or unbalanced braces.
        """
        try:
            text = Path(path).read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            raise InputError(f"{path}: no such prompt file") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
        try:
            used = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        except ValueError as error:
            raise InputError(f"{path}: {error}; write a literal brace twice") from None
        variables = set(variables)
        if unknown := sorted(used - variables):
            raise InputError(
                f"{path}: the placeholder '{{{unknown[0]}}}' is not one of the task's fields "
                f"({', '.join(sorted(variables))})"
            )
        if unused := sorted(variables - used):
            raise InputError(f"{path}: the task's field '{unused[0]}' has no placeholder; use it or drop the field")
        return cls(str(path), text)

    @property
    def fields(self) -> list[str]:
        """Names of the placeholders."""
        return list(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None))

    def fill(self, fields: dict[str, str]) -> str:
        """Put an item's fields into the placeholders."""
        return self.text.format_map(fields)


@dataclass(frozen=True)
class Encoder:
    """Encoder of one task's items, the same in training, scoring and querying.

    `max_length` limits prompt and answer together. A longer prompt loses the end of the field `shorten`, never the
    instruction or the answer.
    """

    tokenizer: object
    template: Template
    prompting: Prompting
    label_words: list[str]
    max_length: int
    shorten: str | None = None

    def __post_init__(self):
        if self.prompting.format == "chat":
            _check_chat_template(self.tokenizer, self.prompting)

    def encode_answer(self, word: str) -> list[int]:
        """Encode an answer, its end token included."""
        text = word if self.prompting.format == "chat" else f" {word}"
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.tokenizer.eos_token_id]

    @property
    def label_token_ids(self) -> list[list[int]]:
        """Token ids of every label's answer, in label order."""
        return [self.encode_answer(word) for word in self.label_words]

    def encode_prompt(self, item: dict) -> tuple[list[int], bool]:
        """Encode an item's prompt.

        Returns
        -------
        ids, shortened
            Token ids, and True if the prompt had to be shortened.

        Raises
        ------
        InputError
            If a prompt is too long and there is nothing that may be cut.
        """
        ids = self._ids(item["fields"])
        room = self.max_length - max(map(len, self.label_token_ids))
        if len(ids) <= room:
            return ids, False
        if self.shorten is None:
            raise InputError(
                f"{self.template.path}: item '{item['id']}' needs {len(ids)} tokens but max_length leaves {room}; "
                "raise training.max_length or name a field to 'shorten'"
            )
        text = item["fields"][self.shorten]
        pieces = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        # Dropping n tokens of the field drops about n of the prompt; tokens can merge at the cut, so look again.
        keep = len(pieces) - (len(ids) - room)
        while keep >= 0:
            cut = text[: pieces[keep][0]].rstrip() if keep < len(pieces) else text
            ids = self._ids({**item["fields"], self.shorten: cut})
            if len(ids) <= room:
                return ids, True
            keep -= max(1, len(ids) - room)
        raise InputError(
            f"{self.template.path}: item '{item['id']}' does not fit into max_length {self.max_length} even with an "
            f"empty '{self.shorten}'; raise training.max_length"
        )

    def _ids(self, fields: dict[str, str]) -> list[int]:
        text = self.template.fill(fields)
        if self.prompting.format == "plain":
            return self.tokenizer(text)["input_ids"]
        return _render(self.tokenizer, self.prompting, text, tokenize=True)


# Takes the place of the function through which chat templates read the clock.
_FIXED_CLOCK = "{%- macro strftime_now(format) -%}{{ _fixed_date }}{%- endmacro %}\n"


def _check_chat_template(tokenizer, prompting: Prompting) -> None:
    """Refuse a chat template that is missing, reads none of the variables given, or writes the current date.

    Raises
    ------
    InputError
        With the way out.
    """
    if not tokenizer.chat_template:
        raise InputError("prompting.format: the model has no chat template; set it to 'plain' or use an instruct model")
    source = tokenizer.get_chat_template()
    for name in prompting.template:
        if not re.search(rf"\b{re.escape(name)}\b", source):
            raise InputError(f"prompting.template: the model's chat template does not read '{name}'; take it out")
    # Two dates as far apart as any, both of them numbers, in case the template compares them.
    if len({_render(tokenizer, prompting, "?", date) for date in ("1", "9999")}) > 1:
        name = "date_string" if re.search(r"\bdate_string\b", source) else "strftime_now"
        raise InputError(
            "prompting.template: the model's chat template writes the current date into every prompt, so that results "
            f'change from day to day; fix it, for example prompting.template: {{{name}: "26 Jul 2024"}}'
        )


def _render(tokenizer, prompting: Prompting, text: str, date: str | None = None, tokenize: bool = False):
    """Render a chat whose last message is `text`; the template finds `date` for the current one unless a date is set.

    Returns
    -------
    Text, or with `tokenize` token ids.
    """
    messages = [{"role": "user", "content": text}]
    if prompting.system is not None:
        messages.insert(0, {"role": "system", "content": prompting.system})
    template, variables = tokenizer.get_chat_template(), dict(prompting.template)
    if (date := variables.pop("strftime_now", date)) is not None:
        template, variables = _FIXED_CLOCK + template, variables | {"_fixed_date": date}
    chat = tokenizer.apply_chat_template(
        messages, chat_template=template, add_generation_prompt=True, tokenize=tokenize, **variables
    )
    return chat["input_ids"] if tokenize else chat
