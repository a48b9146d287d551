"""Items of each forward pass, on one process or on several. Importing this module imports torch."""

import math
from itertools import islice

import torch
from torch.utils.data import BatchSampler, Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from stagewise.training.distributed import StepShare


class Collator:
    """Pads rows on the right; ``row`` carries their numbers."""

    def __init__(self, pad: int):
        self.pad = pad

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
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
            "row": torch.tensor([row["row"] for row in rows]),
        }

    def _empty_batch(self) -> dict[str, torch.Tensor]:
        """Batch of a process without items in a pass in which others have some: no row counts, and no loss."""
        ids = torch.full((1, 2), self.pad)
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": torch.full_like(ids, -100),
            "row": torch.empty(0, dtype=torch.long),
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


class SingleProcessBatches(BatchSampler):
    """The passes of a single process; the last one of an epoch may be short."""

    def __init__(self, sampler: Sampler, size: int):
        super().__init__(sampler, size, drop_last=False)

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)


class SharedBatches(Sampler):
    """One process's share of the passes of a single process, so that a step has the same items for any number of them.

    accelerate's own sharding fills up the last passes of an epoch with items from its beginning, or leaves some
    processes a pass short. Here every process has the same number of passes, and one may be empty.
    """

    def __init__(self, batches: SingleProcessBatches, share: StepShare):
        self.batch_sampler, self.share = batches, share  # transformers sets the epoch on an attribute of this name

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)

    @property
    def _group_size(self) -> int:
        """Passes of a single process that are divided at a time."""
        return self.share.accumulation * self.share.count if self.share.splits_accumulation else 1

    def __len__(self) -> int:
        if not self.share.splits_accumulation:
            return len(self.batch_sampler)
        complete, rest = divmod(len(self.batch_sampler), self._group_size)
        return complete * self.share.accumulation + math.ceil(rest / self.share.count)

    def __iter__(self):
        count, index = self.share.count, self.share.index
        passes = iter(self.batch_sampler)
        while group := list(islice(passes, self._group_size)):
            if not self.share.splits_accumulation:
                yield group[0][index::count]
                continue
            for start in range(0, len(group), count):
                yield group[start + index] if start + index < len(group) else []


def mean_denominators(rows: torch.Tensor, share: StepShare) -> list[float]:
    """Compute the denominators d of row means, so that the number of processes does not change a step's mean.

    Let P be the number of processes, A the passes of each in a step, r the rows of pass a of process p, and S their
    sum of a value. A single process averages over its K passes: ``mean = 1/K · Σ S / r``. With several processes,
    gradients are averaged over the processes and each pass counts 1/A, so the same mean has to come out of

        ``1/P · Σ_p Σ_a 1/A · S_pa / d_pa``

    - a pass is split among the processes (K = A): ``d_pa = (Σ_p r_pa) / P``
    - whole passes are divided (K = the passes with rows): ``d_pa = r_pa · K / (P · A)``

    Parameters
    ----------
    rows
        Rows in every pass of one optimizer step, shape (processes, passes).
    share
        This process's share of the step.

    Returns
    -------
    Denominator of each of this process's passes; 1 row is assumed where there are none.
    """
    if not share.splits_accumulation:
        return [max(int(number), 1) / share.count for number in rows.sum(0)]
    single_process_passes = int((rows > 0).sum())
    return [max(int(number), 1) * single_process_passes / rows.numel() for number in rows[share.index]]
