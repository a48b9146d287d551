"""Look-ups and names that every part of the report shares."""

from forgetting.metrics.schema import BASELINES, MAJORITY, TFIDF, TFIDF_BALANCED, AdapterRecord, ReportMetrics, Score
from forgetting.plan import BASE

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
        self.scores = {(score.lineage, score.task, score.split): score for score in metrics.scores}
        splits = metrics.experiment.splits
        # Pictures and sentences are about one split: the one that neither training nor model choice has seen.
        self.main_split = "test" if "test" in splits else splits[0]
        self.splits = [self.main_split, *(split for split in splits if split != self.main_split)]

    @property
    def several_arms(self) -> bool:
        return len(self.arms) > 1

    @property
    def several_seeds(self) -> bool:
        return len(self.experiment.seeds) > 1

    @property
    def interval(self) -> str:
        """What an interval is, for captions."""
        e = self.experiment
        return f"{100 * e.confidence:g}% percentile bootstrap over items, {e.bootstrap_samples:,} resamples"

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
        """What an adapter learnt, stage folder by stage folder, its seed left out."""
        return _way(lineage) if lineage in self.adapters else lineage

    def name(self, lineage: str) -> str:
        """A scorer's name; adapters carry their seed where there are several."""
        if lineage not in self.adapters:
            return NAMES.get(lineage, lineage)
        seed = f", seed {self.adapters[lineage].seed}" if self.several_seeds else ""
        return f"{self.variant(lineage)}{seed}"

    def title(self, lineage: str) -> str:
        """A scorer's name where it could be taken for a task's."""
        return f"after {self.name(lineage)}" if lineage in self.adapters else self.name(lineage)

    def learnt(self, lineage: str, task: str) -> bool:
        """Whether the adapter or one of its parents learnt the task."""
        while lineage in self.adapters:
            if self.adapters[lineage].task == task:
                return True
            lineage = self.adapters[lineage].parent
        return False

    def children(self, lineage: str) -> list[AdapterRecord]:
        return [adapter for adapter in self.adapters.values() if adapter.parent == lineage]

    def path(self, arm: str, seed: int) -> list[str]:
        """Lineages of one arm and seed, the base model first."""
        stages = [stage for stage in self.metrics.arms if (stage.arm, stage.seed) == (arm, seed)]
        return [stage.lineage for stage in sorted(stages, key=lambda stage: stage.stage)]

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
        stages = ((config.get("arms") or {}).get(next(iter(adapter.arms), ""), None) or {}).get("stages") or []
        own = (stages[adapter.stage - 1].get("training") or {}) if adapter.stage <= len(stages) else {}
        settings |= {key: value for key, value in own.items() if value is not None}
        if adapter.stage == 1 and "optimizer_state" in settings:
            settings["optimizer_state"] = "fresh"  # there is no parent to resume
        return settings


def _way(lineage: str) -> str:
    folders = lineage.split("/")
    return " → ".join(folders[2:]) if len(folders) > 2 else lineage
