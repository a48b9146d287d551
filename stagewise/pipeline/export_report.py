"""The report's figures about one adapter, for the card that it is exported with."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.lineage import BASE
from stagewise.measures import FIXED_LABELS
from stagewise.metrics.schema import MAJORITY, Forgetting, ReportMetrics, Score, Value, read_metrics
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.pipeline.finished_results import METRICS
from stagewise.provenance.files import read_json, sha256_file
from stagewise.provenance.receipts import RECEIPT
from stagewise.provenance.sealed_json import is_sealed
from stagewise.recipe import Recipe
from stagewise.report.tables.number_format import decimal, interval, p_value, signed_decimal
from stagewise.task_kinds import LABEL_KINDS
from stagewise.training.model_card import hub_task, table

ALWAYS = ("accuracy", "macro_f1")
"""Measures of every card, beside the one that the report's claims are about."""

# Identifiers of the hub's metrics, of our measures.
_HUB_METRICS = {"macro_f1": "f1", "mcc": "matthews_correlation", "brier": "brier_score", "rouge_l": "rouge"}

BESIDE = {BASE: "untuned model", MAJORITY: "majority class"}

_MOST_FREQUENT = "most frequent answer"
"""Name of `MAJORITY` where answers are no labels of one list."""

_HUB_DATASET = re.compile(r"https://huggingface\.co/datasets/([\w.-]+/[\w.-]+)/resolve/")


@dataclass(frozen=True)
class Reported:
    """Records of a report about one adapter."""

    metrics: ReportMetrics
    recipe: Recipe

    @property
    def base(self) -> str:
        """Lineage of the untuned base model."""
        return self.recipe.lineage.split("/")[0]

    def measures(self, task: str) -> list[str]:
        """Names of the card's measures of a task, the one that claims are about first."""
        (record,) = (record for record in self.metrics.tasks if record.task == task)
        first = record.measure or self.metrics.experiment.primary_measure
        names = dict.fromkeys((first, *ALWAYS))
        return [measure.name for name in names for measure in self.metrics.measures if measure.name == name]

    def kind(self, task: str) -> str:
        """Kind of a task."""
        (record,) = (record for record in self.metrics.tasks if record.task == task)
        return record.kind or "classification"

    def beside(self, tasks: Iterable[str]) -> dict[str, str]:
        """Names of what is beside the adapter's scores of these tasks."""
        frequent = {} if set(map(self.kind, tasks)) <= set(FIXED_LABELS) else {MAJORITY: _MOST_FREQUENT}
        return BESIDE | frequent

    @property
    def titles(self) -> dict[str, str]:
        """Names of measures for a reader."""
        return {measure.name: measure.title for measure in self.metrics.measures}

    def scores(self) -> Iterator[tuple[Score, int | None, dict[str, Score]]]:
        """Yield each of the adapter's scores by its plain answers, its items, and the same of untuned and majority."""
        items = {(a.lineage, a.task, a.split): a.items for a in self.metrics.predictions}
        by_key = {(tuple(s.lineages), s.task, s.split): s for s in self.metrics.scores if s.rule == "argmax"}
        for (lineages, task, split), score in by_key.items():
            if lineages == (self.recipe.lineage,):
                others = {o: by_key.get(((self.base if o == BASE else o,), task, split)) for o in BESIDE}
                beside = {other: score for other, score in others.items() if score}
                yield score, items.get((self.recipe.lineage, task, split)), beside

    def forgetting(self) -> list[Forgetting]:
        """Paired changes of earlier tasks, each once, whatever the number of arms that pass through the adapter."""
        records = {
            (record.task, record.before_lineage, record.after_split): record
            for record in self.metrics.forgetting
            if record.after_lineage == self.recipe.lineage and record.comparison == "paired"
        }
        return list(records.values())

    def datasets(self) -> list[str]:
        """Names on the hub of the data sets that the adapter's tasks come from; of files elsewhere there is none."""
        tasks = self.metrics.experiment.config.get("tasks", {})
        sources = {record.task: record.source for record in self.metrics.tasks}
        names = {}
        for task in self.recipe.tasks:
            source = tasks.get(task, {}).get("sources", {}).get(sources.get(task), {})
            for file in source.get("files", {}).values():
                if match := _HUB_DATASET.match(file.get("url") or ""):
                    names[match[1]] = None
        return list(names)


def find_report(adapter: Path, recipe: Recipe, results: str | None) -> tuple[Reported | None, str]:
    """Find the report on an adapter: in the results folder that it lies in, or in `results`.

    Returns
    -------
    The report's figures, or None and the reason why the card has no scores.

    Raises
    ------
    InputError
        If the report is edited or of another version, or if that in `results` is not about this adapter.
    """
    folder = Path(results) if results else _results_folder(adapter, recipe.lineage)
    path = folder / METRICS if folder else None
    if path is None or not path.is_file():
        if results:
            raise InputError(f"{path}: there is no report; run the step that writes it, or leave --results out")
        return None, "no report on it is at hand"
    metrics = read_metrics(path)
    if not is_sealed(read_json(path, "the report's metrics")):
        raise InputError(f"{path}: does not match its own checksum (edited?); run the step that writes it again")
    reason = _why_not_about(metrics, recipe, sha256_file(adapter / ADAPTER_WEIGHTS), folder)
    if reason and results:
        raise InputError(f"{path}: this report is about {reason} than {adapter}; name the results of that one")
    return (None, f"the report beside it is about {reason}") if reason else (Reported(metrics, recipe), "")


def _why_not_about(metrics: ReportMetrics, recipe: Recipe, weights: str, folder: Path) -> str | None:
    """Say what a report in `folder` is about if not about an adapter with this recipe and these weights (SHA-256)."""
    record = next((adapter for adapter in metrics.adapters if adapter.lineage == recipe.lineage), None)
    if record is None:  # of a sweep it shows the chosen settings alone
        return "other adapters"
    scored = folder / recipe.lineage / "predictions" / RECEIPT
    receipt = read_json(scored, "the receipt of the predictions") if scored.is_file() else {}
    scored_weights = (receipt.get("inputs", {}).get("adapter") or {}).get("weights", weights)
    is_same = record.fingerprint == recipe.fingerprint and scored_weights == weights
    return None if is_same else "another training"


def _results_folder(adapter: Path, lineage: str) -> Path | None:
    """Folder of results that an adapter lies in, as ``RESULTS/LINEAGE/adapter``."""
    folder = adapter.resolve().parent
    steps = tuple(lineage.split("/"))
    return Path(*folder.parts[: -len(steps)]) if folder.parts[-len(steps) :] == steps else None


def evaluation_results(reported: Reported) -> list:
    """The adapter's scores as the hub's `EvalResult`, one a task, split and measure; what has no value is left out."""
    from huggingface_hub import EvalResult

    confidence = reported.metrics.experiment.confidence
    results = []
    for score, items, beside in reported.scores():
        names = reported.beside([score.task])
        for name in reported.measures(score.task):
            value = score.measures.get(name)
            if value is None or value.value is None:
                continue
            others = {names[key]: _value(other, name) for key, other in beside.items()}
            bracket = interval(value.low, value.high, decimal)
            title = f"{reported.titles[name]}, {100 * confidence:g} % {bracket}" if bracket else reported.titles[name]
            results.append(
                EvalResult(
                    task_type=hub_task(reported.kind(score.task)),
                    dataset_type=score.task,
                    dataset_name=score.task,
                    dataset_split=score.split,
                    metric_type=_HUB_METRICS.get(name, name),
                    metric_name=title,
                    metric_value=round(value.value, 6),
                    metric_args=metric_args(reported, items, value, others),
                )
            )
    return results


def metric_args(reported: Reported, items: int | None, value: Value, beside: dict[str, Value]) -> dict:
    """Facts beside a metric's value: items, interval, and by name the values of what is beside it."""
    facts = {"items": items, "low": value.low, "high": value.high, "confidence": reported.metrics.experiment.confidence}
    facts |= {name: other.value for name, other in beside.items()}
    rounded = {key: round(fact, 6) if isinstance(fact, float) else fact for key, fact in facts.items()}
    return {key: fact for key, fact in rounded.items() if fact is not None}


def describe_answering(reported: Reported) -> str:
    """Say how the tasks were answered."""
    kinds = {reported.kind(score.task) for score, _, _ in reported.scores()}
    labels = f"by {reported.metrics.experiment.method} within the task's labels"
    if kinds <= set(LABEL_KINDS):
        return labels
    greedy = "sets of labels and texts by greedy generation"
    return greedy if kinds.isdisjoint(LABEL_KINDS) else f"{labels}; {greedy}"


def score_table(reported: Reported) -> str:
    """Table of the adapter's scores with intervals, beside the untuned model and the majority class."""
    rows = []
    for score, items, beside in reported.scores():
        for name in reported.measures(score.task):
            if name in score.measures:
                others = [_value(beside.get(other), name).value for other in BESIDE]
                value = with_interval(score.measures[name], decimal)
                rows.append((score.task, score.split, items, reported.titles[name], value, *map(decimal, others)))
    names = reported.beside(dict.fromkeys(score.task for score, _, _ in reported.scores()))
    head = ("task", "split", "items", "measure", "this adapter", *names.values())
    return table(head, rows)


def forgetting_table(reported: Reported) -> str:
    """Table of what became of the tasks that were learnt earlier, on the same items; empty text without any."""
    rows = []
    for record in reported.forgetting():
        for name in reported.measures(record.task):
            if name not in record.changes:
                continue
            pairs = (record.pairs.lost, record.pairs.gained) if record.pairs else ("", "")
            change = with_interval(record.changes[name], signed_decimal)
            claim = describe_claim(reported, "kept", record.task, name, record.after_split)
            before = f"`{record.before_lineage}`"
            rows.append((record.task, record.after_split, before, reported.titles[name], change, *pairs, claim))
    head = ("task", "split", "learnt by", "measure", "change", "items lost", "gained", "claim")
    return table(head, rows) if rows else ""


def describe_claim(reported: Reported, kind: str, task: str, measure: str, split: str | None = None) -> str:
    """Describe what the report claims of a change of an adapter's score: of an earlier task, or of a probe."""
    for claim in reported.metrics.claims:
        is_it = (claim.kind, claim.task, claim.measure) == (kind, task, measure) and split in (None, claim.split)
        if is_it and reported.recipe.lineage in claim.lineages:
            verdict = {"worse": "a loss is shown", "better": "a gain is shown"}.get(claim.verdict, claim.verdict)
            runs = f", over {len(claim.lineages)} runs" if len(claim.lineages) > 1 else ""
            p = "" if claim.p_corrected is None else f" (p {p_value(claim.p_corrected).replace('< ', '<')}{runs})"
            return f"{verdict}{p}"
    return "none"


def _value(score: Score | None, measure: str) -> Value:
    return (score.measures.get(measure) if score else None) or Value()


def with_interval(value: Value, write) -> str:
    return f"{write(value.value)} {interval(value.low, value.high, write)}".strip()
