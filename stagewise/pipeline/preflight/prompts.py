"""Checks of every item as the model reads it: the template, lengths, label words."""

from dataclasses import dataclass, replace

from stagewise.config.tasks import SPLITS
from stagewise.errors import InputError
from stagewise.inference.generated_answers import with_answer_limit
from stagewise.inference.prompts import Encoder
from stagewise.inference.template import Template
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context
from stagewise.task_kinds import LABEL_KINDS

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
    """Tokens of the longest prompt, with its answer."""
    longest_answer: int = 0
    """Tokens of the longest answer, or of the room for one."""
    new_tokens: int = 0
    """Tokens that are generated of an answer at most; 0 if the items' own are read."""
    highest: int = 0
    """Highest token id."""


@dataclass(frozen=True)
class Use:
    """Splits of a task that are encoded in one way."""

    max_length: int
    splits: tuple[str, ...]
    generates: bool = False
    """True if prompts leave room for answers to be generated, False if for the items' own."""


@check("prompts", "model", "splits")
def check_prompts(context: Context):
    """Every prompt fits, with its answer, into `max_length` and the model's positions; labels can be told apart."""
    config = context.config
    for task, spec in config.active_tasks.items():
        template = Template.read(spec.prompt, spec.variables)
        max_length = config.training.max_length
        encoder = Encoder.of_task(context.tokenizer, template, config.prompting, spec, max_length, task)
        if encoder.has_labels:
            yield from _check_label_words(context, task, encoder)
        if spec.kind == "generation":
            yield from _check_references(context, task, encoder)
        for use in _uses(context, task):
            lengths = _encode(context, task, replace(encoder, max_length=use.max_length), use)
            yield from _check_lengths(context, task, use, lengths)


def _check_references(context: Context, task: str, encoder: Encoder):
    """Answers as long as the references, and with the texts in them, can be generated."""
    spec = context.config.active_tasks[task]
    items = [item for split in context.config.evaluation.splits for item in context.items(task, split)]
    for stop in spec.stop:
        cut = sum(stop in item["label"] for item in items)
        if cut:
            sentence = (
                f"tasks.{task}.stop: {cut} of {len(items)} references hold {stop!r}, where a right answer would be cut "
                "off; take it out, or another text that stands behind answers alone"
            )
            yield Finding(f"{task}: {stop!r} is in {cut} references", "warning", sentence)
    limit = with_answer_limit(encoder, items, spec.max_new_tokens).max_new_tokens
    lengths = [len(encoder.encode_own_answer(item)) - 1 for item in items]  # an answer may be cut before its end token
    if longer := sum(length > limit for length in lengths):
        sentence = (
            f"tasks.{task}.max_new_tokens: {longer} of {len(items)} references take more than {limit} tokens, so their "
            f"answers are cut off; raise it to {max(lengths)}, or shorten the references"
        )
        yield Finding(f"{task}: {longer} references take more than {limit} tokens", "warning", sentence)


def _uses(context: Context, task: str) -> list[Use]:
    """Ways in which the task's splits are encoded: for trainings, and for scoring."""
    spec = context.config.active_tasks[task]
    generates = spec.kind not in LABEL_KINDS
    scoring = spec.max_length or context.config.training.max_length
    uses: dict[tuple[int, bool], dict[str, None]] = {
        (scoring, generates): dict.fromkeys(context.config.evaluation.splits)
    }
    for adapter in context.trainings:
        if task in adapter.learnt_tasks:
            way = spec.max_length or adapter.training.max_length, False
            uses.setdefault(way, {}).update(dict.fromkeys(("train", "validation")))
    return [Use(way[0], tuple(s for s in SPLITS if s in splits), way[1]) for way, splits in uses.items()]


def _key(context: Context, task: str) -> str:
    """Setting that limits the task's prompts."""
    own = context.config.active_tasks[task].max_length
    return "training.max_length" if own is None else f"tasks.{task}.max_length"


def _encode(context: Context, task: str, encoder: Encoder, use: Use) -> Lengths:
    answers = [encoder.encode_answer(text) for text in encoder.sample_answers]
    lengths = Lengths(highest=max(map(max, answers)))
    for split in use.splits:
        items = context.items(task, split)
        if use.generates:
            encoder = with_answer_limit(encoder, items, context.config.active_tasks[task].max_new_tokens)
            lengths.new_tokens = max(lengths.new_tokens, encoder.max_new_tokens)
        try:
            prompts = encoder.encode_prompts(items)
        except NotImplementedError:  # of a tokenizer in Python, asked where each token stands
            raise InputError(
                f"{context.model_files}: the tokenizer cannot say where a text is to be cut, and an item of "
                f"tasks.{task} is too long; raise {_key(context, task)}"
            ) from None
        lengths.items += len(prompts.ids)
        lengths.shortened += prompts.shortened
        lengths.control_tokens += prompts.control_tokens
        room = [encoder.answer_length(item) for item in items]
        lengths.longest = max(lengths.longest, *(len(ids) + n for ids, n in zip(prompts.ids, room, strict=True)))
        lengths.longest_answer = max(lengths.longest_answer, *room)
        lengths.highest = max(lengths.highest, *map(max, prompts.ids))
    return lengths


def _check_lengths(context: Context, task: str, use: Use, lengths: Lengths):
    spec, max_length = context.config.active_tasks[task], use.max_length
    positions = context.model_settings.get("max_position_embeddings") or context.model_settings.get("n_positions")
    generated = context.config.evaluation.method == "generation" and spec.kind in LABEL_KINDS
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
    if lengths.new_tokens:
        words += f", answers of at most {lengths.new_tokens} tokens are generated, in a time not known before"
    elif spec.kind not in LABEL_KINDS:
        words += f", with answers of at most {lengths.longest_answer} tokens"
    words += f", {lengths.control_tokens} hold control tokens, read as text" if lengths.control_tokens else ""
    if not lengths.shortened:
        yield Finding(words)
        return
    words += f", {lengths.shortened} are shortened"
    share = lengths.shortened / lengths.items
    sentence = (
        f"tasks.{task}: {lengths.shortened} of {lengths.items} prompts ({100 * share:.0f}%) lose the end of their "
        f"'{spec.shorten}' to fit into {max_length} tokens; raise "
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
