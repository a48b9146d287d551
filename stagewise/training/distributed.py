"""Several processes, one per GPU, that train one adapter together. Importing this module imports no torch.

They are a way to run, not part of the experiment: whatever their number, an optimizer step has the same items and the
same loss, so neither the recipe nor the fingerprint depends on it.
"""

import math
import os
import sys
from dataclasses import dataclass
from datetime import timedelta

from stagewise.errors import InputError
from stagewise.models.gpu_lock import take_gpus
from stagewise.models.gpus import DEVICE_VARIABLE, cpu_is_chosen

_PATIENCE = timedelta(minutes=30)
"""Longest wait of a process for the others: NCCL's 10 minutes are short for a slow disk, and gloo's are 30."""


def process_count() -> int:
    """Return the number of processes that the launcher has started, this one included; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def process_index() -> int:
    """Return this process's index among them; the one with index 0 writes the files."""
    return int(os.environ.get("RANK", 0))


@dataclass(frozen=True)
class StepShare:
    """One process's share of every optimizer step, and its split into forward passes.

    A process takes every `count`-th item of a step, in passes of at most `micro_batch` items. All processes have as
    many passes as the one with most items, so that some of the others' may be shorter, or empty.
    """

    items: int
    """Items in an optimizer step, over all processes."""
    micro_batch: int
    """Items in a forward pass of this process."""
    count: int = 1
    """Number of processes."""
    index: int = 0

    @property
    def passes(self) -> int:
        """Forward passes of each process in a step."""
        return self._passes(self.items)

    def split(self, items: list[int]) -> list[list[int]]:
        """Split the items of a step, the last one of an epoch may have fewer, into this process's passes."""
        mine, size = items[self.index :: self.count], self.micro_batch
        return [mine[start * size : (start + 1) * size] for start in range(self._passes(len(items)))]

    def _passes(self, items: int) -> int:
        return math.ceil(items_of_a_process(items, self.count) / self.micro_batch)


def items_of_a_process(items: int, processes: int) -> int:
    """Largest number of a step's items that one of the processes gets."""
    return math.ceil(items / processes)


def check_processes(items: int, processes: int) -> None:
    """Check that every process has an item of an optimizer step.

    Raises
    ------
    InputError
        If it has not.
    """
    if processes > items:
        raise InputError(
            f"{processes} processes cannot share an optimizer step of {items} items (training.batch_size times "
            f"training.gradient_accumulation); give the rule at most {items} processes in the profile"
        )


def init_distributed():
    """Join the other processes of the launcher; each gets a GPU of its own as the current device.

    Returns
    -------
    accelerate's `PartialState`: it knows the main process, and lets it go first.
    """
    import torch
    from accelerate import PartialState

    # Of the timeouts this one counts, since the group exists before transformers gives its own (`ddp_timeout`).
    return PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)


def launch_processes(
    processes: int, module: str, arguments: list[str], work: str, deadline: float | None = None
) -> None:
    """Replace this process by accelerate's launcher, which runs ``python -m module`` in several; never returns.

    Parameters
    ----------
    work, deadline
        As of `take_gpus`: the launcher holds the GPUs.

    Raises
    ------
    InputError
        If there are fewer GPUs than processes, unless the CPU is chosen.
    Unfinished
        If too few GPUs are free at the deadline.
    """
    if not take_gpus(processes, work, deadline) and not cpu_is_chosen():
        raise InputError(
            f"{processes} processes need {processes} GPUs, but this job sees none; ask for them, or for one process, "
            f"in the profile, or set {DEVICE_VARIABLE}=cpu to have the processes share the CPU"
        )
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    options = {
        "num_processes": processes,
        "num_machines": 1,
        "main_process_port": 0,  # any free one: several jobs may share a machine
        "gpu_ids": "all",  # of those that this process took; a configuration file in the user's home may name others
        "num_cpu_threads_per_process": max(1, threads // processes),
        "mixed_precision": "no",  # the recipe's dtype decides
        "dynamo_backend": "no",
    }
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    # --cpu would start one process only; --multi_gpu starts them all, as CPU processes if there is no GPU.
    command += ["--multi_gpu", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*command, "--module", module, *arguments])
