"""A prompt and the branches that may follow it, read by a decoder in one forward pass.

A branch's tokens see the prompt and their own branch alone, at the positions that they would have without the others.
Importing this module imports no torch.
"""

import hashlib
import sys
from array import array
from dataclasses import dataclass
from functools import cached_property

# What `tree_mask` can be written for.
ATTENTIONS = ("sdpa", "eager")


@dataclass(frozen=True)
class Branches:
    """Tokens that follow a prompt, as the nodes of a tree; every node comes after its parent."""

    tokens: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    """Index of the node before each one; -1 for the prompt's end."""

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Distance of each node from the prompt's last token, at least 1."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(1 if parent < 0 else depths[parent] + 1)
        return tuple(depths)

    @property
    def depth(self) -> int:
        """Tokens of the longest branch."""
        return max(self.depths, default=0)

    @cached_property
    def paths(self) -> tuple[tuple[int, ...], ...]:
        """Nodes that each node sees: its branch up to itself."""
        paths: list[tuple[int, ...]] = []
        for node, parent in enumerate(self.parents):
            paths.append((*(paths[parent] if parent >= 0 else ()), node))
        return tuple(paths)


@dataclass(frozen=True)
class TokenTree:
    """A prompt with its branches; without branches a plain sequence."""

    prompt: tuple[int, ...]
    branches: Branches = Branches()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.branches)

    @cached_property
    def key(self) -> str:
        """SHA-256 of the token ids and their order, in hexadecimal."""
        parts = (self.prompt, self.branches.tokens, self.branches.parents)
        digest = hashlib.sha256(array("q", map(len, parts)).tobytes())
        for part in parts:
            digest.update(array("q", part).tobytes())
        return digest.hexdigest()


def tree_batch(trees: list[TokenTree], pad: int, model):
    """Lay out trees of the same branches for one forward pass, padded on the left.

    Returns
    -------
    Arguments of the model's forward pass: token ids and positions of shape (trees, longest), and the attention mask of
    `tree_mask`. Nodes stand at the same places in every row, the last ones.
    """
    import torch

    device, branches = next(model.parameters()).device, trees[0].branches
    longest = max(map(len, trees))
    ids, positions = [], []
    for tree in trees:
        padding, length = longest - len(tree), len(tree.prompt)
        ids.append([pad] * padding + [*tree.prompt, *branches.tokens])
        positions.append([0] * padding + [*range(length), *(length - 1 + depth for depth in branches.depths)])
    return {
        "input_ids": torch.tensor(ids, device=device),
        "position_ids": torch.tensor(positions, device=device),
        "attention_mask": tree_mask(trees, model),
        "use_cache": False,
    }


def tree_mask(trees: list[TokenTree], model):
    """Build the mask (trees, 1, longest, longest) of trees that are padded on the left, in the form the model takes.

    It is True where a row's token (third axis) sees another (fourth axis): the tokens before it of the prompt, and of
    its own branch; padding sees itself, so that no softmax is over nothing. For eager attention it is what is added to
    the scores, 0 or the lowest number of the compute type.
    """
    import torch

    branches, longest = trees[0].branches, max(map(len, trees))
    first = longest - len(branches)
    sees = torch.ones(longest, longest, dtype=torch.bool).tril()
    sees[first:, first:] = False
    for node, path in enumerate(branches.paths):
        sees[first + node, [first + other for other in path]] = True
    is_token = torch.tensor([[False] * (longest - len(tree)) + [True] * len(tree) for tree in trees])
    mask = (sees & is_token[:, None, :] | torch.eye(longest, dtype=torch.bool))[:, None]
    if _attention(model) == "eager":
        lowest = torch.finfo(model.dtype).min
        mask = torch.zeros(mask.shape, dtype=model.dtype).masked_fill(~mask, lowest)
    return mask.to(next(model.parameters()).device)


def longest_tree(model) -> float:
    """Tokens of the longest branch and its prompt that a model reads right in a tree; 0 if it cannot read trees.

    The mask takes the place of the model's own, which transformers' helpers pass on as it is. It cannot say what a
    sliding window hides, nor reach layers that are no attention, and positions have to be the model's to take.
    """
    import inspect

    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    decoder, config = base_model(model).base_model, model.config.get_text_config()
    layers = DynamicCache(config=config).layers
    kinds = {"full_attention", "sliding_attention"}
    readable = (
        _attention(model) in ATTENTIONS
        and hasattr(sys.modules[type(decoder).__module__], "create_causal_mask")
        and "position_ids" in inspect.signature(type(decoder).forward).parameters
        and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
        and set(getattr(config, "layer_types", None) or kinds) <= kinds
        and not getattr(config, "alibi", False)  # positions would be counted from a mask of two axes
    )
    if not readable:
        return 0
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or kinds)
    window = getattr(config, "sliding_window", None)
    return window if slides and window else float("inf")


def _attention(model) -> str:
    return model.config.get_text_config()._attn_implementation


def base_model(model):
    """The model of transformers, whatever adapter is on it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
