"""Several processes, one per GPU, that train one adapter together. Importing this module imports no torch.

They are a way to run, not part of the experiment: whatever their number, an optimizer step has the same items and the
same loss, so neither the recipe nor the fingerprint depends on it.
"""

import os
import sys
from dataclasses import dataclass
from datetime import timedelta

from stagewise.errors import InputError
from stagewise.models.gpu_lock import take_gpus
from stagewise.models.gpus import DEVICE_VARIABLE, cpu_is_chosen

_PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: NCCL's 10 minutes are short for a slow disk, and gloo's are 30."""


def process_count() -> int:
    """Return the number of processes that the launcher has started, this one included; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def process_index() -> int:
    """Return this process's index among them; the one with index 0 writes the files."""
    return int(os.environ.get("RANK", 0))


@dataclass(frozen=True)
class StepShare:
    """One process's share of every optimizer step.

    The passes of a single process are the reference. If `splits_accumulation`, each process takes some of these passes
    whole; else each takes a part of every pass.
    """

    count: int
    """Number of processes."""
    index: int
    batch_size: int
    """Items in each of this process's forward passes."""
    accumulation: int
    """This process's forward passes per optimizer step."""
    splits_accumulation: bool

    @property
    def pass_size(self) -> int:
        """Items in a forward pass of a single process."""
        return self.batch_size if self.splits_accumulation else self.batch_size * self.count

    @property
    def step_size(self) -> int:
        """Items in an optimizer step, over all processes."""
        return self.batch_size * self.accumulation * self.count


def share_step(batch_size: int, accumulation: int, processes: int | None = None) -> StepShare:
    """Divide an optimizer step of `accumulation` passes of `batch_size` items evenly among the processes.

    Parameters
    ----------
    processes
        Their number; those that run, if not given.

    Raises
    ------
    InputError
        If neither number is a multiple of theirs.
    """
    count = process_count() if processes is None else processes
    if batch_size % count == 0:
        return StepShare(count, process_index(), batch_size // count, accumulation, splits_accumulation=False)
    if accumulation % count == 0:
        return StepShare(count, process_index(), batch_size, accumulation // count, splits_accumulation=True)
    raise InputError(
        f"{count} processes cannot share an optimizer step evenly: neither training.batch_size ({batch_size}) nor "
        f"training.gradient_accumulation ({accumulation}) is a multiple of {count}; give the rule another number of "
        "processes in the profile, or change these two so that their product stays"
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
