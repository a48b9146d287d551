"""The wall clock of a training: when it has to stop at a checkpoint, so that the next attempt goes on from there.

Importing this module imports no torch.
"""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from stagewise.errors import InputError

END_TIME_VARIABLE = "SLURM_JOB_END_TIME"
"""Environment variable with the end of a job, in seconds since the epoch, as Slurm sets it."""

# Time that is left for what nobody measures: a fraction of the limit, up to a minute.
_MARGIN, _LARGEST_MARGIN = 0.05, 60.0

_REMEMBERED_STEPS = 20


class TimeLimit:
    """Decides when a training has to stop, from how long its steps, evaluations and checkpoints take.

    Parameters
    ----------
    minutes
        Time that the step may take; None if nobody has said. Slurm's own end time counts as well.
    """

    def __init__(self, minutes: float | None = None):
        self.started = time.time()
        ends = [] if minutes is None else [self.started + 60 * minutes]
        end = os.environ.get(END_TIME_VARIABLE, "")
        if end.isdecimal() and float(end) > self.started:  # an earlier one is another job's
            ends.append(float(end))
        self.deadline = min(ends, default=None)
        """End, in seconds since the epoch; None if there is no limit."""
        self.terminated = False
        """True once SIGTERM has come: before a job is killed for its time, or when it is preempted."""
        self._steps: deque[float] = deque(maxlen=_REMEMBERED_STEPS)
        self._seconds: dict[str, float] = {}

    @property
    def minutes(self) -> float:
        """Minutes from the start to the end; infinite without a limit."""
        return float("inf") if self.deadline is None else max(0.0, self.deadline - self.started) / 60

    @property
    def minutes_left(self) -> float | None:
        """Minutes that are left; None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.time()) / 60

    def measure_step(self, seconds: float) -> None:
        """Note what an optimizer step took; the slowest of the last ones counts."""
        self._steps.append(seconds)
        self._seconds["step"] = max(self._steps)

    def measure(self, what: str, seconds: float) -> None:
        """Note what an ``evaluation`` or a ``checkpoint`` took."""
        self._seconds[what] = seconds

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of a ``step``, an ``evaluation`` and a ``checkpoint``, as far as they are known."""
        return {what: round(value, 3) for what, value in self._seconds.items()}

    def expect(self, seconds: dict[str, float]) -> None:
        """Take over what an earlier attempt has measured."""
        self._seconds = {**seconds, **self._seconds}

    def forget(self) -> None:
        """Forget what was measured: another training begins."""
        self._steps.clear()
        self._seconds = {}

    def has(self, seconds: float) -> bool:
        """Tell if other work of so many seconds would still come to its end."""
        if self.terminated:
            return False
        return self.deadline is None or time.time() + seconds + self._margin < self.deadline

    @property
    def _margin(self) -> float:
        return min(_MARGIN * 60 * self.minutes, _LARGEST_MARGIN)

    def is_over(self, evaluates: bool, margin: float = 1.0) -> bool:
        """Tell if the next step no longer fits, with its evaluation if it `evaluates`, and a checkpoint."""
        if self.terminated:
            return True
        return self.deadline is not None and time.time() + self.needed(evaluates, margin) > self.deadline

    def needed(self, evaluates: bool, margin: float = 1.0) -> float:
        """Seconds for the next step, its evaluation and a checkpoint, and `margin` times the usual margin."""
        measured = self._seconds
        seconds = measured.get("step", 0.0) + measured.get("checkpoint", 0.0)
        if evaluates:
            seconds += measured.get("evaluation", 0.0)
        return seconds + margin * self._margin

    def reason(self) -> str:
        """Say why the training stops."""
        return "asked to (SIGTERM)" if self.terminated else f"before its time limit of {self.minutes:.3g} minutes"

    def check_start(self, where: str, evaluates: bool) -> None:
        """Refuse to go on if not even one step would come to its end.

        Parameters
        ----------
        where
            What the limit is too short for, for the message.
        evaluates
            True if the next step is followed by an evaluation.

        Raises
        ------
        InputError
            If the time is over, or would be before the next checkpoint.
        """
        if self.deadline is None or time.time() + self.needed(evaluates, margin=0.0) < self.deadline:
            return
        wanted = (time.time() - self.started + self.needed(evaluates)) / 60
        raise InputError(
            f"{where}: a time limit of {self.minutes:.3g} minutes is too short to get any further: loading, a step and "
            f"its checkpoint take at least {1.1 * wanted:.2g} minutes; give the rule train_adapter a longer runtime in "
            "the profile (--time-limit of this command)"
        )

    @contextmanager
    def heeding_sigterm(self) -> Iterator[None]:
        """Note the first SIGTERM inside the block instead of dying of it; a second one acts as ever.

        Slurm sends it to every process of a job, also to the one that reads this one's output. So nothing more is
        written there until the end of the block: it would fail.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        outputs = {number: os.dup(number) for number in (1, 2) if _is_open(number)}

        def note(number, frame) -> None:
            self.terminated = True
            signal.signal(signal.SIGTERM, before)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for output in outputs:
                os.dup2(nowhere, output)
            os.close(nowhere)

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
            if self.terminated:
                sys.stdout.flush()
                sys.stderr.flush()
            for output, copy in outputs.items():
                os.dup2(copy, output)
                os.close(copy)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
