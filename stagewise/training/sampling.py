"""Which items a forward pass has, on one process or on several. Importing this module imports torch."""

import math
from itertools import islice

import torch
from torch.utils.data import BatchSampler, Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from stagewise.training.distributed import Split


class Collator:
    """Pads rows on the right; ``row`` carries their numbers."""

    def __init__(self, pad: int):
        self.pad = pad

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        if not rows:
            return self._nothing()
        longest = max(len(row["input_ids"]) for row in rows)

        def padded(key, value):
            return torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in rows])

        return {
            "input_ids": padded("input_ids", self.pad),
            "attention_mask": torch.tensor(
                [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
            ),
            "labels": padded("labels", -100),
            "row": torch.tensor([row["row"] for row in rows]),
        }

    def _nothing(self) -> dict[str, torch.Tensor]:
        """What a process without items passes forward while the others have some: no row, and no loss."""
        ids = torch.full((1, 2), self.pad)
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": torch.full_like(ids, -100),
            "row": torch.empty(0, dtype=torch.long),
        }


class GroupedByLength(Sampler):
    """Items of similar length side by side, in an order that seed and epoch alone decide.

    transformers' own sampler draws from the global generator, so that a training resumed within an epoch would meet
    other batches than it would have without the interruption.
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


class Batches(BatchSampler):
    """The passes of one process alone, the last of an epoch as short as it is."""

    def __init__(self, sampler: Sampler, size: int):
        super().__init__(sampler, size, drop_last=False)

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)


class Shares(Sampler):
    """One process's share of every pass of one process alone, so that a step has the same items however many there are.

    accelerate's own sharding fills the last passes of an epoch up with items from its beginning, or leaves some
    processes a pass short. Here every process has as many passes, and one may be empty.
    """

    def __init__(self, batches: Batches, split: Split):
        self.batch_sampler, self.split = batches, split  # transformers sets the epoch on an attribute of this name

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)

    @property
    def _group(self) -> int:
        """Passes of one process alone that the processes divide among them."""
        return self.split.accumulation * self.split.count if self.split.whole else 1

    def __len__(self) -> int:
        if not self.split.whole:
            return len(self.batch_sampler)
        full, rest = divmod(len(self.batch_sampler), self._group)
        return full * self.split.accumulation + math.ceil(rest / self.split.count)

    def __iter__(self):
        count, index = self.split.count, self.split.index
        passes = iter(self.batch_sampler)
        while group := list(islice(passes, self._group)):
            if not self.split.whole:
                yield group[0][index::count]
                continue
            for start in range(0, len(group), count):
                yield group[start + index] if start + index < len(group) else []


def rows_of_mean(rows: torch.Tensor, split: Split) -> list[float]:
    """By how many rows a mean over the rows of each of this process's passes divides.

    Parameters
    ----------
    rows
        Rows in every pass of one optimizer step, shape (processes, passes).
    split
        How the step is divided.

    Returns
    -------
    For one process, the rows of each pass. For several, such numbers that sums over their own rows, divided by these
    and multiplied by a pass's share of the step, average over the processes to what one process would have.
    """
    if not split.whole:
        return [max(int(number), 1) / split.count for number in rows.sum(0)]
    passes = int((rows > 0).sum())  # those that one process alone would have
    return [max(int(number), 1) * passes / rows.numel() for number in rows[split.index]]
