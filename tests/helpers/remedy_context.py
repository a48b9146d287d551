"""Hooks of remedies on a model and a few rows, without a training around them."""

import torch

from stagewise.config.training import Lora
from stagewise.remedies.base import Batch, TrainingContext
from stagewise.remedies.registry import find_remedy
from tests.helpers.tiny_llama import build_tokenizer

TOKENIZER = build_tokenizer()
TEXTS = ("I cannot sleep.", "Today was a calm day at the lake.", "The trial found no difference.")
WORDS = {"old": ("yes", "no", "maybe"), "new": ("stress", "no stress")}


def encode_words(words) -> list[list[int]]:
    """Token ids of label answers, with their end token."""
    return [[*TOKENIZER(word, add_special_tokens=False)["input_ids"], TOKENIZER.eos_token_id] for word in words]


def make_context(model, words=None, texts=TEXTS) -> TrainingContext:
    """A stage that learns ``new`` after the other tasks of `words`; its rows' gold answers take turns."""
    answers = {task: encode_words(of_task) for task, of_task in (words or WORDS).items()}
    rows = {
        task: [_row(text, task, n % len(of_task), of_task) for n, text in enumerate(texts)]
        for task, of_task in answers.items()
    }
    new, earlier = rows.pop("new"), rows
    return TrainingContext(model, TOKENIZER, new, earlier, answers, 0, Lora(), learns=("new",))


def _row(text: str, task: str, label: int, answers: list[list[int]]) -> dict:
    prompt, answer = TOKENIZER(text)["input_ids"], answers[label]
    labels = [-100] * len(prompt) + answer
    return {"input_ids": prompt + answer, "labels": labels, "task": task, "label": label, "prompt_tokens": len(prompt)}


def make_hook(name: str, context: TrainingContext, **settings):
    """The hook of a remedy with these settings."""
    return find_remedy(name).cls(**settings).hook(context)


def make_batch(context: TrainingContext, numbers: list[int], step_rows: float | None = None) -> Batch:
    """The forward pass of training over some rows, padded on the right."""
    rows = [context.rows[number]["input_ids"] for number in numbers]
    longest, pad = max(map(len, rows)), TOKENIZER.pad_token_id
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    decoder = context.model.get_base_model().base_model
    hidden = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    step_rows = step_rows or len(numbers)
    return Batch(numbers, torch.zeros(len(rows)), 1.0, step_rows, len(numbers) / step_rows, hidden)


def trainable(model) -> list:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def move(model, scale: float = 0.05) -> None:
    """Change the adapter at random: the student after some steps."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in trainable(model):
            parameter += scale * torch.randn(parameter.shape, generator=generator)
