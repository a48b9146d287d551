"""Encode items as token ids: prompt file, form of the prompt, answer, shortening. Imports no torch."""

from dataclasses import dataclass
from functools import cached_property

from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.chat_form import ChatForm, read_chat_form
from stagewise.inference.control_tokens import ControlTokens, Part
from stagewise.inference.label_words import check_label_token_ids, check_label_words
from stagewise.inference.template import Template
from stagewise.task_kinds import LABEL_KINDS, TaskKind


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

_APART = (
    "are other tokens together than apart; end the prompt with a word or a punctuation mark instead of a field or blank"
)

# Answers of a task that lists none, to learn where a prompt ends and an answer begins.
_SAMPLE_ANSWERS = ("x", "1", "(")


@dataclass(frozen=True)
class Encoder:
    """Encoder of one task's items, the same in training, scoring and querying.

    `max_length` limits prompt and answer together. A longer prompt loses the end of the field `shorten`, never the
    instruction or the answer. Control tokens of the model in an item's fields, or in an answer of free text, are
    encoded as plain text.

    An encoder can only be made if the model's tokenizer and chat template fit the prompt file and the label words;
    `InputError` says why they do not.

    Attributes
    ----------
    max_new_tokens
        Tokens that a generated answer may take, for which every prompt leaves room. None leaves each prompt room for
        its own item's answer, as training does. Of no effect on tasks that are answered with one label.
    """

    tokenizer: object
    template: Template
    prompting: Prompting
    label_words: list[str]
    max_length: int
    shorten: str | None = None
    task: str | None = None
    kind: TaskKind = "classification"
    no_label: str | None = None
    """Answer to an item of `multi_label` without a label; None is `none`."""
    max_new_tokens: int | None = None

    def __post_init__(self):
        self._check_prompt_file()
        where = f"tasks.{self.task}.labels" if self.task else self.template.path
        words = self.sample_answers if self.kind == "multi_label" else self.label_words
        check_label_words(where, words, self.controls.find)
        if self.has_labels:
            check_label_token_ids(where, self._answers, len(self._end_ids))

    @classmethod
    def of_task(cls, tokenizer, template: Template, prompting: Prompting, spec, max_length: int, task: str):
        """Build the encoder of a task, which `spec` describes: settings, or a recipe; `max_length` if it has none."""
        settings = {"shorten": spec.shorten, "task": task, "kind": spec.kind, "no_label": spec.no_label}
        return cls(tokenizer, template, prompting, spec.words, spec.max_length or max_length, **settings)

    @property
    def has_labels(self) -> bool:
        """True if items are answered with one label, False if with free text or a set of labels."""
        return self.kind in LABEL_KINDS

    @property
    def answer_without_label(self) -> str:
        """Answer to an item of `multi_label` without a label."""
        return self.no_label or "none"

    @cached_property
    def controls(self) -> ControlTokens:
        """Control tokens of the model."""
        return ControlTokens(self.tokenizer)

    def encode_answer(self, text: str) -> list[int]:
        """Encode an answer as it follows a prompt, up to the token that ends its turn; blanks around it are left out.

        Raises
        ------
        InputError
            If it is empty or has no token, or with the prompt file's end becomes other tokens than apart.
        """
        if text in self._encoded_answers:
            return self._encoded_answers[text]
        if not text.strip():
            raise InputError(f"{self.template.path}: the answer is empty; give it a text or take the item out")
        parts, prompt, shared = self._boundary
        start, ids = prompt[: len(prompt) - shared], self._encode(parts + self._answer_parts(text))
        if ids[: len(start)] != start:
            raise InputError(f"{self.template.path}: the prompt and the answer {_APART}")
        if not self.has_labels and ids == self._encode(parts + self._answer_parts("")):
            raise InputError(f"{self.template.path}: the answer has no token in this model; choose another text")
        self._encoded_answers[text] = ids[len(start) :] + self._end_ids
        return self._encoded_answers[text]

    def encode_own_answer(self, item: dict) -> list[int]:
        """Encode the answer that an item teaches; an ``InputError`` names the item."""
        if self.has_labels:
            return self._answers[item["label"]]
        try:
            return self.encode_answer(item["label"])
        except InputError as error:
            reason = str(error).partition(": ")[2]
            raise InputError(f"{self.template.path}: item '{item['id']}': {reason}") from None

    @cached_property
    def label_token_ids(self) -> list[list[int]]:
        """Token ids of every label's answer, in label order; none of tasks that are not answered with one label."""
        return list(self._answers.values())

    @property
    def sample_answers(self) -> list[str]:
        """Answers that the task may have: all labels, those of one item of several labels, or examples of free text."""
        if self.kind == "generation":
            return list(_SAMPLE_ANSWERS)
        return [*self.label_words, *([self.answer_without_label] if self.kind == "multi_label" else [])]

    @property
    def end_token_id(self) -> int:
        """Last token of every answer, at which generation stops."""
        return (self._encode(self._boundary[0] + self._answer_parts(self.sample_answers[0])) + self._end_ids)[-1]

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
            Also if prompt and answer are other tokens together than apart, which is tried on the first items, and on
            all whose own answers are of free text.
        """
        prompts = [self.encode_prompt(item) for item in items]
        compared = len(items) if self._reads_answers else _COMPARED_ITEMS
        for item, (ids, _) in list(zip(items, prompts, strict=True))[:compared]:
            self._check_joint(item, ids)
        return EncodedPrompts(
            [ids for ids, _ in prompts],
            sum(shortened for _, shortened in prompts),
            sum(self.controls.changes(self._item_parts(item)) for item in items),
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
            If a prompt is too long and there is nothing that may be cut, or the answer leaves a prompt no room.
        """
        ids = self._ids(item["fields"])
        room = self.max_length - self.answer_length(item)
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
    def _reads_answers(self) -> bool:
        """True if every item's own answer, of free text, is encoded with its prompt."""
        return not self.has_labels and self.max_new_tokens is None

    def answer_length(self, item: dict) -> int:
        """Tokens for the answer to an item, for which its prompt leaves room."""
        if self.has_labels:
            return max(map(len, self.label_token_ids))
        length = len(self.encode_own_answer(item)) if self._reads_answers else self.max_new_tokens
        if length < self.max_length:
            return length
        if self._reads_answers:
            raise InputError(
                f"{self.template.path}: the answer of item '{item['id']}' takes {length} tokens, and max_length is "
                f"{self.max_length}; {self._longer}"
            )
        raise InputError(
            f"tasks.{self.task}.max_new_tokens: {length} tokens of an answer leave no room for a prompt in max_length "
            f"{self.max_length}; lower it, or {self._longer}"
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

    def _item_parts(self, item: dict) -> list[Part]:
        """Pieces of all that is encoded of an item: its prompt, and its own answer if that is free text."""
        return self._parts(item["fields"]) + (self._answer_parts(item["label"]) if self._reads_answers else [])

    def _encode(self, parts: list[Part]) -> list[int]:
        return self.controls.encode(parts, add_special_tokens=self._chat is None)

    def _ids(self, fields: dict[str, str]) -> list[int]:
        ids = self._encode(self._parts(fields))
        # An answer needs a token to follow, also after a plain prompt without text.
        return ids[: len(ids) - self._boundary[2]] or self._start_ids

    def _answer_parts(self, text: str) -> list[Part]:
        """An answer and what ends its turn, as text."""
        text = text.strip()
        if self._chat is None:
            return [(f" {text}", False)]
        return [(self._chat.answer_start, True), (text, False), (self._chat.answer_end or "", True)]

    @property
    def _start_ids(self) -> list[int]:
        start = self.tokenizer.bos_token_id
        return [self.tokenizer.eos_token_id if start is None else start]

    @cached_property
    def _end_ids(self) -> list[int]:
        """Token ids that end an answer if the form of the prompt has none of its own."""
        return [] if self._chat and self._chat.answer_end else [self.tokenizer.eos_token_id]

    @cached_property
    def _boundary(self) -> tuple[list[Part], list[int], int]:
        """Pieces and token ids of a prompt, and the number of its last tokens that belong to the answers.

        An answer is what follows the prompt when both are encoded at once. Some tokenizers join a blank at the
        prompt's end to the answer; then that token is the answer's.
        """
        parts = self._parts(dict.fromkeys(self.template.fields, "x"))
        prompt = self._encode(parts)
        answers = [self._encode(parts + self._answer_parts(text)) for text in self.sample_answers]
        return parts, prompt, len(prompt) - min(_common_start(prompt, ids) for ids in answers)

    @cached_property
    def _encoded_answers(self) -> dict[str, list[int]]:
        return {}

    @cached_property
    def _answers(self) -> dict[str, list[int]]:
        """Token ids of every label's answer, by label word."""
        return {word: self.encode_answer(word) for word in self.label_words} if self.has_labels else {}

    def _check_joint(self, item: dict, ids: list[int]) -> None:
        fields = item["fields"]
        if len(ids) < len(self._ids(fields)):
            return  # shortened: its end is that of the prompt file, as other items show
        for text in [item["label"]] if self._reads_answers else self.sample_answers:
            joint = self._encode(self._parts(fields) + self._answer_parts(text)) + self._end_ids
            if joint != ids + self.encode_answer(text):
                answer = "its answer" if self._reads_answers else f"the answer '{text}'"
                raise InputError(f"{self.template.path}: the prompt of item '{item['id']}' and {answer} {_APART}")


def _common_start(first: list[int], second: list[int]) -> int:
    """Number of equal items at the start of two lists."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(second)))
