"""Score labels by log-likelihood: the probability of each label's answer after a prompt.

Prompts are batched by length and padded on the left, so that the same positions of every row predict the answers and
no other position needs the output head. A pass reads the prompts and all answers, as branches of a tree. Models that
cannot read those get the answers in short passes on the prompts' cache.
"""

import copy
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from stagewise.inference.answer_tree import AnswerTree, answer_trees, score_tree
from stagewise.models.load import compute_context
from stagewise.models.own_logits import float32_head
from stagewise.models.token_tree import base_model, longest_tree

if TYPE_CHECKING:
    from stagewise.models.frozen_layers import FrozenLayers

# Rounding between two ways to read the same tokens stays below this, in nats; a wrong mask is rarely so near.
_ROUNDING = {"float32": 1e-3}
_ROUNDING_OF_OTHER_TYPES = 0.5

# Tokens of the longest branch and prompt that a model reads in a tree, as `_tree_length` has seen.
_tree_lengths: WeakKeyDictionary = WeakKeyDictionary()


def batches(lengths, tokens_per_batch: int, extra: int = 0, most: int | None = None) -> list[list[int]]:
    """Group items of similar length, the longest first.

    Parameters
    ----------
    lengths
        Number of tokens of each item.
    tokens_per_batch
        Maximal number of tokens per batch, padding included; a longer item is a batch of its own.
    extra
        Number of tokens added to every item, such as those to be generated.
    most
        Maximal number of items per batch, if there is one.

    Returns
    -------
    Indices of each batch's items. With the longest first, a batch that does not fit into memory fails at once, and
    the remaining time is over- rather than underestimated.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    groups: list[list[int]] = []
    for i in order:
        size = len(groups[-1]) + 1 if groups else 0
        if groups and (lengths[groups[-1][0]] + extra) * size <= tokens_per_batch and size <= (most or size):
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def pad_left(rows: list[list[int]], pad: int, device):
    """Pad a batch on the left to token ids, attention mask and position ids, each of shape (rows, longest).

    Positions count from 0 at each row's first token, as they would without padding.
    """
    import torch

    longest = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


def score(
    model,
    tokenizer,
    prompts: list[list[int]],
    answers: list[list[int]],
    tokens_per_batch: int = 4096,
    progress=None,
    share: tuple[int, int] = (0, 1),
    frozen_layers: "FrozenLayers | None" = None,
    before_batch: Callable[[], None] | None = None,
) -> np.ndarray:
    """Compute the natural log-probability of each label's answer after each prompt.

    It is that of the whole answer, its end token included: the sum over the answer's tokens of log p(token | prompt,
    earlier tokens of the answer). The first token alone would count every text that begins with it, such as ``no
    stress`` as ``no``.

    Parameters
    ----------
    model
        Causal language model of transformers, with or without an adapter. Its mode (training or evaluation) is
        restored afterwards.
    tokenizer
        Tokenizer, for its padding token.
    prompts
        Token ids of n prompts, none empty.
    answers
        Token ids of the labels' answers, each with its end token.
    tokens_per_batch
        Padded tokens per forward pass, those of answers and of the cache included. It changes speed and memory;
        log-probabilities change by rounding only, below 1e-4 in float32.
    progress
        Title of the progress bar; None shows none.
    share
        (index, number) of this process among those that share the batches. Rows of the other processes' batches
        stay 0, so that the sum over the processes equals the result of a single one.
    frozen_layers
        The model's frozen layers, whose kept output is used if that of these items fits; log-probabilities change by
        rounding only, as above.
    before_batch
        Called before every batch.

    Returns
    -------
    Array of float64, (n prompts, n labels).
    """
    import torch
    from tqdm import tqdm

    result = np.zeros((len(prompts), len(answers)))
    was_training = model.training
    model.eval()
    try:
        with (
            torch.no_grad(),
            compute_context(model),
            float32_head(model),
            tqdm(total=len(prompts), desc=progress, unit="item", disable=progress is None) as bar,
        ):
            index, processes = share
            passes = list(scoring_passes(model, tokenizer, prompts, answers, tokens_per_batch, frozen_layers))
            for group, score_group in passes[index::processes]:
                if before_batch:
                    before_batch()
                result[group] = score_group().cpu().numpy()
                bar.update(len(group))
    finally:
        model.train(was_training)
    if frozen_layers:
        frozen_layers.flush()
    return result


def scoring_passes(
    model, tokenizer, prompts, answers, tokens_per_batch: int, frozen_layers: "FrozenLayers | None" = None
) -> Iterator[tuple[list[int], Callable]]:
    """Divide the scoring of prompts into passes that keep a gradient, unless it is switched off around them.

    `score` goes through them without one. To be used within `compute_context` and `float32_head`; the model's mode is
    the caller's choice. Parameters are those of `score`.

    Yields
    ------
    Indices of the prompts of a pass, and the function that scores them: a tensor of float64, (prompts, labels), nats.
    """
    import torch

    pad = tokenizer.pad_token_id
    trees, longest = _trees(model, pad, prompts, answers)
    order = [label for tree in trees for label in tree.labels]
    in_trees = [i for i, prompt in enumerate(prompts) if len(prompt) <= longest]
    on_cache = [i for i, prompt in enumerate(prompts) if len(prompt) > longest]
    tokens = sum(len(prompts[i]) + len(tree.branches) for i in in_trees for tree in trees)
    if frozen_layers and not frozen_layers.fits(tokens):
        frozen_layers = None

    def score_in_trees(rows):
        scores = torch.cat([score_tree(model, pad, rows, tree, frozen_layers) for tree in trees], 1)
        return scores[:, sorted(range(len(order)), key=order.__getitem__)]

    def score_on_cache(rows):
        return _score_on_cache(model, pad, rows, answers, tokens_per_batch).double()

    nodes, rows_per_pass = max(len(tree.branches) for tree in trees), min(tree.rows_per_pass for tree in trees)
    for group in batches([len(prompts[i]) for i in in_trees], tokens_per_batch, nodes, rows_per_pass):
        numbers = [in_trees[i] for i in group]
        yield numbers, partial(score_in_trees, [prompts[i] for i in numbers])
    readings = _readings(answers, torch.is_grad_enabled())
    for group in batches([readings * len(prompts[i]) for i in on_cache], tokens_per_batch):
        numbers = [on_cache[i] for i in group]
        yield numbers, partial(score_on_cache, [prompts[i] for i in numbers])


def count_tokens(model, tokenizer, prompts, answers, *, gradient: bool) -> list[int]:
    """Count the tokens that `scoring_passes` reads for each prompt, without padding."""
    trees, longest = _trees(model, tokenizer.pad_token_id, prompts, answers)
    nodes, rest = sum(len(tree.branches) for tree in trees), sum(len(answer) - 1 for answer in answers)
    readings = _readings(answers, gradient)
    return [
        len(trees) * len(prompt) + nodes if len(prompt) <= longest else readings * len(prompt) + rest
        for prompt in prompts
    ]


def _readings(answers, gradient: bool) -> int:
    """Count the readings of a prompt by a model without trees: without a cache one more before every longer answer."""
    return 1 + (sum(len(answer) > 1 for answer in answers) if gradient else 0)


def _trees(model, pad: int, prompts, answers) -> tuple[list[AnswerTree], float]:
    """Build the answers' trees; with them comes the length of the longest prompt that is read before one."""
    trees = answer_trees(answers)
    return trees, _tree_length(model, pad, prompts, answers, trees) - max(tree.branches.depth for tree in trees)


def _tree_length(model, pad: int, prompts, answers, trees: list[AnswerTree]) -> float:
    """Tokens of the longest branch and prompt that a model reads right in a tree, 0 if none.

    The first time, the beginning of a prompt is scored in both ways, so that no model is trusted unseen.
    """
    base = base_model(model)
    if base not in _tree_lengths and prompts:
        length, tree = longest_tree(model), trees[0]
        if length <= tree.branches.depth:
            return 0
        beginning = prompts[0][: int(min(8, length - tree.branches.depth))]
        difference = _difference_in_a_tree(model, pad, beginning, [answers[label] for label in tree.labels], tree)
        if difference > _ROUNDING.get(str(model.dtype).removeprefix("torch."), _ROUNDING_OF_OTHER_TYPES):
            print(
                f"{type(base).__name__}: answers are scored in passes of their own, because this model reads them as "
                f"branches of one pass with a difference of {difference:.2g} nats",
                file=sys.stderr,
            )
            length = 0
        _tree_lengths[base] = length
    return _tree_lengths.get(base, 0)


def _difference_in_a_tree(model, pad: int, prompt: list[int], answers, tree: AnswerTree) -> float:
    """Largest difference between the scores of a tree's answers in one pass and in passes of their own, nats."""
    import torch

    was_training = model.training
    model.eval()  # a dropout in training would make any two passes differ
    try:
        with torch.no_grad(), compute_context(model), float32_head(model):
            apart = _score_on_cache(model, pad, [prompt], answers, 4096)
            return float((score_tree(model, pad, [prompt], tree) - apart).abs().max())
    finally:
        model.train(was_training)


def _score_on_cache(model, pad: int, prompts: list[list[int]], answers: list[list[int]], tokens_per_batch: int):
    """Compute the log-probabilities of whole answers, (rows, labels): the prompts once, then the answers after them.

    A pass that keeps a gradient has no cache: layers that are computed again in the backward pass would write to it
    twice.
    """
    import torch

    ids, mask, positions = pad_left(prompts, pad, next(model.parameters()).device)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        use_cache=not torch.is_grad_enabled(),
        logits_to_keep=1,
    )
    result = out.logits[:, -1].float().log_softmax(-1)[:, [answer[0] for answer in answers]]
    # The shortest answers first, so that those that share a pass are of similar length.
    labels = [n for n in sorted(range(len(answers)), key=lambda n: len(answers[n])) if len(answers[n]) > 1]
    pairs = [(row, label) for label in labels for row in range(len(ids))]
    longest = ids.shape[1] + max(map(len, answers)) - 1
    pairs_per_pass = max(1, tokens_per_batch // longest)
    cache = getattr(out, "past_key_values", None)
    for start in range(0, len(pairs), pairs_per_pass):
        rows, columns = torch.tensor(pairs[start : start + pairs_per_pass], device=ids.device).T
        prompts = ids[rows], mask[rows], positions[rows]
        rest = _score_rest(model, prompts, _select_rows(cache, rows), [answers[n] for n in columns.tolist()])
        result[rows, columns] += rest
    return result


def _score_rest(model, prompts, cache, answers: list[list[int]]):
    """Compute the log-probability of each answer but its first token, (rows,): a row is a prompt and its answer.

    `cache` is that of the prompts, which grows; None reads the prompts again.
    """
    import torch

    ids, mask, positions = prompts
    width = max(map(len, answers)) - 1

    def pad_right(rows: list[list[int]]):
        return torch.tensor([row + [0] * (width - len(row)) for row in rows], device=ids.device)

    fed, targets = pad_right([answer[:-1] for answer in answers]), pad_right([answer[1:] for answer in answers])
    counts = pad_right([[1] * (len(answer) - 1) for answer in answers])  # 0 for padding
    fed_positions = positions[:, -1:] + torch.arange(1, width + 1, device=ids.device)
    if cache is None:
        fed, fed_positions = torch.cat([ids, fed], 1), torch.cat([positions, fed_positions], 1)
    logits = model(
        input_ids=fed,
        attention_mask=torch.cat([mask, counts], 1),
        position_ids=fed_positions,
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=width,
    ).logits
    logprobs = logits.float().log_softmax(-1).gather(2, targets[:, :, None])[:, :, 0]
    return (logprobs * counts).sum(1)


def _select_rows(cache, rows):
    """Copy rows of a cache, any of them several times; None if the cache is not one of attention alone.

    Recurrent layers keep a state that they change in place, and many of them read one token at a time only.
    """
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    if cache is None or any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers):
        return None
    # These layers replace their tensors when they are reordered and when they grow, so a shallow copy is enough.
    selected = copy.copy(cache)
    selected.layers = [copy.copy(layer) for layer in cache.layers]
    selected.reorder_cache(rows)
    return selected
