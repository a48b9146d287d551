"""Effect of every remedy on two small tasks that contradict each other, over ten seeds.

For each seed the first task is learnt, then the second, with and without the remedy: the same items, batches and first
weights, and as many steps. An effect is the mean over seeds of the paired difference, with a t interval.
"""

import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
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

# 20 steps on the first task, 12 on the second; fewer layers than the seven that may have an adapter take less time.
LORA = {"r": 4, "alpha": 8, "dropout": 0, "target_modules": ["q_proj", "v_proj", "o_proj", "down_proj"]}
TRAINING = {"epochs": 3, "batch_size": 8, "learning_rate": 1.5e-2, "eval_every": 100, "lora": LORA}
FIRST_EPOCHS, SKEWED_EPOCHS = 5, 3

# Where the first stage learns its texts too, which takes more steps and a larger adapter.
WRITER = {"learning_rate": 1e-2, "lora": {"r": 16, "alpha": 32, "dropout": 0}}
TEXTS = {"loss_on": "text", "epochs": 16} | WRITER

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
    """Why it is no clear gain for both tasks together: the interval of the effects' mean begins below `SLIGHT`, not
    above 0."""
    training: dict = field(default_factory=dict)
    """Settings of training that differ from the stage without a remedy."""
    rare_label: bool = False
    """The first task alone is learnt, with few items of one label."""
    writes_texts: bool = False
    """The first stage learns its texts too, with the remedy and without, so that its adapter can write such texts."""

    @property
    def is_merge(self) -> bool:
        """True if finished adapters are merged."""
        return any(issubclass(find_remedy(name).cls, Merge) for name in self.remedies)


# The stage without a remedy.
SEQUENTIAL = Case({}, kept=(0, 0), learnt=(0, 0))

# Half of each adapter, as in an average; with the sum, what both write into is twice as far away.
HALVES = {"density": 0.7, "weights": [0.5, 0.5]}
SAME_WORDS = "it holds the stage's own answers back, and both tasks have the words yes and no"
ON_FACTORS = "it prunes A and B by themselves, and their product is not the pruned update"

CASES = {
    "lower learning rate": Case({}, (0.3, 0.75), (-0.15, 0.02), training={"learning_rate": 5e-3}),
    "rehearsal": Case({"rehearsal": {"share": 0.25}}, (0.2, 0.8), (-0.1, 0.02)),
    "anchor": Case({"anchor": {"strength": 1}}, (0.4, 0.9), (-0.1, 0.05)),
    "anchor on factors": Case({"anchor": {"strength": 1, "of": "factors"}}, (0.1, 0.6), (-0.1, 0.05)),
    "ewc": Case({"ewc": {"strength": 3, "items": 16}}, (0.2, 0.75), (-0.1, 0.02)),
    "distill": Case(
        {"distill": {"strength": 0.1}},
        kept=(0.1, 0.4),
        learnt=(-0.35, -0.1),
        reason="both tasks have the words yes and no, so that what it keeps contradicts what is learnt",
    ),
    "distill on rehearsal": Case({"distill": {"inputs": "rehearsal", "share": 0.25}}, (0.35, 0.9), (-0.25, 0.05)),
    "orthogonal": Case({"orthogonal": {}}, (0.05, 0.5), (-0.05, 0.05)),
    "blend": Case({"blend": {"alpha": 0.4}}, (0.35, 0.85), (-0.2, 0.05)),
    "new LoRA": Case({}, (0.05, 0.5), (-0.05, 0.05), training={"new_lora": True}),
    "gpm": Case({"gpm": {"threshold": 0.8}}, (0.4, 0.9), (-0.2, 0.05)),
    "minor": Case(
        {"minor": {}}, (-0.1, 0.4), (-0.05, 0.05), reason="a random model's minor directions are as good as any"
    ),
    "kl": Case({"kl": {"strength": 0.3}}, (0.05, 0.4), (-0.3, -0.05), reason=SAME_WORDS),
    "kl reverse": Case({"kl": {"strength": 0.3, "direction": "reverse"}}, (0.1, 0.5), (-0.5, -0.15), reason=SAME_WORDS),
    "self-replay": Case(
        {"self_replay": {"items": 12, "max_tokens": 48, "top_p": 0.9}}, (0.08, 0.5), (-0.35, 0.02), writes_texts=True
    ),
    "ema": Case({"ema": {}}, (0.02, 0.4), (-0.1, 0.02)),
    "ema uniform": Case({"ema": {"average": "uniform", "last": 1}}, (0.02, 0.4), (-0.1, 0.02)),
    "merge ties_svd": Case({"merge": {"weights": [0.5, 0.5]}}, (0.35, 0.9), (-0.4, 0)),
    "merge dare_ties_svd": Case({"merge": HALVES | {"method": "dare_ties_svd"}}, (0.3, 0.9), (-0.25, 0.05)),
    "merge dare_linear_svd": Case({"merge": HALVES | {"method": "dare_linear_svd"}}, (0.1, 0.7), (-0.15, 0.05)),
    "merge magnitude_prune_svd": Case({"merge": HALVES | {"method": "magnitude_prune_svd"}}, (0.1, 0.7), (-0.15, 0.05)),
    "merge ties": Case({"merge": HALVES | {"method": "ties"}}, (0.5, 0.95), (-0.5, -0.05)),
    "merge dare_ties": Case({"merge": HALVES | {"method": "dare_ties"}}, (0.15, 0.8), (-0.25, 0.05)),
    "merge dare_linear": Case(
        {"merge": HALVES | {"method": "dare_linear"}}, (-0.2, 0.4), (-0.4, 0.1), reason=ON_FACTORS
    ),
    "merge magnitude_prune": Case(
        {"merge": HALVES | {"method": "magnitude_prune"}}, (-0.15, 0.3), (-0.2, 0.1), reason=ON_FACTORS
    ),
    "balanced": Case({"balanced": {}}, (0.2, 0.85), (-0.05, 0.05), rare_label=True),
    "balanced weights": Case({"balanced": {"by": "weights"}}, (0.15, 0.65), (-0.05, 0.05), rare_label=True),
}
SLIGHT = 0.02
"""Effect on the mean of both figures below which none is claimed."""

# Kinds without a case (remedy, setting, value), each with its reason.
OTHER_KINDS = {
    ("self_replay", "labels", "drawn"): "the parent is sure of its labels here, so that a draw is its answer",
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
        make = self._merged if case.is_merge else self._trained
        plain = replace(SEQUENTIAL, rare_label=case.rare_label, writes_texts=case.writes_texts)
        return Effect(
            [make(name, case, seed) for seed in self.seeds],
            [self._trained("sequential", plain, seed) for seed in self.seeds],
        )

    def first(self, seed: int, writes_texts: bool = False) -> Run:
        """The first task, learnt from the base model."""
        name, settings = ("texts", TEXTS) if writes_texts else ("first", {"epochs": FIRST_EPOCHS})
        return self._run(self._even, f"{name}-{seed}", ["first"], seed=seed, **settings)

    def _trained(self, name: str, case: Case, seed: int) -> Run:
        """The second task, learnt after the first, or the first one, learnt from few items of one label."""
        settings = {"remedies": case.remedies, "seed": seed} | case.training
        if case.rare_label:
            return self._run(self._skewed, f"{name}-{seed}", ["first"], **{"epochs": SKEWED_EPOCHS} | settings)
        self.first(seed, case.writes_texts)
        parent, adapter = ("texts", WRITER) if case.writes_texts else ("first", {})
        return self._run(
            self._even, f"{name}-after-{parent}-{seed}", ["second", f"{parent}-{seed}", ["first"]], **adapter | settings
        )

    def _merged(self, name: str, case: Case, seed: int) -> Run:
        """The first task's adapter merged with its child, which learnt the second."""
        self._trained("sequential", SEQUENTIAL, seed)
        stage, parents = f"{name}-{seed}", [f"first-{seed}", f"sequential-after-first-{seed}"]
        return self._timed(self._even, stage, partial(self._even.merge, stage, parents, seed=seed, **case.remedies))

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
