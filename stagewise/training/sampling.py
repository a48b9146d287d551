"""Items of each forward pass, on one process or on several. Importing this module imports torch."""

from itertools import islice

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from stagewise.training.distributed import StepShare


class Collator:
    """Pads rows on the right; ``row`` is the list of their numbers."""

    def __init__(self, pad: int):
        self.pad = pad

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor | list[int]]:
        if not rows:
            return self._empty_batch()
        longest = max(len(row["input_ids"]) for row in rows)

        def pad_right(key, value):
            return torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in rows])

        return {
            "input_ids": pad_right("input_ids", self.pad),
            "attention_mask": torch.tensor(
                [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
            ),
            "labels": pad_right("labels", -100),
            "row": [row["row"] for row in rows],
        }

    def _empty_batch(self) -> dict[str, torch.Tensor | list[int]]:
        """Batch of a process without items in a pass in which others have some: no row counts, and no loss."""
        ids = torch.full((1, 2), self.pad)
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": torch.full_like(ids, -100),
            "row": [],
        }


class GroupedByLength(Sampler):
    """Items of similar length side by side, in an order that depends on seed and epoch alone.

    transformers' own sampler draws from the global generator, so that a training resumed within an epoch would get
    other batches than without the interruption.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self):
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class StepPasses(Sampler):
    """One process's forward passes: the items of every optimizer step, in the sampler's order, split by its share.

    A step has the same items for any split and any number of processes. accelerate's own sharding fills up the last
    passes of an epoch with items from its beginning, or leaves some processes a pass short. Here every process has the
    same number of passes, and one may be empty.
    """

    def __init__(self, sampler: Sampler, share: StepShare):
        self.batch_sampler, self.share = sampler, share  # transformers sets the epoch on an attribute of this name

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.batch_sampler, "set_epoch"):
            self.batch_sampler.set_epoch(epoch)

    def __len__(self) -> int:
        complete, rest = divmod(len(self.batch_sampler), self.share.items)
        return complete * self.share.passes + len(self.share.split(list(range(rest))))

    def __iter__(self):
        items = iter(self.batch_sampler)
        while step := list(islice(items, self.share.items)):
            yield from self.share.split(step)
