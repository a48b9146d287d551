"""Threads of trainings and predictions on one machine."""

from stagewise.config.base_model import Model
from stagewise.lineage import Adapter
from stagewise.models.machine import Memory

MOST = 8
"""A process gains little from more."""

ON_GPU = 4
"""Most threads of a process on a GPU: they only feed it."""

MEMORY = 4e9
"""Bytes of the machine's memory for each process beside others."""


def threads_per_job(
    adapters: dict[str, Adapter], lineage: str, model: Model, cores: int | None, memory: Memory, gpu_jobs: int
) -> int:
    """Share the cores among the jobs that can run at the same time: one for each adapter of the same stage.

    Threads of one process wait for each other, those of two processes do not. The number is a matter of the
    experiment and the machine, not of what a run happens to make, since it may change last digits. A process that has
    no others beside it gets all cores; so does one of a model from elsewhere than a package, as such a model may be
    too large for two in the memory, and its size is not known until it is fetched.

    Parameters
    ----------
    adapters
        All of the experiment, by lineage.
    lineage
        What is trained or scored; one that is not among the adapters is the base model.
    cores
        Cores of the run; None if jobs run on other machines.
    gpu_jobs
        Jobs that may share the machine's GPUs at the same time; 0 without any.
    """
    if gpu_jobs:
        return ON_GPU if cores is None else min(ON_GPU, max(1, cores // gpu_jobs))
    if cores is None or model.package is None or lineage not in adapters:
        return MOST
    adapter = adapters[lineage]
    beside = sum(
        (other.stage, other.training is None) == (adapter.stage, adapter.training is None)
        for other in adapters.values()
    )
    room = beside if memory.total is None else int(memory.total // MEMORY)
    return min(MOST, max(1, cores // max(1, min(beside, room))))
