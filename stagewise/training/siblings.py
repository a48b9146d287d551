"""Several trainings by one process: a job's own, then those of its siblings, with the base model loaded once.

Siblings are adapters that a run trains from the same parent; those without a parent are siblings too. Each has a job of
its own, which finds the finished adapter in the cache and copies it. Jobs that run side by side share the siblings
between them: each takes the next one whose lock in the cache is free. Importing this module imports no torch.
"""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError, Unfinished, one_line
from stagewise.models.shared_base import SharedBase
from stagewise.provenance.files import read_json
from stagewise.training.job import AdapterJob, Scorer, make_if_free, score_adapter
from stagewise.training.time_limit import TimeLimit

# A plan gives what is to be made again a time in 1970 (`stagewise.pipeline.freshness`).
_OUTDATED = 24 * 3600

# They begin a log per training; other trackers keep one per process, in which a second training would be mixed.
_TRACKERS_PER_TRAINING = {"tensorboard", "none"}


@dataclass(frozen=True)
class Sibling:
    """An adapter that this run trains from the same parent."""

    recipe_file: Path
    data_dir: Path


def read_siblings(path: Path | None, recipe_file: Path, trackers: Iterable[str]) -> list[Sibling]:
    """Read the siblings of a recipe from the file that the run has written (`stagewise.pipeline.siblings`).

    They begin with the one after it, so that jobs that start together take different ones. There are none without a
    file, or if one of the `trackers` takes a process for one training.
    """
    if path is None or not path.is_file() or not set(trackers) <= _TRACKERS_PER_TRAINING:
        return []
    adapters = read_json(path, "the list of siblings")["adapters"]
    family = [Sibling(Path(adapter["recipe"]), Path(adapter["data"])) for adapter in adapters]
    position = next((n for n, sibling in enumerate(family) if sibling.recipe_file == recipe_file), None)
    if position is None:
        return []  # of another run
    return family[position + 1 :] + family[:position]


class SharedTraining:
    """The trainings of one process.

    Parameters
    ----------
    job
        The process's own job.
    train_stage
        Function that trains a job's stage with the base model, and leaves the adapter in the given cache folder.
    siblings
        Those that it may train too.
    trainings
        Largest number of trainings, the job's own included.
    """

    def __init__(
        self,
        job: AdapterJob,
        base: SharedBase,
        train_stage: Callable[[AdapterJob, Path], None],
        limit: TimeLimit,
        scorer: Scorer | None,
        siblings: list[Sibling],
        trainings: int,
    ):
        self._job, self._base, self._train_stage = job, base, train_stage
        self._limit, self._scorer = limit, scorer
        self._siblings, self._left = siblings if trainings > 1 and job.leaves_process_clean else [], trainings
        self._seconds = 0.0  # of the longest training so far, with its scoring

    def train(self, job: AdapterJob) -> Callable[[Path], None]:
        """Return the function that trains a job's adapter into its cache folder."""

        def make(cached: Path) -> None:
            started = time.monotonic()
            self._left -= 1
            self._limit.forget()
            self._train_stage(job, cached)
            self._seconds = max(self._seconds, time.monotonic() - started)

        return make

    def score(self, job: AdapterJob) -> None:
        """Score an adapter that was just trained, if there is time."""
        if self._scorer is None or not self._limit.has(self._scoring_seconds(job)):
            return
        started = time.monotonic()
        score_adapter(self._scorer, job, self._base)
        self._seconds += time.monotonic() - started

    def _scoring_seconds(self, job: AdapterJob) -> float:
        """Expect what scoring takes from the last evaluation of validation items, which takes longer per item."""
        if self._limit.deadline is None:
            return 0.0
        files = [job.data_dir / task / "validation.jsonl" for task in job.recipe.tasks]
        size = sum(path.stat().st_size for path in files)
        evaluation = self._limit.seconds.get("evaluation", float("inf"))
        return self._scorer.seconds(job.data_dir, evaluation / size)

    def train_siblings(self, go_on: Callable[[], bool] = lambda: True) -> None:
        """Train siblings that nobody works on, one after the other, and leave them and their predictions in the cache.

        No one is begun that would not end in time, going by the trainings before. One that fails is left to its own
        job, which says why.

        Parameters
        ----------
        go_on
            Asked before each of them.
        """
        for sibling in self._siblings:
            if self._left < 1 or not self._limit.has(self._seconds) or not go_on():
                return
            job = self._open(sibling)
            if job is None:
                continue
            try:
                if make_if_free(job, self.train(job)):
                    self.score(job)
            except InputError as error:
                _leave(job, error)
            except Unfinished:
                return
            except Exception as error:  # the process may be in no state to go on
                _leave(job, error)
                return

    def _open(self, sibling: Sibling) -> AdapterJob | None:
        """Open a sibling's job; None if it cannot be trained now, or not with the same base model."""
        job, recipe_file = self._job, sibling.recipe_file
        try:
            if recipe_file.stat().st_mtime < _OUTDATED:
                return None
            opened = AdapterJob.open(
                recipe_file, job.model_dir, sibling.data_dir, job.parent_dirs, job.checkpoints, None, job.image
            )
        except (InputError, OSError):
            return None  # not written yet, or its splits are not
        recipe = opened.recipe
        same_base = (recipe.quantization, recipe.dtype) == (job.recipe.quantization, job.recipe.dtype)
        return opened if same_base and recipe.training and opened.leaves_process_clean else None


def _leave(job: AdapterJob, error: Exception) -> None:
    reason = one_line(str(error) or type(error).__name__)
    print(f"{job.recipe.lineage}: not trained here, but by its own job ({reason})", file=sys.stderr)
