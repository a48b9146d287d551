"""Encode items as token ids: prompt file, form of the prompt, answer, shortening. Imports no torch."""

import string
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.chat_form import ChatForm, read_chat_form
from stagewise.inference.control_tokens import ControlTokens, Part
from stagewise.inference.label_words import check_label_token_ids, check_label_words


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
            For a file that cannot be read, an unknown or unused variable, unbalanced braces, or a placeholder that
            is more than a name: a field is put into the prompt as it is.
        """
        try:
            text = Path(path).read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            raise InputError(f"{path}: no such prompt file") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        try:
            placeholders = [entry[1:] for entry in string.Formatter().parse(text) if entry[1] is not None]
        except ValueError as error:
            raise InputError(f"{path}: {error}; write a literal brace twice") from None
        for name, form, conversion in placeholders:
            if form or conversion:
                written = f"{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
                raise InputError(
                    f"{path}: the placeholder '{{{written}}}' is more than a name; write '{{{name}}}', a field is put "
                    "into the prompt as it is"
                )
        used, variables = {name for name, _, _ in placeholders}, set(variables)
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
        return list(dict.fromkeys(name for _, name in self._pieces if name is not None))

    @property
    def literal(self) -> str:
        """The prompt file's text, with a NUL for each placeholder."""
        return "".join(text if name is None else f"{text}\0" for text, name in self._pieces)

    def parts(self, fields: dict[str, str]) -> list[Part]:
        """The author's pieces, which are trusted, and an item's fields between them."""
        parts = []
        for text, name in self._pieces:
            parts += [(text, True)] if name is None else [(text, True), (fields[name], False)]
        return parts

    def fill(self, fields: dict[str, str]) -> str:
        """Put an item's fields into the placeholders."""
        return "".join(text for text, _ in self.parts(fields))

    def beginning(self, name: str, fields: dict[str, str]) -> list[Part]:
        """The author's pieces up to the first place of the field `name`, and the other fields between them."""
        parts: list[Part] = []
        for text, placed in self._pieces:
            parts.append((text, True))
            if placed == name:
                break
            parts.append((fields[placed], False))
        return parts

    def text_after(self, name: str) -> str:
        """The author's text after the first place of the field `name`, up to the next field."""
        names = [placed for _, placed in self._pieces]
        following = self._pieces[names.index(name) + 1 :]
        return following[0][0] if following else ""

    @property
    def _pieces(self) -> list[tuple[str, str | None]]:
        """Literal texts, each with the name of the placeholder that follows it."""
        return [(text, name) for text, name, _, _ in string.Formatter().parse(self.text)]


@dataclass(frozen=True)
class EncodedPrompts:
    """Token ids of a task's prompts, and what was done to their texts."""

    ids: list[list[int]]
    shortened: int
    """Prompts that lost the end of a field to fit."""
    control_tokens: int
    """Items whose text held control tokens of the model, which were encoded as plain text."""


# Items on which prompt and answer are compared with both encoded at once.
_COMPARED_ITEMS = 8


@dataclass(frozen=True)
class Encoder:
    """Encoder of one task's items, the same in training, scoring and querying.

    `max_length` limits prompt and answer together. A longer prompt loses the end of the field `shorten`, never the
    instruction or the answer. Control tokens of the model in an item's fields are encoded as plain text.

    An encoder can only be made if the model's tokenizer and chat template fit the prompt file and the label words;
    `InputError` says why they do not.
    """

    tokenizer: object
    template: Template
    prompting: Prompting
    label_words: list[str]
    max_length: int
    shorten: str | None = None
    task: str | None = None

    def __post_init__(self):
        self._check_prompt_file()
        where = f"tasks.{self.task}.labels" if self.task else self.template.path
        check_label_words(where, self.label_words, self.controls.find)
        check_label_token_ids(where, dict(zip(self.label_words, self.label_token_ids, strict=True)), len(self._end_ids))

    @cached_property
    def controls(self) -> ControlTokens:
        """Control tokens of the model."""
        return ControlTokens(self.tokenizer)

    def encode_answer(self, word: str) -> list[int]:
        """Encode an answer as it follows a prompt, up to the token that ends its turn."""
        return self._answers[1][word]

    @cached_property
    def label_token_ids(self) -> list[list[int]]:
        """Token ids of every label's answer, in label order."""
        return [self._answers[1][word] for word in self.label_words]

    @property
    def end_token_id(self) -> int:
        """Last token of every answer, at which generation stops."""
        return self.label_token_ids[0][-1]

    @property
    def end_text(self) -> str | None:
        """Text that ends an answer if no control token does."""
        end = self._chat.answer_end if self._chat else None
        return None if end is None or self.controls.first(end) else end

    def encode_prompts(self, items: list[dict]) -> EncodedPrompts:
        """Encode the prompts of a task's items, see `encode_prompt`.

        Raises
        ------
        InputError
            Also if prompt and answer are other tokens together than apart, which is tried on the first items.
        """
        prompts = [self.encode_prompt(item) for item in items]
        for item, (ids, _) in list(zip(items, prompts, strict=True))[:_COMPARED_ITEMS]:
            self._check_joint(item, ids)
        return EncodedPrompts(
            [ids for ids, _ in prompts],
            sum(shortened for _, shortened in prompts),
            sum(self.controls.changes(self._parts(item["fields"])) for item in items),
        )

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
                f"{self._longer} or name a field to 'shorten'"
            )
        text = item["fields"][self.shorten]
        pieces = self.controls.offsets(text)
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
            f"empty '{self.shorten}'; {self._longer}"
        )

    @property
    def _longer(self) -> str:
        """Say which settings give prompts more room."""
        task_limit = f" (or tasks.{self.task}.max_length, which takes its place for this task)" if self.task else ""
        return f"raise training.max_length{task_limit}"

    def encode_beginning(self, name: str, fields: dict[str, str]) -> list[int]:
        """Encode a prompt up to the first place of the field `name`, for a model that writes it.

        `fields` are those placed before. Blanks right before the place are left out: tokens begin with them.
        """
        parts = self.template.beginning(name, fields)
        if self._chat:
            # Only blanks at the message's beginning may be trimmed: its text goes on after this.
            text = self._chat.trim("".join(text for text, _ in parts) + "x")[:-1]
            parts = [(self._chat.pieces[0], True), (text, False)]
        last, trusted = parts[-1]
        return self._encode([*parts[:-1], (last.rstrip(" "), trusted)]) or self._start_ids

    @cached_property
    def _chat(self) -> ChatForm | None:
        """Form of a chat; None for plain prompts."""
        if self.prompting.format == "plain":
            return None
        return read_chat_form(self.tokenizer, self.prompting, self.controls)

    def _check_prompt_file(self) -> None:
        """Refuse control tokens in a chat's prompt; the author of a plain prompt may write turns with them."""
        held = self.controls.find(self.template.literal)
        if held and self._chat:
            raise InputError(
                f"{self.template.path}: the prompt holds the model's control token '{held[0]}'; take it out, the chat "
                "template writes the turns"
            )

    def _parts(self, fields: dict[str, str]) -> list[Part]:
        """Pieces of an item's prompt; what the chat template or the author of a plain prompt wrote is trusted."""
        return self._chat.parts(self.template.fill(fields)) if self._chat else self.template.parts(fields)

    def _encode(self, parts: list[Part]) -> list[int]:
        return self.controls.encode(parts, add_special_tokens=self._chat is None)

    def _ids(self, fields: dict[str, str]) -> list[int]:
        ids = self._encode(self._parts(fields))
        # An answer needs a token to follow, also after a plain prompt without text.
        return ids[: len(ids) - self._answers[0]] or self._start_ids

    def _answer_parts(self, word: str) -> list[Part]:
        """An answer and what ends its turn, as text."""
        if self._chat is None:
            return [(f" {word}", False)]
        return [(self._chat.answer_start, True), (word, False), (self._chat.answer_end or "", True)]

    @property
    def _start_ids(self) -> list[int]:
        start = self.tokenizer.bos_token_id
        return [self.tokenizer.eos_token_id if start is None else start]

    @cached_property
    def _end_ids(self) -> list[int]:
        """Token ids that end an answer if the form of the prompt has none of its own."""
        return [] if self._chat and self._chat.answer_end else [self.tokenizer.eos_token_id]

    @cached_property
    def _answers(self) -> tuple[int, dict[str, list[int]]]:
        """Number of a prompt's last tokens that belong to the answers, and every label's answer.

        An answer is what follows the prompt when both are encoded at once. Some tokenizers join a blank at the
        prompt's end to the answer; then that token is the answer's.
        """
        parts = self._parts(dict.fromkeys(self.template.fields, "x"))
        prompt = self._encode(parts)
        joint = {word: self._encode(parts + self._answer_parts(word)) for word in self.label_words}
        kept = min(_common_start(prompt, ids) for ids in joint.values())
        return len(prompt) - kept, {word: ids[kept:] + self._end_ids for word, ids in joint.items()}

    def _check_joint(self, item: dict, ids: list[int]) -> None:
        fields = item["fields"]
        if len(ids) < len(self._ids(fields)):
            return  # shortened: its end is that of the prompt file, as other items show
        for word, answer in self._answers[1].items():
            joint = self._encode(self._parts(fields) + self._answer_parts(word)) + self._end_ids
            if joint != ids + answer:
                raise InputError(
                    f"{self.template.path}: the prompt of item '{item['id']}' and the answer '{word}' are other tokens "
                    "together than apart; end the prompt with a word or a punctuation mark instead of a field or blank"
                )


def _common_start(first: list[int], second: list[int]) -> int:
    """Number of equal items at the start of two lists."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(second)))
