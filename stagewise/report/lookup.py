"""Look-ups and names that every part of the report shares."""

from functools import cached_property

from stagewise.lineage import BASE
from stagewise.metrics.schema import (
    BASELINES,
    MAJORITY,
    TFIDF,
    TFIDF_BALANCED,
    AdapterRecord,
    AnswerRecord,
    ArmDifference,
    ArmStage,
    ArmTask,
    Claim,
    ReportMetrics,
    Score,
    Value,
)
from stagewise.report.index import Index
from stagewise.report.measures import ShownMeasure
from stagewise.report.probes import ShownProbes
from stagewise.report.tables import number_format
from stagewise.report.tables.number_format import listed
from stagewise.report.task_measures import ShownTasks
from stagewise.report.task_orders import group_by_order

NAMES = {
    BASE: "untuned base model",
    MAJORITY: "majority class",
    TFIDF: "TF-IDF + logistic regression",
    TFIDF_BALANCED: "TF-IDF + logistic regression, balanced",
}


class View:
    """A report_metrics record with the look-ups that tables, figures and sentences need."""

    def __init__(self, metrics: ReportMetrics, logs: dict):
        """`logs` by lineage, as `curves.read_logs` gives them."""
        self.metrics, self.logs = metrics, logs
        self.experiment = metrics.experiment
        # The measure that claims are about comes first.
        measures = sorted(metrics.measures, key=lambda record: record.name != self.experiment.primary_measure)
        self.measures = {record.name: ShownMeasure.of(record, rank) for rank, record in enumerate(measures)}
        self.of_tasks = ShownTasks(metrics, self.measures, self.experiment.primary_measure)
        # Seeds of one and the same way through the stages stand side by side.
        paths = list(dict.fromkeys(_stage_path(adapter.lineage) for adapter in metrics.adapters))
        ordered = sorted(metrics.adapters, key=lambda adapter: paths.index(_stage_path(adapter.lineage)))
        self.adapters: dict[str, AdapterRecord] = {adapter.lineage: adapter for adapter in ordered}
        e = self.experiment
        others = {record.lineage: record.model for record in e.other_models or []}
        self.untuned: dict[str, str] = {BASE: e.model} | others
        """Names of the base models by lineage, the experiment's own first."""
        self.probes = ShownProbes(metrics, self.measures)
        self.scored_tasks = [task.task for task in metrics.tasks]
        self.tasks = self.probes.without_probes(self.scored_tasks)
        self.arms = list(dict.fromkeys(stage.arm for stage in metrics.arms))
        # Folds, then seeds: the order of `Score.lineages`.
        self.runs = [(fold, seed) for fold in e.folds or [None] for seed in e.seeds]
        splits = metrics.experiment.splits
        # Figures and sentences are about one split: the one that neither training nor model choice has seen.
        self.main_split = "test" if "test" in splits else splits[0]
        self.splits = [self.main_split, *(split for split in splits if split != self.main_split)]
        self._indexes: dict[str, Index] = {}

    def select(self, part: str, **keys) -> list:
        """All records of a part of the metrics with these values."""
        if part not in self._indexes:
            self._indexes[part] = Index(getattr(self.metrics, part))
        return self._indexes[part].select(**keys)

    def find(self, part: str, **keys):
        """The first record of a part of the metrics with these values; None if there is none."""
        return next(iter(self.select(part, **keys)), None)

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
        """True if adapters are so many that details of each are folded away."""
        return len(self.adapters) > 8

    @property
    def shown_splits(self) -> list[str]:
        """Splits of tables about single adapters; with many adapters the main one alone."""
        return self.splits[:1] if self.compact else self.splits

    @property
    def reference(self) -> str:
        """The arm that the others are compared with; with several orders that of the first."""
        return self.experiment.reference

    def reference_of(self, arm: str) -> str:
        """The arm that an arm is compared with; the arm itself if it is compared with none."""
        return self.experiment.references.get(arm, self.reference)

    def is_reference(self, arm: str) -> bool:
        """True if the arm is compared with no other one, and there are others."""
        return self.several_arms and self.reference_of(arm) == arm

    @property
    def references(self) -> list[str]:
        """Arms that others are compared with."""
        return list(dict.fromkeys(map(self.reference_of, self.arms)))

    @property
    def named_reference(self) -> str:
        """``the arm a``, or ``each arm's reference (a, b)``, for captions."""
        names = self.references
        return f"the arm {names[0]}" if len(names) == 1 else f"each arm's reference ({', '.join(names)})"

    def tried(self, arm: str) -> int:
        """Number of settings that the arm's sweep tried; 1 without one."""
        cost = self.find("costs", arm=arm)
        return cost.tried if cost else 1

    @property
    def claims_average(self) -> bool:
        """True if arms are claimed to differ by their mean over all tasks, and on no single task."""
        return self.experiment.primary_outcome == "average"

    @property
    def primary(self) -> ShownMeasure:
        """The measure that claims are about; the task score if tasks have different ones of their own."""
        return self.measures[self.experiment.primary_measure]

    def own(self, task: str | None) -> ShownMeasure:
        """The measure that claims about a task are about, or about the mean over tasks (None)."""
        return self.of_tasks.own(task)

    def name_primary(self, tasks=None) -> str:
        """The primary measure inside a sentence, of some tasks or of all that arms learn."""
        if not self.of_tasks.are_mixed:
            return self.primary.title
        return f"each task's own measure ({self.of_tasks.name_own(self.ordered_tasks if tasks is None else tasks)})"

    @property
    def primary_axis(self) -> str:
        """The primary measure at the start of a caption, with its unit."""
        if not self.of_tasks.are_mixed:
            return self.primary.axis
        return f"{number_format.capital(self.name_primary())}{', %' if self.primary.is_share else ''}"

    def claim(self, kind: str, arm: str, task: str | None, against: str | None = None) -> Claim | None:
        """Claim about an arm's adapters on a task, or on the mean over all; None if there is none."""
        claims = self.select("claims", kind=kind, task=task)
        return next((c for c in claims if arm in c.arms and against in (None, c.against)), None)

    @cached_property
    def orders(self) -> dict[tuple[str, ...], list[str]]:
        """Arms by the order in which they learnt the tasks, the reference arm's order first."""
        stages = {arm: self.learnt_stages(arm) for arm in self.arms}
        return group_by_order(stages, self.tasks, self.reference)

    def order(self, arm: str) -> tuple[str, ...]:
        """Tasks in the order in which the arm learnt them."""
        return next(order for order, arms in self.orders.items() if arm in arms)

    @property
    def ordered_tasks(self) -> tuple[str, ...]:
        """Tasks in the order of the reference arm's stages, for tables and pictures of all arms."""
        return next(iter(self.orders), tuple(self.tasks))

    @property
    def every_task(self) -> tuple[str, ...]:
        """Those, and then the tasks that are probes of every arm."""
        return tuple(dict.fromkeys([*self.ordered_tasks, *self.scored_tasks]))

    def learnt_stages(self, arm: str) -> dict[str, int]:
        """Stage that learnt each task last."""
        return {task: step.stage for step in self.steps(arm) for task in step.tasks}

    def earlier_tasks(self, arm: str | None = None) -> list[str]:
        """Tasks that an arm, or any arm, learnt before its last stage."""
        records = [record for record in self.metrics.arm_tasks if record.earlier and arm in (None, record.arm)]
        tasks = {record.task for record in records}
        return [task for task in (self.order(arm) if arm else self.ordered_tasks) if task in tasks]

    @property
    def interval(self) -> str:
        """Description of an interval of single adapters, for captions."""
        return f"{100 * self.experiment.confidence:g}% percentile bootstrap over items; training noise is not in it"

    @property
    def intervals(self) -> str:
        """Description of the intervals of arms, for captions."""
        e = self.experiment
        text = f"{100 * e.confidence:g}%, over items"
        if self.several_runs:
            return f"{text} and {self.over_runs()} together"
        return f"{text}; one run, so training noise is not in them"

    @cached_property
    def scorers(self) -> list[str]:
        """The base models, every adapter, then every baseline there is."""
        return [*self.untuned, *self.adapters, *(name for name in BASELINES if self.find("predictions", lineage=name))]

    @cached_property
    def has_intervals_over_runs(self) -> bool:
        """Scores over several runs exist; not if the main split's items differ from fold to fold."""
        return any(len(score.lineages) > 1 for score in self.select("scores", split=self.main_split))

    def direction_note(self, names=None) -> str:
        """Sentence for captions that names the measures of which lower is better; empty if there are none.

        `names` are the measures of the picture or table, all of them by default.
        """
        measures = [measure for name, measure in self.measures.items() if names is None or name in names]
        titles = [measure.title for measure in measures if not measure.higher_is_better]
        return f" Lower is better: {listed(titles)}." if titles else ""

    def score(self, lineages, task: str, split: str, rule: str = "argmax") -> Score | None:
        """Score of one lineage or baseline, or of several lineages over their runs."""
        lineages = [lineages] if isinstance(lineages, str) else list(dict.fromkeys(lineages))
        return self.find("scores", lineages=lineages, task=task, split=split, rule=rule)

    def value(self, lineages, task: str, split: str, measure: str, rule: str = "argmax") -> Value | None:
        """One measure of `score`."""
        score = self.score(lineages, task, split, rule)
        return score and score.measures.get(measure)

    def predictions(self, lineage: str, task: str, split: str) -> AnswerRecord | None:
        """Answers of one lineage or baseline: their number, confusion counts and calibration."""
        return self.find("predictions", lineage=lineage, task=task, split=split)

    def items(self, task: str, split: str) -> int | None:
        """Scored items of one split."""
        record = self.find("predictions", task=task, split=split)
        return record and record.items

    def stage_path(self, lineage: str) -> str:
        """Stage folders of an adapter, its seed and fold left out, after its base model if that is the arm's own."""
        return _stage_path(lineage) if lineage in self.adapters else lineage

    def name(self, lineage: str) -> str:
        """A model's or baseline's name; adapters carry their run if there are several."""
        if lineage in self.untuned and len(self.untuned) > 1:
            return f"untuned {self.untuned[lineage]}"
        if lineage not in self.adapters:
            return NAMES.get(lineage, lineage)
        return f"{self.stage_path(lineage)}, {self.run(lineage)}" if self.several_runs else self.stage_path(lineage)

    def run(self, record) -> str:
        """The run of a record or of a lineage's adapter in words: ``seed 1``, or ``fold 3, seed 1``."""
        if isinstance(record, str):
            record = self.adapters[record]
        fold = "" if record.fold is None else f"fold {record.fold}"
        seed = f"seed {record.seed}" if self.several_seeds or not fold else ""
        return ", ".join(filter(None, (fold, seed)))

    def whose(self, arms: list[str]) -> str:
        """``arm a``, ``arms a, b``, or their number if they are many."""
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
        """A model's or baseline's name that cannot be taken for a task's."""
        return f"after {self.name(lineage)}" if lineage in self.adapters else self.name(lineage)

    def learnt(self, lineage: str, task: str) -> bool:
        """True if the adapter, or one that it grew from or was made of, learnt the task."""
        adapter = self.adapters.get(lineage)
        if adapter is None:
            return False
        return task in adapter.tasks or any(self.learnt(other, task) for other in (adapter.parent, *adapter.sources))

    def children(self, lineage: str) -> list[AdapterRecord]:
        return [adapter for adapter in self.adapters.values() if adapter.parent == lineage]

    def base_of(self, arm: str) -> str:
        """Lineage of the base model that an arm starts from."""
        return self.steps(arm)[0].lineage

    def steps(self, arm: str, run: tuple[int | None, int] | None = None) -> list[ArmStage]:
        """One arm after every stage in one run (the first by default), the base model first."""
        fold, seed = run or self.runs[0]
        return sorted(self.select("arms", arm=arm, fold=fold, seed=seed), key=lambda step: step.stage)

    def answered_by(self, arm: str, task: str, stage: int = -1) -> list[str]:
        """Lineages that answer a task after an arm's stage (the last by default), one a run."""
        by_run = [steps[stage] for run in self.runs if (steps := self.steps(arm, run))]
        return [step.answers[task] for step in by_run if task in step.answers]

    def arm_task(self, arm: str, task: str, rule: str = "argmax") -> ArmTask | None:
        """An arm's record of one task on the main split."""
        return self.find("arm_tasks", arm=arm, task=task, rule=rule, split=self.main_split)

    def arm_value(self, arm: str, task: str, measure: str, rule: str = "argmax", stage: int = -1) -> Value | None:
        """An arm's score on a task after a stage (the last by default) on the main split, over runs if there are some.

        None if the arm was not measured under the rule.
        """
        if self.arm_task(arm, task, rule) is None:
            return None
        return self.value(self.answered_by(arm, task, stage), task, self.main_split, measure, rule)

    def arm_difference(self, arm: str, task: str | None, measure: str, rule: str = "argmax") -> ArmDifference | None:
        """An arm against the reference arm on the main split; without a task, the mean over all."""
        record = self.find("arm_comparisons", arm=arm, task=task, rule=rule, split=self.main_split)
        return record and record.measures.get(measure)

    def arm_summary(self, arm: str, statistic: str, measure: str, rule: str = "argmax") -> Value | None:
        """A statistic of an arm's stage × task matrix on the main split."""
        record = self.find("arm_summaries", arm=arm, rule=rule, split=self.main_split)
        values = record and getattr(record, statistic)
        return values.get(measure) if values else None

    def learnt_value(self, arm: str, task: str, measure: str, rule: str = "argmax") -> Value | None:
        """An arm's score on a task after the stage that learnt it."""
        stage = self.learnt_stages(arm).get(task)
        return None if stage is None else self.arm_value(arm, task, measure, rule, stage)

    def change(self, arm: str, task: str, measure: str, rule: str = "argmax") -> Value | None:
        """Paired change of an earlier task since the stage that learnt it; None if it is no earlier one."""
        record = self.arm_task(arm, task, rule)
        return record.change.get(measure) if record and record.earlier else None

    def number(self, arm: str) -> str:
        """An arm's number, as every figure and table of arms writes it."""
        return str(self.arms.index(arm) + 1)

    def by_stage_path(self) -> dict[str, list[str]]:
        """Lineages of all runs by stage path."""
        paths: dict[str, list[str]] = {}
        for lineage in self.adapters:
            paths.setdefault(self.stage_path(lineage), []).append(lineage)
        return paths

    def stages(self) -> dict[tuple[int, str], list[AdapterRecord]]:
        """Adapters by stage number and task."""
        stages: dict[tuple[int, str], list[AdapterRecord]] = {}
        for adapter in sorted(self.adapters.values(), key=lambda adapter: adapter.stage):
            stages.setdefault((adapter.stage, adapter.task), []).append(adapter)
        return stages

    @staticmethod
    def learning(adapter: AdapterRecord) -> str:
        """Tasks that an adapter's stage learns, or that one from elsewhere learnt there, if that is known."""
        if adapter.adopted is None:
            return f"learns {adapter.task}"
        return f"from elsewhere, learnt {adapter.task}" if adapter.task else "from elsewhere"

    def remedies(self, adapter: AdapterRecord) -> str:
        """Remedies of an adapter's stage with their settings; empty if there is none."""
        return "; ".join(
            " ".join(
                [name, *(f"{key} {number_format.plain(value)}" for key, value in settings.items() if value is not None)]
            )
            for name, settings in adapter.remedies.items()
        )


def _stage_path(lineage: str) -> str:
    folders = lineage.split("/")
    start = next((n for n, folder in enumerate(folders) if folder.startswith("seed-")), 0) + 1
    model = [] if folders[0] == BASE else [folders[0].removeprefix(f"{BASE}-")]
    return " → ".join([*model, *folders[start:]]) if len(folders) > start else lineage
