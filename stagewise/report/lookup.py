"""Look-ups and names that every part of the report shares."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import (
    BASELINES,
    MAJORITY,
    TFIDF,
    TFIDF_BALANCED,
    AdapterRecord,
    ArmStage,
    ArmTask,
    DecisionOverRuns,
    DiscriminationOverRuns,
    ReportMetrics,
    Score,
)
from stagewise.report.tables import number_format

NAMES = {
    BASE: "untuned base model",
    MAJORITY: "majority class",
    TFIDF: "TF-IDF + logistic regression",
    TFIDF_BALANCED: "TF-IDF + logistic regression, balanced",
}


class View:
    """A report_metrics record with the look-ups that tables, pictures and sentences need."""

    def __init__(self, metrics: ReportMetrics, logs: dict):
        """`logs` by lineage, as `curves.read_logs` gives them."""
        self.metrics, self.logs = metrics, logs
        self.experiment = metrics.experiment
        known = {adapter.lineage: adapter for adapter in metrics.adapters}
        # Seeds of one and the same way stand side by side.
        ways = list(dict.fromkeys(_way(lineage) for lineage in known))
        order = sorted(known, key=lambda lineage: ways.index(_way(lineage)))
        self.adapters: dict[str, AdapterRecord] = {lineage: known[lineage] for lineage in order}
        self.tasks = [task.task for task in metrics.tasks]
        self.arms = list(dict.fromkeys(stage.arm for stage in metrics.arms))
        e = self.experiment
        # Folds, then seeds: the order of `Spread.values`.
        self.runs = [(fold, seed) for fold in e.folds or [None] for seed in e.seeds]
        self.scores = {(score.lineage, score.task, score.split): score for score in metrics.scores}
        splits = metrics.experiment.splits
        # Pictures and sentences are about one split: the one that neither training nor model choice has seen.
        self.main_split = "test" if "test" in splits else splits[0]
        self.splits = [self.main_split, *(split for split in splits if split != self.main_split)]
        self.decisions = {(d.lineage, d.task, d.rule): d for d in metrics.decisions if d.split == self.main_split}
        # Over several runs, on the main split; empty where its items differ from fold to fold.
        self.decisions_over_runs: dict[tuple, DecisionOverRuns] = {
            (*d.lineages, d.task, d.rule): d for d in metrics.decisions_over_runs if d.split == self.main_split
        }
        self.discrimination_over_runs: dict[tuple, DiscriminationOverRuns] = {
            (*d.lineages, d.task): d for d in metrics.discrimination_over_runs if d.split == self.main_split
        }

    @property
    def several_arms(self) -> bool:
        return len(self.arms) > 1

    @property
    def several_seeds(self) -> bool:
        return len(self.experiment.seeds) > 1

    @property
    def several_runs(self) -> bool:
        """Several seeds or folds."""
        return len(self.runs) > 1

    @property
    def compact(self) -> bool:
        """So many adapters that what is about each of them is folded away."""
        return len(self.adapters) > 8

    @property
    def reference(self) -> str:
        """The arm that the others are compared with."""
        return self.experiment.reference

    @property
    def interval(self) -> str:
        """What an interval is, for captions."""
        e = self.experiment
        return f"{100 * e.confidence:g}% percentile bootstrap over items, {e.bootstrap_samples:,} resamples"

    @property
    def intervals(self) -> str:
        """What the intervals of arms are, for captions."""
        e = self.experiment
        text = f"{100 * e.confidence:g}% bootstrap, {number_format.count(e.bootstrap_samples)} resamples"
        if self.several_runs:
            return f"{text} of items and {self.over_runs()} together"
        return f"{text} of items; one run, so training noise is not in them"

    @property
    def scorers(self) -> list[str]:
        """The base model, every adapter, then every baseline there is."""
        known = {score.lineage for score in self.metrics.scores}
        return [BASE, *self.adapters, *(name for name in BASELINES if name in known)]

    @property
    def sample_tasks(self) -> list[str]:
        """Tasks whose items come from the embedded sample."""
        return [task.task for task in self.metrics.tasks if task.sample]

    def score(self, lineage: str, task: str, split: str) -> Score | None:
        return self.scores.get((lineage, task, split))

    def items(self, task: str, split: str) -> int | None:
        """Scored items of one split."""
        return next((s.items for s in self.metrics.scores if (s.task, s.split) == (task, split)), None)

    def variant(self, lineage: str) -> str:
        """What an adapter learnt, stage folder by stage folder, its seed and fold left out."""
        return _way(lineage) if lineage in self.adapters else lineage

    def name(self, lineage: str) -> str:
        """A scorer's name; adapters carry their run where there are several."""
        if lineage not in self.adapters:
            return NAMES.get(lineage, lineage)
        return f"{self.variant(lineage)}, {self.run(lineage)}" if self.several_runs else self.variant(lineage)

    def run(self, record) -> str:
        """The run of a record or of a lineage's adapter in words: ``seed 1``, or ``fold 3, seed 1``."""
        if isinstance(record, str):
            record = self.adapters[record]
        fold = "" if record.fold is None else f"fold {record.fold}"
        seed = f"seed {record.seed}" if self.several_seeds or not fold else ""
        return ", ".join(filter(None, (fold, seed)))

    def whose(self, arms: list[str]) -> str:
        """``arm a``, ``arms a, b``, or how many where there are many."""
        if len(arms) > 4:
            return f"{len(arms)} of {len(self.arms)} arms"
        return f"{'arm' if len(arms) == 1 else 'arms'} {', '.join(arms)}"

    def over_runs(self) -> str:
        """``3 seeds``, ``10 folds`` or ``30 runs (folds and seeds)``."""
        e = self.experiment
        if e.folds and self.several_seeds:
            return f"{len(self.runs)} runs (folds and seeds)"
        return number_format.plural(len(self.runs), "fold" if e.folds else "seed")

    def title(self, lineage: str) -> str:
        """A scorer's name where it could be taken for a task's."""
        return f"after {self.name(lineage)}" if lineage in self.adapters else self.name(lineage)

    def learnt(self, lineage: str, task: str) -> bool:
        """Whether the adapter, or one that it grew from or was made of, learnt the task."""
        adapter = self.adapters.get(lineage)
        if adapter is None:
            return False
        return task in adapter.tasks or any(self.learnt(other, task) for other in (adapter.parent, *adapter.sources))

    def children(self, lineage: str) -> list[AdapterRecord]:
        return [adapter for adapter in self.adapters.values() if adapter.parent == lineage]

    def steps(self, arm: str, run: tuple[int | None, int] | None = None) -> list[ArmStage]:
        """One arm after every stage in one run (the first by default), the base model first."""
        wanted = (arm, *(run or self.runs[0]))
        found = [stage for stage in self.metrics.arms if (stage.arm, stage.fold, stage.seed) == wanted]
        return sorted(found, key=lambda stage: stage.stage)

    def answers(self, arm: str, task: str) -> list[str]:
        """Who answers a task after the arm's last stage: one lineage a run."""
        ends = [steps[-1] for run in self.runs if (steps := self.steps(arm, run))]
        return [end.answers[task] for end in ends if task in end.answers]

    def trained(self, lineage: str) -> str:
        """The adapter whose training an arm's stage is: of one that is made of others, the newest of those."""
        adapter = self.adapters.get(lineage)
        return self.trained(adapter.sources[-1]) if adapter and adapter.sources else lineage

    def variants(self) -> dict[str, list[str]]:
        """Lineages of all runs by what they learnt."""
        found: dict[str, list[str]] = {}
        for lineage in self.adapters:
            found.setdefault(self.variant(lineage), []).append(lineage)
        return found

    def stages(self) -> dict[tuple[int, str], list[AdapterRecord]]:
        """Adapters by stage number and task."""
        found: dict[tuple[int, str], list[AdapterRecord]] = {}
        for adapter in sorted(self.adapters.values(), key=lambda adapter: adapter.stage):
            found.setdefault((adapter.stage, adapter.task), []).append(adapter)
        return found

    def stage_settings(self, lineage: str) -> dict:
        """Training settings of one adapter: the experiment's with the stage's own on top."""
        adapter, config = self.adapters[lineage], self.experiment.config
        settings = dict(config.get("training") or {})
        arm = (config.get("arms") or {}).get(next(iter(adapter.arms), ""), None) or {}
        stages = arm.get("stages") or []
        if arm.get("adapters") == "per_task":
            stages = [stage for stage in stages if _tasks(stage) == adapter.tasks]
        else:
            stages = stages[adapter.stage - 1 :]
        own = (stages[0].get("training") or {}) if stages else {}
        settings |= {key: value for key, value in own.items() if value is not None}
        if adapter.stage == 1 and "optimizer_state" in settings:
            settings["optimizer_state"] = "fresh"  # there is no parent to resume
        return settings

    def remedies(self, adapter: AdapterRecord) -> str:
        """What an adapter's stage did against forgetting, with its settings; empty where it did nothing."""
        return "; ".join(
            " ".join(
                [name, *(f"{key} {number_format.plain(value)}" for key, value in settings.items() if value is not None)]
            )
            for name, settings in adapter.remedies.items()
        )


def final(view: View, arm: str, task: str, measure: str, rule: str = "argmax") -> ArmTask | None:
    """An arm's record of one task on the main split."""
    keys = arm, task, measure, rule, view.main_split
    return next((r for r in view.metrics.arm_tasks if (r.arm, r.task, r.measure, r.rule, r.split) == keys), None)


def _tasks(stage: dict) -> list[str]:
    task = stage.get("task")
    return [task] if isinstance(task, str) else list(task or [])


def _way(lineage: str) -> str:
    folders = lineage.split("/")
    start = next((n for n, folder in enumerate(folders) if folder.startswith("seed-")), 0) + 1
    return " → ".join(folders[start:]) if len(folders) > start else lineage
