"""Several processes, one a GPU, that train one adapter together. Importing this module imports no torch.

They are a way to run, no part of the experiment: however many there are, an optimizer step has the same items and the
same loss, so neither the recipe nor the fingerprint knows of them.
"""

import os
import sys
from dataclasses import dataclass

from stagewise.errors import InputError


def count() -> int:
    """Processes that the launcher has started, this one included; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def index() -> int:
    """This process's number among them; 0 writes the files."""
    return int(os.environ.get("RANK", 0))


@dataclass(frozen=True)
class Split:
    """One process's part of every optimizer step."""

    count: int
    index: int
    batch_size: int
    """Items of one of its forward passes."""
    accumulation: int
    """Its forward passes per optimizer step."""
    whole: bool
    """Whether it takes whole passes of one process, or a part of every one."""

    @property
    def pass_size(self) -> int:
        """Items that one process alone would have in a forward pass."""
        return self.batch_size if self.whole else self.batch_size * self.count

    @property
    def step_size(self) -> int:
        """Items of an optimizer step, all processes together."""
        return self.batch_size * self.accumulation * self.count


def split(batch_size: int, accumulation: int, processes: int | None = None) -> Split:
    """Divide `accumulation` passes of `batch_size` items evenly among the processes.

    Parameters
    ----------
    processes
        Their number; those that run, if not given.

    Raises
    ------
    InputError
        Where neither number can be divided by theirs.
    """
    several = count() if processes is None else processes
    if batch_size % several == 0:
        return Split(several, index(), batch_size // several, accumulation, whole=False)
    if accumulation % several == 0:
        return Split(several, index(), batch_size, accumulation // several, whole=True)
    raise InputError(
        f"{several} processes cannot share an optimizer step evenly: neither training.batch_size ({batch_size}) nor "
        f"training.gradient_accumulation ({accumulation}) is a multiple of {several}; give the rule another number of "
        "processes in the profile, or change these two so that their product stays"
    )


def one_gpu() -> None:
    """Hide all GPUs but the first from a process that trains alone; to be called before torch is imported.

    Where it sees several, transformers would copy the model onto all of them (DataParallel) and multiply the batch.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or "," in visible:
        os.environ["CUDA_VISIBLE_DEVICES"] = (visible or "0").split(",")[0]


def join():
    """Meet the other processes that the launcher has started; each has its own GPU as the current one.

    Returns accelerate's `PartialState`, which knows the first one and lets it go first.
    """
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def launch(processes: int, module: str, arguments: list[str]) -> None:
    """Become accelerate's launcher, which runs ``python -m module`` in so many processes; never returns.

    Raises
    ------
    InputError
        Where there are GPUs, but fewer than processes.
    """
    import torch

    if 0 < torch.cuda.device_count() < processes:
        raise InputError(
            f"{processes} processes need {processes} GPUs, but this job sees {torch.cuda.device_count()}; ask for more "
            "of them, or for fewer processes, in the profile"
        )
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    options = {
        "num_processes": processes,
        "num_machines": 1,
        "main_process_port": 0,  # any free one: several jobs may share a machine
        "num_cpu_threads_per_process": max(1, threads // processes),
        "mixed_precision": "no",  # the recipe's dtype decides
        "dynamo_backend": "no",
    }
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    # Its --cpu starts one process only; --multi_gpu starts them all, and where no GPU is they are CPU processes.
    command += ["--multi_gpu", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*command, "--module", module, *arguments])
