"""All labels' answers after a prompt, read in one forward pass as branches of a tree. Importing imports no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stagewise.models.token_tree import Branches, TokenTree, tree_batch

if TYPE_CHECKING:
    from stagewise.models.frozen_layers import FrozenLayers

_MOST_NODES = 255
"""Nodes of a tree, unless a single answer has more."""

_HEAD_POSITIONS = 512
"""Positions at which a pass computes the output head, which is what takes memory if labels are many."""


@dataclass(frozen=True)
class AnswerTree:
    """Answers of some labels as branches after a prompt; those that begin alike share their beginning."""

    labels: tuple[int, ...]
    branches: Branches
    steps: tuple[tuple[tuple[int, int], ...], ...]
    """Of each label's answer, pairs of a position and the token that follows there. Position 0 is the prompt's last
    token, position n + 1 is node n."""

    @property
    def rows_per_pass(self) -> int:
        """Prompts that may share a pass."""
        return max(1, _HEAD_POSITIONS // (len(self.branches) + 1))


def answer_trees(answers: list[list[int]]) -> list[AnswerTree]:
    """Divide the labels' answers among trees of at most `_MOST_NODES` nodes.

    A tree feeds what an answer's last token follows; the last token itself is only predicted.
    """
    groups: list[list[int]] = []
    nodes: set[tuple[int, ...]] = set()
    for label in sorted(range(len(answers)), key=lambda n: answers[n]):  # those that begin alike stand together
        fed = _prefixes(answers[label])
        if not groups or len(nodes.union(fed)) > _MOST_NODES:
            groups.append([])
            nodes = set()
        groups[-1].append(label)
        nodes.update(fed)
    return [_answer_tree(labels, answers) for labels in groups]


def _prefixes(answer: list[int]) -> list[tuple[int, ...]]:
    return [tuple(answer[:end]) for end in range(1, len(answer))]


def _answer_tree(labels: list[int], answers: list[list[int]]) -> AnswerTree:
    nodes: dict[tuple[int, ...], int] = {}
    for label in labels:
        for prefix in _prefixes(answers[label]):
            nodes.setdefault(prefix, len(nodes))
    branches = Branches(
        tokens=tuple(prefix[-1] for prefix in nodes), parents=tuple(nodes.get(prefix[:-1], -1) for prefix in nodes)
    )
    steps = []
    for label in labels:
        positions = [0, *(nodes[prefix] + 1 for prefix in _prefixes(answers[label]))]
        steps.append(tuple(zip(positions, answers[label], strict=True)))
    return AnswerTree(tuple(labels), branches, tuple(steps))


def score_tree(model, pad: int, prompts, tree: AnswerTree, frozen_layers: "FrozenLayers | None" = None):
    """Compute the log-probabilities of a tree's answers after each prompt (its token ids) in one pass.

    Returns
    -------
    Tensor of float64, (prompts, labels of the tree), nats.
    """
    import torch

    token_trees = [TokenTree(tuple(prompt), tree.branches) for prompt in prompts]
    inputs = tree_batch(token_trees, pad, model) | {"logits_to_keep": len(tree.branches) + 1}
    if frozen_layers is None:
        logits = model(**inputs).logits.float()
    else:
        with frozen_layers.replayed(token_trees, inputs["input_ids"].shape[1], side="left"):
            logits = model(**inputs).logits.float()
    total = logits.logsumexp(-1)
    answers = []
    for steps in tree.steps:
        positions, tokens = map(list, zip(*steps, strict=True))
        answers.append((logits[:, positions, tokens] - total[:, positions]).double().sum(1))
    return torch.stack(answers, 1)
