"""Checks of every item as the model reads it: the template, lengths, label words."""

from dataclasses import dataclass, replace

from stagewise.config.tasks import SPLITS
from stagewise.errors import InputError
from stagewise.inference.prompts import Encoder, Template
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context

MANY = 0.1
"""Share of shortened prompts that is a warning."""


@dataclass
class Lengths:
    """Prompts of some splits of a task, encoded for one `max_length`."""

    items: int = 0
    shortened: int = 0
    control_tokens: int = 0
    """Items whose text holds control tokens of the model, which are read as plain text."""
    longest: int = 0
    """Tokens of the longest prompt, with the longest answer."""
    highest: int = 0
    """Highest token id."""


@check("prompts", "model", "splits")
def check_prompts(context: Context):
    """Every prompt fits, with its answer, into `max_length` and the model's positions; labels can be told apart."""
    config = context.config
    for task, spec in config.active_tasks.items():
        template = Template.read(spec.prompt, spec.variables)
        max_length = spec.max_length or config.training.max_length
        encoder = Encoder(context.tokenizer, template, config.prompting, spec.words, max_length, spec.shorten, task)
        yield from _check_label_words(context, task, encoder)
        for max_length, splits in _uses(context, task).items():
            lengths = _encode(context, task, replace(encoder, max_length=max_length), splits)
            yield from _check_lengths(context, task, max_length, lengths)


def _uses(context: Context, task: str) -> dict[int, list[str]]:
    """Splits by the `max_length` that they are encoded with: those of trainings, and that of scoring."""
    own = context.config.active_tasks[task].max_length
    scoring = own or context.config.training.max_length
    uses: dict[int, dict[str, None]] = {scoring: dict.fromkeys(context.config.evaluation.splits)}
    for adapter in context.trainings:
        if task in adapter.learnt_tasks:
            uses.setdefault(own or adapter.training.max_length, {}).update(dict.fromkeys(("train", "validation")))
    return {max_length: [split for split in SPLITS if split in splits] for max_length, splits in uses.items()}


def _key(context: Context, task: str) -> str:
    """Setting that limits the task's prompts."""
    own = context.config.active_tasks[task].max_length
    return "training.max_length" if own is None else f"tasks.{task}.max_length"


def _encode(context: Context, task: str, encoder: Encoder, splits: list[str]) -> Lengths:
    answers = encoder.label_token_ids
    lengths, answer = Lengths(highest=max(map(max, answers))), max(map(len, answers))
    for split in splits:
        try:
            prompts = encoder.encode_prompts(context.items(task, split))
        except NotImplementedError:  # of a tokenizer in Python, asked where each token stands
            raise InputError(
                f"{context.model_files}: the tokenizer cannot say where a text is to be cut, and an item of "
                f"tasks.{task} is too long; raise {_key(context, task)}"
            ) from None
        lengths.items += len(prompts.ids)
        lengths.shortened += prompts.shortened
        lengths.control_tokens += prompts.control_tokens
        lengths.longest = max(lengths.longest, *(len(ids) + answer for ids in prompts.ids))
        lengths.highest = max(lengths.highest, *map(max, prompts.ids))
    return lengths


def _check_lengths(context: Context, task: str, max_length: int, lengths: Lengths):
    positions = context.model_settings.get("max_position_embeddings") or context.model_settings.get("n_positions")
    generated = context.config.evaluation.method == "generation"
    needed = lengths.longest + (context.config.evaluation.max_new_tokens if generated else 0)
    if positions and needed > positions:
        raise InputError(
            f"config: {_key(context, task)} is {max_length}, and an item of tasks.{task} takes {needed} tokens, but "
            f"the base model has {positions} positions; lower it to {positions} or less, or choose another model"
        )
    vocabulary = context.model_settings.get("vocab_size")
    if vocabulary and lengths.highest >= vocabulary:
        raise InputError(
            f"{context.model_files}: an item of tasks.{task} has the token {lengths.highest}, but the model knows "
            f"{vocabulary} tokens; the tokenizer is another model's, or was extended: take the model's own"
        )
    words = f"{task}: {lengths.items} fit into {max_length}, the longest takes {lengths.longest}"
    words += f", {lengths.control_tokens} hold control tokens, read as text" if lengths.control_tokens else ""
    if not lengths.shortened:
        yield Finding(words)
        return
    words += f", {lengths.shortened} are shortened"
    share = lengths.shortened / lengths.items
    sentence = (
        f"tasks.{task}: {lengths.shortened} of {lengths.items} prompts ({100 * share:.0f}%) lose the end of their "
        f"'{context.config.active_tasks[task].shorten}' to fit into {max_length} tokens; raise "
        f"{_key(context, task)}"
    )
    yield Finding(words, *(("warning", sentence) if share > MANY else ("note",)))


def _check_label_words(context: Context, task: str, encoder: Encoder):
    ids, words, evaluation = encoder.label_token_ids, encoder.label_words, context.config.evaluation
    longest = max(range(len(ids)), key=lambda number: len(ids[number]))
    tokens = len(ids[longest]) - 1  # generation may end without the end token
    if evaluation.method == "generation" and evaluation.parse == "strict" and tokens > evaluation.max_new_tokens:
        yield Finding(
            f"{task}: '{words[longest]}' takes {tokens} tokens",
            "failure",
            f"config: evaluation.max_new_tokens is {evaluation.max_new_tokens}, and the label word '{words[longest]}' "
            f"of tasks.{task} takes {tokens} tokens, so it could never be answered; raise it",
        )
