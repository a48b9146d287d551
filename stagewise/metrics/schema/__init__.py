"""The typed form of ``report_metrics.json``, the one source of its JSON schema.

Every part is a flat list of records with explicit keys (arm, seed, lineage, stage, task, split), so that more
arms, seeds and stages mean more records, never another shape. What cannot be computed is null and has a reason.
Accuracies, F1 values, shares and probabilities run from 0 to 1; losses are in nats.
"""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from stagewise.metrics.schema.arms import (
    Agreement,
    AgreementGroup,
    ArmComparison,
    ArmSummary,
    ArmTask,
    Cost,
    Flips,
    Interval,
    Spread,
)
from stagewise.metrics.schema.base import (
    BASELINES,
    INVALID,
    MAJORITY,
    TFIDF,
    TFIDF_BALANCED,
    Estimate,
    Lineage,
    Measure,
    Record,
)
from stagewise.metrics.schema.comparisons import Change, Forgetting, Learning, Pairs, Published, PublishedRecord
from stagewise.metrics.schema.decisions import RULES, AurocPair, Decision, Discrimination, Recall, RuleChange, RuleName
from stagewise.metrics.schema.over_runs import DecisionOverRuns, DiscriminationOverRuns, RecallOverRuns
from stagewise.metrics.schema.run import (
    AdapterRecord,
    ArmStage,
    Experiment,
    LabelCount,
    RawFile,
    ScoringRecord,
    SetAside,
    SplitRecord,
    TaskRecord,
    TrainingRecord,
)
from stagewise.metrics.schema.scores import CalibrationBin, ClassScore, Confusion, MatrixCell, Score

__all__ = [
    "BASELINES", "INVALID", "MAJORITY", "RULES", "SCHEMA_VERSION", "TFIDF", "TFIDF_BALANCED", "AdapterRecord",
    "Agreement", "AgreementGroup", "ArmComparison", "ArmStage", "ArmSummary", "ArmTask", "AurocPair",
    "CalibrationBin", "Change", "ClassScore", "Confusion", "Cost", "Decision", "DecisionOverRuns", "Discrimination",
    "DiscriminationOverRuns", "Estimate", "Experiment", "Flips", "Forgetting", "Interval", "LabelCount", "Learning",
    "Lineage", "MatrixCell", "Measure", "Omitted", "Pairs", "Published", "PublishedRecord", "RawFile", "Recall",
    "RecallOverRuns", "Record", "ReportMetrics", "RuleChange", "RuleName", "Score", "ScoringRecord", "SetAside",
    "SplitRecord", "Spread", "TaskRecord", "TrainingRecord",
]  # fmt: skip

SCHEMA_VERSION = 1


class Omitted(Record):
    """Something that could not be computed at all, and why."""

    what: str
    reason: str


class ReportMetrics(Record):
    """Everything the report shows."""

    model_config = ConfigDict(title="report_metrics.json")

    schema_version: Literal[1] = Field(SCHEMA_VERSION, description="Raised when a key changes its meaning.")
    inputs: dict[str, Any] = Field({}, description="Settings, files and code that it was made from.")
    files: dict[str, str] = Field({}, description="SHA-256 of metrics.json, which holds figures of this file by name.")
    checksum: str | None = Field(None, description="SHA-256 of all other values as canonical JSON.")
    image: str | None = Field(None, description="Checksum of the container image that made it; null without one.")
    experiment: Experiment
    arms: list[ArmStage]
    adapters: list[AdapterRecord]
    tasks: list[TaskRecord]
    splits: list[SplitRecord]
    duplicates_across_tasks: int = Field(description="Texts that stand in two tasks, compared normalized.")
    duplicates_across_tasks_exact: int | None = Field(None, description="Those that repeat to the letter.")
    scores: list[Score]
    training: list[TrainingRecord]
    scoring: list[ScoringRecord]
    matrix: list[MatrixCell]
    learning: list[Learning]
    forgetting: list[Forgetting]
    decisions: list[Decision]
    discrimination: list[Discrimination]
    decisions_over_runs: list[DecisionOverRuns] = Field([], description="Empty with one run: `decisions` says it all.")
    discrimination_over_runs: list[DiscriminationOverRuns] = Field([], description="Empty with one run, likewise.")
    rule_changes: list[RuleChange]
    arm_summaries: list[ArmSummary]
    arm_tasks: list[ArmTask]
    arm_comparisons: list[ArmComparison]
    flips: list[Flips]
    costs: list[Cost]
    agreement: list[Agreement]
    published_source: Published | None
    published: list[PublishedRecord]
    omitted: list[Omitted]
