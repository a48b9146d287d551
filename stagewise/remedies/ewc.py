"""Stay near the parent's weights where the earlier tasks need them."""

import random
from typing import ClassVar

from pydantic import Field

from stagewise.remedies.base import Batch, Effect, Remedy, Row, Scene


class Ewc(Remedy):
    """Elastic weight consolidation: the anchor's penalty on A and B, weighted by Fisher information (Kirkpatrick 2017).

    Its diagonal is estimated at the parent on the earlier tasks' training items, with labels drawn from the parent's
    own label distribution. It is scaled to a mean of 1, so that `strength` means what it means for `anchor` on factors.
    """

    paper: ClassVar[str] = "Kirkpatrick et al. 2017, arXiv:1612.00796"
    needs_earlier: ClassVar[bool] = True
    needs_parent: ClassVar[bool] = True

    strength: float = Field(0.05, gt=0, description="Weight of the penalty.")
    items: int = Field(64, ge=1, description="Items of each earlier task behind the Fisher estimate.")

    @property
    def label(self) -> str:
        return f"ewc-{self.strength:g}"

    def effect(self, scene: Scene) -> Effect:
        return _Consolidated(scene, self)


class _Consolidated(Effect):
    def __init__(self, scene: Scene, settings: Ewc):
        self.strength = settings.strength
        fisher, self.tokens = fisher_diagonal(scene, settings.items)
        mean = sum(float(f.sum()) for f in fisher.values()) / sum(f.numel() for f in fisher.values())
        self.known = [
            (parameter, parameter.detach().clone(), fisher[name] / mean if mean > 0 else fisher[name])
            for name, parameter in scene.model.named_parameters()
            if parameter.requires_grad
        ]

    def loss(self, batch: Batch):
        moved = sum((weight * (now - then).square()).sum() for now, then, weight in self.known)
        return batch.share * self.strength / 2 * moved


def fisher_diagonal(scene: Scene, items: int) -> tuple[dict, int]:
    """Mean squared gradient of the log-probability of a drawn label, by trainable parameter; and the tokens read.

    The mean over items of the gradient's square, not the square of their mean: one backward pass per item.
    """
    import torch

    from stagewise.inference import likelihood

    trainable = {name: p for name, p in scene.model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in trainable.items()}
    generator = torch.Generator().manual_seed(scene.seed)
    was_training, tokens, count = scene.model.training, 0, 0
    scene.model.eval()
    for task, rows in scene.earlier.items():
        answers = scene.answers[task]
        prompts = [row["input_ids"][: row["prompt_tokens"]] for row in _drawn(rows, items, scene.seed)]
        scores = torch.from_numpy(likelihood.score(scene.model, scene.tokenizer, prompts, answers))
        labels = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0].tolist()
        for prompt, label in zip(prompts, labels, strict=True):
            _log_probability(scene.model, prompt, answers[label]).backward()
            for name, p in trainable.items():
                if p.grad is not None:
                    total[name] += p.grad.detach() ** 2
                    p.grad = None
            tokens += 2 * len(prompt) + len(answers[label])
            count += 1
    scene.model.train(was_training)
    return {name: value / max(count, 1) for name, value in total.items()}, tokens


def _drawn(rows: list[Row], items: int, seed: int) -> list[Row]:
    return random.Random(f"fisher {seed}").sample(rows, min(items, len(rows)))


def _log_probability(model, prompt: list[int], answer: list[int]):
    """Log-probability of an answer after a prompt, with its gradient."""
    import torch

    device = next(model.parameters()).device
    ids = torch.tensor([prompt + answer], device=device)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(answer) + 1).logits[0, :-1]
    return logits.float().log_softmax(-1).gather(1, torch.tensor(answer, device=device)[:, None]).sum()
