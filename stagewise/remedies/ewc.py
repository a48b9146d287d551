"""EWC: stay near the parent's weights where the earlier tasks need them."""

import random
from typing import ClassVar

from pydantic import Field

from stagewise.config.base import MAX_COUNT, Number, Whole
from stagewise.errors import InputError
from stagewise.remedies.base import Batch, Remedy, Row, TrainingContext, TrainingHook


class Ewc(Remedy):
    """Elastic weight consolidation: the anchor's penalty on A and B, weighted by Fisher information (Kirkpatrick 2017).

    Its diagonal is estimated at the parent on the earlier tasks' training items, with answers drawn from the parent's
    own distribution: over the item's labels, or token by token if the task's answers are generated. It is scaled to a
    mean of 1, so that `strength` means what it means for `anchor` on factors.
    """

    paper: ClassVar[str] = "Kirkpatrick et al. 2017, arXiv:1612.00796"
    needs_earlier: ClassVar[bool] = True
    needs_parent: ClassVar[bool] = True

    strength: Number = Field(0.05, gt=0, le=MAX_COUNT, description="Weight of the penalty.")
    items: Whole = Field(64, ge=1, le=MAX_COUNT, description="Items of each earlier task behind the Fisher estimate.")

    @property
    def label(self) -> str:
        return f"ewc-{self.strength:g}"

    def hook(self, context: TrainingContext) -> TrainingHook:
        return FisherPenalty(context, self)


class FisherPenalty(TrainingHook):
    def __init__(self, context: TrainingContext, settings: Ewc):
        self.strength = settings.strength
        fisher, self.extra_tokens = fisher_diagonal(context, settings.items)
        mean = sum(float(f.sum()) for f in fisher.values()) / sum(f.numel() for f in fisher.values())
        self.anchored = [
            (parameter, parameter.detach().clone(), fisher[name] / mean if mean > 0 else fisher[name])
            for name, parameter in context.model.named_parameters()
            if parameter.requires_grad
        ]

    def loss(self, batch: Batch):
        distance = sum((weight * (now - then).square()).sum() for now, then, weight in self.anchored)
        return batch.batch_fraction * self.strength / 2 * distance


def fisher_diagonal(context: TrainingContext, items: int) -> tuple[dict, int]:
    """Estimate the Fisher information's diagonal: mean squared gradients of the log-probability of a drawn answer.

    It is the mean over items of the squared gradient, not the square of the mean: one backward pass per item.

    Returns
    -------
    fisher, tokens
        Estimate by name of trainable parameter, and the number of tokens read.

    Raises
    ------
    InputError
        If it is not finite.
    """
    import torch

    model, tokens, count = context.model, 0, 0
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in trainable.items()}
    generator = torch.Generator().manual_seed(context.seed)
    was_training = model.training
    model.eval()
    for task, rows in context.earlier_rows.items():
        drawn = _draw(rows, items, context.seed)
        prompts = [row["input_ids"][: row["prompt_tokens"]] for row in drawn]
        if task in context.label_token_ids:
            answers = _draw_labels(context, task, drawn, prompts, generator)
        else:
            answers = _draw_texts(context, task, drawn, prompts)
            tokens += sum(map(len, answers))  # read once more, while they are drawn
        for prompt, answer in zip(prompts, answers, strict=True):
            _log_probability(model, prompt, answer).backward()
            for name, parameter in trainable.items():
                if parameter.grad is not None:
                    total[name] += parameter.grad.detach() ** 2
                    parameter.grad = None
            tokens += 2 * len(prompt) + len(answer)
            count += 1
        _check_finite(total.values(), task)
    model.train(was_training)
    return {name: value / max(count, 1) for name, value in total.items()}, tokens


def _draw_labels(context: TrainingContext, task: str, rows: list[Row], prompts, generator) -> list[list[int]]:
    """Draw an answer to each row from the model's distribution over the labels that its item has."""
    import torch

    from stagewise.inference import likelihood
    from stagewise.inference.label_words import without_missing_options

    answers = context.label_token_ids[task]
    scores = likelihood.score(context.model, context.tokenizer, prompts, answers)
    _check_finite([torch.from_numpy(scores)], task)
    scores = without_missing_options(scores, [row.get("options", len(answers)) for row in rows])
    labels = torch.multinomial(torch.from_numpy(scores).softmax(1), 1, generator=generator)[:, 0].tolist()
    return [answers[label] for label in labels]


def _draw_texts(context: TrainingContext, task: str, rows: list[Row], prompts) -> list[list[int]]:
    """Draw an answer to each row token by token, up to its end or as many tokens as the longest gold answer has."""
    from stagewise.inference.generation import Sampling, generate_tokens

    gold = [row["input_ids"][row["prompt_tokens"] :] for row in rows]
    ends = {answer[-1] for answer in gold}
    sampling = Sampling(1.0, 1.0, [f"fisher {context.seed} {task} {number}" for number in range(len(rows))])
    most = max(map(len, gold), default=1)
    drawn = generate_tokens(context.model, context.tokenizer, prompts, most, end_token_ids=ends, sampling=sampling)
    ends |= {context.tokenizer.eos_token_id, context.tokenizer.pad_token_id}
    return [answer[: next((n + 1 for n, token in enumerate(answer) if token in ends), most)] for answer in drawn]


def _check_finite(values, task: str) -> None:
    if not all(bool(value.isfinite().all()) for value in values):
        raise InputError(
            f"remedies.ewc: the Fisher information of {task} is not finite (NaN or infinite) at the parent adapter; "
            "train the parent with a lower training.learning_rate, or leave the remedy out"
        )


def _draw(rows: list[Row], items: int, seed: int) -> list[Row]:
    return random.Random(f"fisher {seed}").sample(rows, min(items, len(rows)))


def _log_probability(model, prompt: list[int], answer: list[int]):
    """Compute the log-probability of an answer after a prompt, with its gradient."""
    import torch

    from stagewise.models.load import compute_context
    from stagewise.models.own_logits import float32_head

    device = next(model.parameters()).device
    ids = torch.tensor([prompt + answer], device=device)
    with compute_context(model), float32_head(model):
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(answer) + 1).logits[0, :-1]
    return logits.float().log_softmax(-1).gather(1, torch.tensor(answer, device=device)[:, None]).sum()
