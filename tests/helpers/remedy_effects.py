"""Effect of every remedy on two small tasks that contradict each other, over ten seeds.

For each seed the first task is learnt, then the second, with and without the remedy: the same items, batches and first
weights, and as many steps. An effect is the mean over seeds of the paired difference, with a t interval.
"""

import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
from scipy import stats

from stagewise.models.shared_base import SharedBase
from stagewise.remedies.base import Merge
from stagewise.remedies.registry import find_remedy
from stagewise.training.job import AdapterJob, get_or_make
from stagewise.training.passes import WishedPasses
from stagewise.training.run import train_stage
from stagewise.training.stage import RunOptions
from tests.helpers.contradicting_tasks import AdapterFolder, write_data

SEEDS = range(10)
CONFIDENCE = 0.95

# 24 steps on the first task, 16 on the second; a smaller adapter, or a lower learning rate, would need more.
TRAINING = {"epochs": 4, "batch_size": 8, "learning_rate": 1e-2, "eval_every": 100}
TRAINING |= {"lora": {"r": 4, "alpha": 8, "dropout": 0}}
FIRST_EPOCHS, SKEWED_EPOCHS = 6, 3

# Training items of the first task by label, where a label is rare.
SKEWED = {"yes": 28, "no": 28, "maybe": 4}
RARE = 2
"""Code of the rare label, ``maybe``."""


@dataclass(frozen=True)
class Case:
    """A remedy with its settings, and the bounds that its effects' intervals lie in.

    An effect is a difference of probabilities. Bounds leave room for the last bits of another machine.
    """

    remedies: dict[str, dict]
    kept: tuple[float, float]
    """Bounds of the effect on the first task; with `rare_label` on the rare label's items."""
    learnt: tuple[float, float]
    """Bounds of the effect on the second task; with `rare_label` on the other labels' items."""
    reason: str = ""
    """Why it does not help here, if it does not: the mean of both effects is not above 0."""
    training: dict = field(default_factory=dict)
    """Settings of training that differ from the stage without a remedy."""
    rare_label: bool = False
    """The first task alone is learnt, with few items of one label."""

    @property
    def is_merge(self) -> bool:
        """True if finished adapters are merged."""
        return any(issubclass(find_remedy(name).cls, Merge) for name in self.remedies)


# The stage without a remedy.
SEQUENTIAL = Case({}, kept=(0, 0), learnt=(0, 0))

# Half of each update, as in an average; with the sum, what both write into is twice as far away.
HALVES = {"density": 0.7, "weights": [0.5, 0.5]}

CASES = {
    "lower learning rate": Case({}, (0.4, 0.8), (-0.3, 0), training={"learning_rate": 3e-3}),
    "rehearsal": Case({"rehearsal": {"share": 0.25}}, (0.3, 0.9), (-0.15, 0)),
    "anchor": Case({"anchor": {"strength": 1}}, (0.5, 1), (-0.1, 0.05)),
    "anchor on factors": Case({"anchor": {"strength": 1, "of": "factors"}}, (0.3, 0.9), (-0.1, 0.05)),
    "ewc": Case({"ewc": {"strength": 3, "items": 16}}, (0.3, 0.9), (-0.15, 0)),
    "distill": Case(
        {"distill": {"strength": 0.1}},
        kept=(0.05, 0.3),
        learnt=(-0.3, -0.05),
        reason="both tasks have the words yes and no, so that what it keeps contradicts what is learnt",
    ),
    "distill on rehearsal": Case({"distill": {"inputs": "rehearsal", "share": 0.25}}, (0.5, 1), (-0.3, 0)),
    "orthogonal": Case({"orthogonal": {}}, (0.01, 0.25), (-0.02, 0.05)),
    "blend": Case({"blend": {"alpha": 0.4}}, (0.4, 0.9), (-0.4, 0.05)),
    "merge ties": Case({"merge": {"method": "ties"}}, (0.5, 1), (-0.7, -0.2)),
    "merge dare_ties": Case({"merge": HALVES | {"method": "dare_ties"}}, (0.3, 0.9), (-0.7, -0.1)),
    "merge dare_linear": Case({"merge": HALVES | {"method": "dare_linear"}}, (0.2, 0.8), (-0.6, -0.1)),
    "merge magnitude_prune": Case({"merge": HALVES | {"method": "magnitude_prune"}}, (0.3, 0.8), (-0.5, 0)),
    "balanced": Case({"balanced": {}}, (0.1, 0.8), (-0.05, 0.05), rare_label=True),
    "balanced weights": Case({"balanced": {"by": "weights"}}, (0.1, 0.7), (-0.05, 0.05), rare_label=True),
}


@dataclass(frozen=True)
class Run:
    """An adapter of one seed: mean probabilities of the gold label among the task's labels, on test items."""

    kept: float
    """Of the first task; with a rare label of that label's items."""
    learnt: float
    """Of the second task; with a rare label of the other labels' items."""
    cpu_seconds: float
    """CPU time of its training or merge, reading and writing included."""

    @property
    def both(self) -> float:
        """Mean of both."""
        return (self.kept + self.learnt) / 2


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its confidence interval."""

    mean: float
    low: float
    high: float

    def is_within(self, bounds: tuple[float, float]) -> bool:
        """Tell if all of the interval lies between the bounds."""
        return bounds[0] <= self.low and self.high <= bounds[1]


def t_interval(differences) -> Interval:
    """Compute the t interval of a mean, from differences of shape (seeds,); two or more seeds."""
    differences = np.asarray(differences, float)
    mean, count = float(differences.mean()), len(differences)
    margin = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * differences.std(ddof=1) / np.sqrt(count)
    return Interval(mean, mean - float(margin), mean + float(margin))


@dataclass(frozen=True)
class Effect:
    """Runs with and without a remedy, one of each for every seed."""

    runs: list[Run]
    without: list[Run]

    def interval(self, figure: str) -> Interval:
        """Compute the interval of the effect on ``kept``, ``learnt`` or ``both``."""
        pairs = zip(self.runs, self.without, strict=True)
        return t_interval([getattr(run, figure) - getattr(plain, figure) for run, plain in pairs])


class QuickAdapters(AdapterFolder):
    """Adapters of the tiny model, made by the functions of the training step on a base model that is loaded once."""

    def __init__(self, folder: Path, data: Path, base: SharedBase):
        super().__init__(folder, base.model_dir, data)
        self.base = base

    def run(self, name: str, parent: str | None = None, *options: str) -> dict:
        parents = [self.adapter(parent)] if parent else []
        recipe_file = self.folder / name / "recipe.json"
        checkpoints, output = self.folder / "checkpoints", self.adapter(name)
        job = AdapterJob.open(recipe_file, self.model, self.data, parents, checkpoints, output)
        options = RunOptions(passes=WishedPasses(batch_size=TRAINING["batch_size"]))
        get_or_make(job, partial(train_stage, job, options, self.base))
        return self.summary(name)

    def load(self, name: str):
        from stagewise.models.adapters import load_adapter

        return load_adapter(self.base.take(), self.adapter(name))


class EffectStudy:
    """Runs of all cases; each is made when it is asked for first.

    Parameters
    ----------
    folder
        Folder to work in.
    model
        Folder of the tiny model.
    seeds
        Seeds of the runs: of the first weights, the items' order and everything that remedies draw.
    """

    def __init__(self, folder: Path, model: Path, seeds=SEEDS):
        self.seeds, base = seeds, SharedBase(model, "none", "float32")
        self._even = QuickAdapters(folder / "even", write_data(folder / "even-data"), base)
        self._skewed = QuickAdapters(folder / "skewed", write_data(folder / "skewed-data", SKEWED), base)
        self._runs: dict[Path, Run] = {}

    def effect(self, name: str, case: Case) -> Effect:
        """Set a case's runs beside those without its remedies."""
        plain = self._with_rare_label if case.rare_label else self._second
        make = self._merged if case.is_merge else plain
        return Effect(
            [make(f"{name}-{seed}", case, seed) for seed in self.seeds],
            [plain(f"sequential-{seed}", SEQUENTIAL, seed) for seed in self.seeds],
        )

    def first(self, seed: int) -> Run:
        """The first task, learnt from the base model."""
        return self._run(self._even, f"first-{seed}", ["first"], seed=seed, epochs=FIRST_EPOCHS)

    def _second(self, stage: str, case: Case, seed: int) -> Run:
        """The second task, learnt after the first."""
        self.first(seed)
        settings = {"remedies": case.remedies} | case.training
        return self._run(self._even, stage, ["second", f"first-{seed}", ["first"]], seed=seed, **settings)

    def _with_rare_label(self, stage: str, case: Case, seed: int) -> Run:
        """The first task, learnt from few items of one label."""
        settings = {"remedies": case.remedies, "epochs": SKEWED_EPOCHS}
        return self._run(self._skewed, stage, ["first"], seed=seed, **settings)

    def _merged(self, stage: str, case: Case, seed: int) -> Run:
        """The first task's adapter, and its child for ``blend``, else one that learnt the second task alone."""
        self.first(seed)
        if "blend" in case.remedies:
            self._second(second := f"sequential-{seed}", SEQUENTIAL, seed)
        else:
            self._run(self._even, second := f"alone-{seed}", ["second"], seed=seed)
        make = partial(self._even.merge, stage, [f"first-{seed}", second], seed=seed, **case.remedies)
        return self._timed(self._even, stage, make)

    def _run(self, adapters: QuickAdapters, stage: str, arguments: list, **settings) -> Run:
        """Train an adapter; `arguments` are those of `AdapterFolder.train` after its name."""
        return self._timed(adapters, stage, partial(adapters.train, stage, *arguments, **TRAINING | settings))

    def _timed(self, adapters: QuickAdapters, stage: str, make: Callable[[], dict]) -> Run:
        """Make and score an adapter, unless it is there already."""
        folder = adapters.adapter(stage)
        if folder not in self._runs:
            started = time.process_time()
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # a line per step and more
                make()
            seconds = time.process_time() - started
            scores = self._scores(adapters, stage)
            self._runs[folder] = Run(*scores, seconds)
        return self._runs[folder]

    def _scores(self, adapters: QuickAdapters, stage: str) -> tuple[float, float]:
        """Mean probability of the gold label of the first and second task, or of the rare label's items and others."""
        first, gold = gold_probabilities(adapters, stage, "first")
        if adapters is self._skewed:
            return float(first[gold == RARE].mean()), float(first[gold != RARE].mean())
        return float(first.mean()), float(gold_probabilities(adapters, stage, "second")[0].mean())


def gold_probabilities(adapters: AdapterFolder, name: str, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Compute each test item's probability of the gold label among the task's labels; its gold code beside it."""
    logprobs, gold = adapters.logprobs(name, task)
    probabilities = np.exp(logprobs - np.logaddexp.reduce(logprobs, axis=1, keepdims=True))
    return probabilities[np.arange(len(gold)), gold], np.array(gold)
