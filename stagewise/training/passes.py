"""Split of an optimizer step into forward passes, chosen for the machine: a way to run that changes no result.

A step's loss is a mean over its tokens, and remedies' terms are means over its rows, whatever the split (`sampling`).
Importing this module imports no torch.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.machine import Memory
from stagewise.models.memory_estimate import MemoryEstimate
from stagewise.models.out_of_memory import describe_memory
from stagewise.provenance.files import read_json, write_json

RECORD = "out_of_memory.json"
"""File in an adapter's cache folder: what did not fit, until the adapter is finished."""

GPU_SHARE = 0.8
"""Share of a GPU's free memory that the estimate may take: fragmentation and temporary copies need the rest."""

CPU_SHARE = 0.5
"""Share of the machine's memory that the estimate may take on a CPU: it is right within a factor of about two."""

_MORE_ROOM = 1.1
"""Free memory, relative to that of a failed attempt, from which on the same may be tried again."""


@dataclass(frozen=True)
class Passes:
    """Sizes of the forward passes of a training."""

    micro_batch: int
    """Items in a training pass of one process."""
    gradient_checkpointing: bool
    """True if activations are computed again instead of being kept."""
    tokens_per_batch: int
    """Padded tokens in a scoring pass of validation items."""

    def __str__(self) -> str:
        items = f"{self.micro_batch} item{'s' if self.micro_batch > 1 else ''} a pass"
        return f"{items} with gradient checkpointing" if self.gradient_checkpointing else items


@dataclass(frozen=True)
class WishedPasses:
    """Sizes that a profile or the settings ask for; None leaves a choice to the machine."""

    micro_batch: int | None = None
    gradient_checkpointing: bool | None = None
    batch_size: int | None = None
    """Items in a pass on a CPU if `micro_batch` is None; None takes a whole step, if it fits."""


@dataclass(frozen=True)
class Device:
    """Device of one process."""

    kind: str
    """``cpu`` or ``cuda``."""
    name: str
    memory: Memory
    """For a CPU, this process's share of it if several train together."""

    @property
    def room(self) -> float:
        """Bytes that a training may be estimated at. A CPU's is the same at every start, so that passes are too."""
        if self.kind == "cuda":
            return GPU_SHARE * self.memory.free
        return CPU_SHARE * self.memory.total if self.memory.total else float("inf")


@dataclass(frozen=True)
class PassChoice:
    """Choice of the passes of one training, from what is wished, what fits by the estimate, and what did not fit."""

    lineage: str
    model: str
    """Name of the base model."""
    cached: Path
    """Cache folder of the adapter."""
    wished: WishedPasses
    tokens_per_batch: int
    """Padded tokens in a scoring pass, if they fit."""
    device: Device
    items: int
    """Items of a step that one process trains on."""
    longest: int
    """Tokens of the longest item."""
    estimate: Callable[[int, bool], MemoryEstimate]
    """Function of items in a pass and gradient checkpointing."""
    can_checkpoint: bool
    """False if the model has no gradient checkpointing."""

    def first(self) -> Passes:
        """Choose the passes to begin with, smaller than those that did not fit in an earlier attempt.

        Raises
        ------
        InputError
            If there are none, or the model has no gradient checkpointing, which is wished.
        """
        if self.wished.gradient_checkpointing and not self.can_checkpoint:
            raise InputError(f"--gradient-checkpointing on: {self.model} does not have it; set it to auto or off")
        passes, failure = self._largest_that_fits(), self._earlier_failure()
        while passes and failure and failure.repeats(passes):
            passes = self._smaller(passes, failure.scoring)
        if passes is None:
            raise InputError(failure.sentence)
        return passes

    def after(self, passes: Passes, scoring: bool) -> Passes:
        """Choose smaller passes, and record that these do not fit.

        Parameters
        ----------
        scoring
            True if validation items did not fit, and not training.

        Raises
        ------
        InputError
            If there are none.
        """
        failure = Failure(passes, scoring, self._sentence(passes, scoring))
        memory = {"device": self.device.name, "total": self.device.memory.total, "free": self.device.memory.free}
        write_json(self.cached / RECORD, memory | asdict(failure))
        if not (smaller := self._smaller(passes, scoring)):
            raise InputError(failure.sentence)
        return smaller

    def finish(self) -> None:
        """Forget what did not fit: the adapter is finished."""
        (self.cached / RECORD).unlink(missing_ok=True)

    def _largest_that_fits(self) -> Passes:
        """The largest passes that fit by the estimate, or the smallest if none do: the estimate may be wrong.

        Gradient checkpointing takes longer, so it stays off if one item fits without it.
        """
        wished = self.wished
        at_most = wished.micro_batch or (self.device.kind == "cpu" and wished.batch_size) or self.items
        sizes = [min(at_most, self.items)]
        if wished.micro_batch is None:
            sizes += [size for size in range(sizes[0] - 1, 0, -1) if self.items % size == 0]
        checkpointing = [wished.gradient_checkpointing]
        if wished.gradient_checkpointing is None:
            checkpointing = [False, True] if self.can_checkpoint else [False]
        choices = [Passes(size, again, self.tokens_per_batch) for again in checkpointing for size in sizes]
        for passes in choices:
            if self.estimate(passes.micro_batch, passes.gradient_checkpointing).training <= self.device.room:
                return passes
        return choices[-1]

    def _smaller(self, passes: Passes, scoring: bool) -> Passes | None:
        """Halve what did not fit; at one item, switch gradient checkpointing on. None if nothing is left."""
        smaller = passes
        if self.wished.micro_batch is None:
            smaller = replace(passes, micro_batch=max(1, passes.micro_batch // 2))
        if scoring:
            tokens = max(self.longest, passes.tokens_per_batch // 2)
            smaller = replace(smaller, tokens_per_batch=min(passes.tokens_per_batch, tokens))
        elif smaller == passes and self.wished.gradient_checkpointing is None and self.can_checkpoint:
            smaller = replace(passes, gradient_checkpointing=True)
        return None if smaller == passes else smaller

    def _earlier_failure(self) -> "Failure | None":
        """Read what cannot fit: None without a record, or if it is of less free memory or another device."""
        try:
            record = read_json(self.cached / RECORD, "the record of memory that ran out")
            device = Memory(record.pop("total"), record.pop("free"))
            if (record.pop("device"), device.total) != (self.device.name, self.device.memory.total):
                return None
            if (self.device.memory.free or 0) > _MORE_ROOM * (device.free or 0):
                return None
            return Failure(**record | {"passes": Passes(**record["passes"])})
        except (InputError, OSError, LookupError, TypeError, AttributeError):
            return None

    def _sentence(self, passes: Passes, scoring: bool) -> str:
        """Say what did not fit where, and what to change."""
        advice = []
        if scoring:
            advice.append("lower evaluation.tokens_per_batch")
        if passes.micro_batch > 1:
            advice.append("set the resource micro_batch of train_adapter to auto or less")
        if not passes.gradient_checkpointing and self.can_checkpoint:
            advice.append("set its resource gradient_checkpointing to on")
        advice += [
            "lower training.max_length",
            "set quantization to nf4 if it is none",
            "use a device with more memory",
        ]
        what = f"scoring {passes.tokens_per_batch} tokens" if scoring else f"training {passes}"
        return (
            f"{self.lineage}: {what} of {self.model}, whose longest item has {self.longest} tokens, does not fit into "
            f"memory ({describe_memory()}); {', '.join(advice[:-1])}, or {advice[-1]}"
        )


@dataclass(frozen=True)
class Failure:
    """Passes that did not fit into memory."""

    passes: Passes
    scoring: bool
    """True if validation items did not fit, and not training."""
    sentence: str

    def repeats(self, passes: Passes) -> bool:
        """Tell if passes need at least as much memory."""
        if self.scoring:
            return passes.tokens_per_batch >= self.passes.tokens_per_batch
        checkpointing = passes.gradient_checkpointing, self.passes.gradient_checkpointing
        return passes.micro_batch >= self.passes.micro_batch and checkpointing != (True, False)


def agreed_by_all(passes: Passes) -> Passes:
    """Take the smallest of the processes' choices: all of them need the same number of passes."""
    from accelerate.utils import gather_object

    choices = gather_object([passes])
    return Passes(
        min(choice.micro_batch for choice in choices),
        any(choice.gradient_checkpointing for choice in choices),
        min(choice.tokens_per_batch for choice in choices),
    )
