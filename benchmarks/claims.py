"""Simulate studies through the functions that make the report's claims, and check how often those hold.

python -m benchmarks.claims                      # every cell; some two hours on two cores
python -m benchmarks.claims --studies 40 --arms 8 --items 80 --runs 1 3 --noise 0 3    # a quick look

Arms learn two tasks one after the other. An adapter answers an item right if ``item + run + rest > 0``: the item's
difficulty is common to all adapters, the run's effect (training noise) is the adapter's own, the rest its own on each
item. Two trainings of one arm disagree on a fifth of the items. The first stage's adapter is shared by the arms of a
run; the last ones are as accurate as it (65 %), the majority class and the untuned model are right on half of the
items, TF-IDF on 65 %. With an effect, one arm gains it on both tasks, or loses it in every other study.

For each cell the table says, in percent: reports with any false claim; the intervals that cover the truth; claims that
found the effect, and those that the rules of schema 2 found (`benchmarks.earlier_claims`), in brackets where those
rules made false claims in too many reports; and how often the effect that the report calls detectable was found. With
one run the truth is that of the very adapters, with several that of the arms; the earlier rules spoke of arms always.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from types import SimpleNamespace

import numpy as np
from scipy.stats import norm

from benchmarks.earlier_claims import earlier_claims
from stagewise.lineage import BASE, Step
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import Bootstrap, Resampled
from stagewise.metrics.claims import claim_records
from stagewise.metrics.crossed import Runs
from stagewise.metrics.prediction_table import AnswerFormat, Predictions
from stagewise.metrics.schema import MAJORITY, TFIDF, Claim
from stagewise.metrics.scores import ScoreTable
from stagewise.metrics.task_measures import TaskMeasures

TASKS = ["first", "second"]
SPLIT = "test"
LABELS = ["right", "wrong"]
MEASURES = TaskMeasures.alike(TASKS, AnswerFormat(LABELS))
ACCURACY, DISAGREEMENT, EFFECT = 0.65, 0.2, 0.10
# Of the latent variance, the item's part: two adapters of equal accuracy then disagree on a fifth of the items.
ITEM = 0.795
LEVEL, CONFIDENCE, SAMPLES = 0.05, 0.95, 500
FALSE_AT_MOST, COVERAGE, FOUND = 0.07, (0.93, 0.98), (0.75, 0.85)
LARGEST = 0.25
"""Larger effects leave too little room above the accuracy to be simulated."""


@dataclass(frozen=True)
class Cell:
    """Design and truth of a simulated study."""

    arms: int
    items: int
    runs: int
    noise: float
    """Standard deviation of an adapter's accuracy between trainings, points."""
    clusters: bool = False
    """Three items at a time belong together."""
    effect: float = 0.0
    """Accuracy that the second arm gains."""
    outcome: str = "tasks"
    """`statistics.primary_outcome`."""


class Accuracies(ScoreTable):
    """Accuracy alone, which is all that the claims need."""

    def __call__(self, lineage: str, task: str, split: str, rule: str = "argmax"):
        key = lineage, task
        if key not in self._scores:
            answers = self.predictions[lineage, task, split]
            weights, right = self.bootstrap.weights(task, split, answers), answers.right.astype(np.float32)
            accuracy = Resampled(right.mean(dtype=float), (weights @ right).astype(float) / weights.sum(1))
            self._scores[key] = SimpleNamespace(measures={"accuracy": accuracy})
        return self._scores[key]


@dataclass
class Study:
    """A simulated study: its answers, and what is true of them."""

    cell: Cell
    predictions: dict = field(default_factory=dict)
    accuracy: dict = field(default_factory=dict)
    """True accuracy by lineage and task: of this adapter with one run, of the arm with several."""
    of_arm: dict = field(default_factory=dict)
    """True accuracy of the arm in any case."""

    def scores(self, seed: int) -> ArmScores:
        """The study as the report's functions take it."""
        steps = {f"arm-{a}": [_steps(a, run) for run in range(self.cell.runs)] for a in range(self.cell.arms)}
        bootstrap = Bootstrap(SAMPLES, seed, CONFIDENCE, TASKS, Runs())
        return ArmScores(steps, TASKS, SPLIT, [BASE], Accuracies(self.predictions, None, bootstrap))

    def truth(self, claim: Claim, of_arm: bool = False) -> float:
        """The true difference that a claim is about; the earlier rules claimed it of the arm with one run too."""
        accuracy, tasks = self.of_arm if of_arm else self.accuracy, [claim.task] if claim.task else TASKS
        ours, theirs = (
            np.mean([accuracy[lineage, task] for lineage in lineages for task in tasks])
            for lineages in (claim.lineages, claim.against_lineages)
        )
        return float(ours - theirs)


def _steps(arm: int, run: int) -> list[Step]:
    first, last = f"run-{run}/first", f"run-{run}/arm-{arm}"
    return [
        Step(0, [], BASE, dict.fromkeys(TASKS, BASE)),
        Step(1, ["first"], first, dict.fromkeys(TASKS, first)),
        Step(2, ["second"], last, dict.fromkeys(TASKS, last)),
    ]


def simulate(cell: Cell, seed: int) -> Study:
    """Draw the answers of a study."""
    rng, study = np.random.default_rng(seed), Study(cell)
    groups = np.arange(cell.items) // 3 if cell.clusters else None

    def draw(variance: float) -> np.ndarray:
        """A normal variable for every item; half of its variance is common to the items of a group."""
        alone = rng.normal(0, np.sqrt(variance), cell.items)
        if groups is None:
            return alone
        return (alone + rng.normal(0, np.sqrt(variance), cell.items)[groups]) / np.sqrt(2)

    for task in TASKS:
        item, gold = draw(ITEM), rng.integers(0, 2, cell.items)

        def answer(lineage: str, right: np.ndarray, accuracy: float, of_arm: float, task=task, gold=gold) -> None:
            study.of_arm[lineage, task] = of_arm
            answers = np.where(right, gold, 1 - gold)
            study.predictions[lineage, task, SPLIT] = Predictions(LABELS, gold, answers, groups=groups)
            study.accuracy[lineage, task] = accuracy

        def train(lineage: str, accuracy: float, item=item, answer=answer) -> None:
            # The noise is the same in points whatever the accuracy, which is that over all trainings.
            noise = cell.noise / 100 / norm.pdf(norm.ppf(accuracy))
            threshold = norm.ppf(accuracy) * np.sqrt(1 + noise**2) + rng.normal(0, 1) * noise
            right = item + draw(1 - ITEM) + threshold > 0
            answer(lineage, right, norm.cdf(threshold) if cell.runs == 1 else accuracy, accuracy)

        answer(MAJORITY, gold == 0, 0.5, 0.5)
        answer(BASE, item + draw(1 - ITEM) > 0, 0.5, 0.5)
        answer(TFIDF, item + draw(1 - ITEM) + norm.ppf(ACCURACY) > 0, ACCURACY, ACCURACY)
        for run in range(cell.runs):
            train(f"run-{run}/first", ACCURACY)
            for arm in range(cell.arms):
                train(f"run-{run}/arm-{arm}", ACCURACY + cell.effect * (arm == 1))
    return study


@dataclass
class Outcome:
    """False claims, coverage and power in the studies of one cell."""

    false: list[bool] = field(default_factory=list)
    covered: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    detectable: list[float] = field(default_factory=list)
    earlier_false: list[bool] = field(default_factory=list)
    earlier_found: list[bool] = field(default_factory=list)

    def add(self, study: Study, seed: int, earlier: bool) -> None:
        """Let the report make its claims, and compare them with the truth."""
        scores = study.scores(seed)
        references = dict.fromkeys(scores.steps, "arm-0")
        claims = claim_records(scores, references, MEASURES, seed, study.cell.outcome)
        truths = [study.truth(claim) for claim in claims]
        pairs = list(zip(claims, truths, strict=True))
        self.false.append(any(is_false(claim.verdict, truth) for claim, truth in pairs))
        intervals = [(c.difference, t) for c, t in pairs if c.difference.low is not None]
        self.covered.append(float(np.mean([v.low - 1e-9 <= t <= v.high + 1e-9 for v, t in intervals])))
        differing = [n for n, claim in enumerate(claims) if claim.kind == "arms" and "arm-1" in claim.arms]
        right = "better" if study.cell.effect > 0 else "worse"
        self.found += [claims[n].verdict == right for n in differing]
        self.detectable += [claims[n].detectable for n in differing if claims[n].detectable is not None]
        if earlier:
            verdicts = earlier_claims(scores, claims, "arm-0", CONFIDENCE)
            of_arms = [study.truth(claim, of_arm=True) for claim in claims]
            self.earlier_false.append(any(is_false(v, t) for v, t in zip(verdicts, of_arms, strict=True)))
            self.earlier_found += [verdicts[n] == right for n in differing]


def is_false(verdict: str, truth: float) -> bool:
    """True if the verdict claims a difference that is not there, or has another sign."""
    side = {"better": 1, "worse": -1}.get(verdict, 0)
    return side != 0 and side * truth <= 1e-9


def run_cell(cell: Cell, studies: int, seed: int, earlier: bool = True) -> Outcome:
    """Simulate the studies of one cell; each has a seed of its own."""
    outcome = Outcome()
    for number in range(studies):
        signed = replace(cell, effect=cell.effect * (-1) ** number)
        outcome.add(simulate(signed, [seed, number]), number, earlier)
    return outcome


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    cell: Cell
    false: float
    coverage: float
    power: float
    earlier_power: float | None
    """None where the earlier rules claimed nothing: of a mean over tasks."""
    earlier_false: float | None
    effect: float
    """The difference that the report calls detectable, mean over studies."""
    power_at_effect: float | None
    """Share of the studies with an effect of that size that found it; None if that cannot be simulated."""

    @property
    def earlier_is_honest(self) -> bool:
        """True if the earlier rules made few false claims."""
        return self.earlier_false is not None and self.earlier_false <= FALSE_AT_MOST

    def failures(self, studies: int) -> list[str]:
        """List the promises that the row breaks, with two standard errors left for the number of studies."""

        def error(share: float) -> float:
            return 2 * np.sqrt(max(share * (1 - share), 0.01) / studies)

        problems = []
        if self.false > FALSE_AT_MOST + max(0.0, error(LEVEL) - 0.02):
            problems.append(f"a false claim in {self.false:.1%} of the reports")
        few = max(0.0, 0.1 / np.sqrt(studies) - 0.005)  # coverage differs by some 5 points from study to study
        if not COVERAGE[0] - few <= self.coverage <= COVERAGE[1] + few:
            problems.append(f"intervals cover in {self.coverage:.1%}")
        if self.power_at_effect is not None and not FOUND[0] - error(0.8) <= self.power_at_effect <= FOUND[1] + error(
            0.8
        ):
            problems.append(f"a detectable effect is found in {self.power_at_effect:.1%}")
        if self.earlier_is_honest and self.power < self.earlier_power - error(self.earlier_power):
            problems.append(f"power {self.power:.1%}, earlier {self.earlier_power:.1%}")
        return problems


def measure(cell: Cell, studies: int, seed: int) -> Row:
    """Simulate a cell without an effect, with a fixed one, and with the one that its own reports call detectable."""
    earlier = cell.outcome == "tasks"
    null = run_cell(cell, studies, seed, earlier)
    effect = replace(cell, effect=EFFECT)
    with_effect = run_cell(effect, studies // 2, seed + 1, earlier)
    detectable, power_at_effect = float(np.mean(null.detectable)), None
    # One run's claims are about its adapters, whose true difference is not the effect if training adds noise.
    if detectable <= LARGEST and (cell.runs > 1 or not cell.noise):
        shown = replace(cell, effect=detectable)
        power_at_effect = float(np.mean(run_cell(shown, studies // 2, seed + 2, earlier=False).found))
    false = [*null.false, *with_effect.false]
    return Row(
        cell,
        float(np.mean(false)),
        float(np.mean([*null.covered, *with_effect.covered])),
        float(np.mean(with_effect.found)),
        float(np.mean(with_effect.earlier_found)) if earlier else None,
        float(np.mean([*null.earlier_false, *with_effect.earlier_false])) if earlier else None,
        detectable,
        power_at_effect,
    )


def table(rows: Iterator[Row], studies: int) -> list[str]:
    """Print the rows as they come, and return what fails."""
    columns = "arms | items | runs | noise | groups | any false claim | coverage | power for 10 points | earlier rules"
    print(f"| {columns} | detectable | found |\n|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    failures = []
    for row in rows:
        cell, earlier = row.cell, "–"
        if row.earlier_power is not None:
            earlier = f"{100 * row.earlier_power:.0f}" if row.earlier_is_honest else f"[{100 * row.earlier_power:.0f}]"
            earlier += f" (false {100 * row.earlier_false:.0f})"
        at_effect = "–" if row.power_at_effect is None else f"{100 * row.power_at_effect:.0f}"
        print(
            f"| {cell.arms} | {cell.items} | {cell.runs} | {cell.noise:g} | {'of 3' if cell.clusters else '–'} "
            f"| {100 * row.false:.1f} | {100 * row.coverage:.1f} | {100 * row.power:.0f} "
            f"| {earlier} | {100 * row.effect:.1f} | {at_effect} |",
            flush=True,
        )
        failures += [f"{cell}: {problem}" for problem in row.failures(studies)]
    return failures


def main(argv=None) -> int:
    """Print the table; 1 if a cell does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=200, help="studies without an effect; half as many with one")
    parser.add_argument("--arms", type=int, nargs="+", default=[8, 20])
    parser.add_argument("--items", type=int, nargs="+", default=[80, 500])
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 3, 5, 10])
    parser.add_argument("--noise", type=float, nargs="+", default=[0, 3, 6], help="training noise, points")
    parser.add_argument("--clusters", choices=("no", "yes", "both"), default="both", help="groups of three items")
    parser.add_argument("--outcome", choices=("tasks", "average"), default="tasks", help="what claims are about")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    clusters = {"no": [False], "yes": [True], "both": [False, True]}[args.clusters]
    # With groups one number of arms is enough: the sums over groups are what the rest sees.
    cells = [
        Cell(*values, clusters=grouped, outcome=args.outcome)
        for grouped in clusters
        for values in product(args.arms[:1] if grouped else args.arms, args.items, args.runs, args.noise)
    ]
    with ProcessPoolExecutor(args.processes) as pool:
        rows = pool.map(measure, cells, [args.studies] * len(cells), [args.seed] * len(cells))
        failures = table(rows, args.studies)
    for failure in failures:
        print(f"does not hold: {failure}", file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
