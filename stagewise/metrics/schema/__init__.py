"""The typed form of ``report_metrics.json``, the one source of its JSON schema.

Every part is a flat list of records with explicit keys (arm, seed, lineage, stage, task, split, rule), so that more
arms, seeds and stages mean more records, never another shape. A score stands once, in `scores`; comparisons hold
differences alone. What cannot be computed has a reason instead of a value. Shares and probabilities run from 0 to 1;
losses are in nats.
"""

from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from stagewise.errors import InputError
from stagewise.metrics.schema.base import (
    BASELINES,
    INVALID,
    MAJORITY,
    RULES,
    TFIDF,
    TFIDF_BALANCED,
    Lineage,
    MeasureName,
    Record,
    RuleName,
    Value,
    Values,
)
from stagewise.metrics.schema.comparisons import (
    ArmComparison,
    ArmDifference,
    ArmSummary,
    ArmTask,
    Claim,
    Drift,
    Flips,
    Forgetting,
    Learning,
    Pairs,
    PriorShift,
    Published,
    PublishedRecord,
    RuleGain,
)
from stagewise.metrics.schema.experiment import (
    AdapterRecord,
    AdoptedRecord,
    Agreement,
    AgreementGroup,
    ArmStage,
    BaseModelRecord,
    Cost,
    Experiment,
    LabelCount,
    MeasureRecord,
    RawFile,
    ScoringRecord,
    SetAside,
    SplitRecord,
    TaskRecord,
    TrainingRecord,
    Variant,
)
from stagewise.metrics.schema.probes import Probe, ProbeChange, ProbeScore
from stagewise.metrics.schema.scores import (
    AnswerRecord,
    AurocPair,
    CalibrationBin,
    Confusion,
    Discrimination,
    LabelScore,
    Score,
)
from stagewise.provenance.files import read_json

__all__ = [
    "BASELINES", "CLASSIFICATION_VERSION", "INVALID", "MAJORITY", "RULES", "SCHEMA_VERSION", "TFIDF", "TFIDF_BALANCED",
    "AdapterRecord",
    "AdoptedRecord", "Agreement", "AgreementGroup", "AnswerRecord", "ArmComparison", "ArmDifference", "ArmStage",
    "ArmSummary", "ArmTask", "AurocPair", "BaseModelRecord", "CalibrationBin", "Claim", "Confusion", "Cost",
    "Discrimination", "Drift", "Experiment",
    "Flips", "Forgetting", "LabelCount", "LabelScore", "Learning", "Lineage", "MeasureName", "MeasureRecord", "Omitted",
    "Pairs", "PriorShift", "Probe", "ProbeChange", "ProbeScore", "Published", "PublishedRecord", "RawFile", "Record",
    "ReportMetrics", "RuleGain", "RuleName", "Score", "ScoringRecord", "SetAside", "SplitRecord", "TaskRecord",
    "TrainingRecord", "Value", "Values", "Variant", "read_metrics",
]  # fmt: skip

SCHEMA_VERSION = 6

CLASSIFICATION_VERSION = 5
"""Version of a file all of whose tasks are classified: nothing in it is newer, so that older versions read it."""

READABLE = (4, CLASSIFICATION_VERSION, SCHEMA_VERSION)
"""Versions that can be read: 4 has no probes, 5 no other kinds of tasks, and both mean the same otherwise."""


class Omitted(Record):
    """Something that could not be computed at all, and why."""

    what: str
    reason: str


class ReportMetrics(Record):
    """Everything the report shows."""

    model_config = ConfigDict(title="report_metrics.json")

    schema_version: Literal[4, 5, 6] = Field(
        SCHEMA_VERSION,
        description="Raised when a key changes its meaning or records of a new kind are added; 4 has no probes, and 5 "
        "no task of another kind than `classification`.",
    )
    inputs: dict[str, Any] = Field({}, description="Settings, files and code that it was made from.")
    files: dict[str, str] = Field({}, description="SHA-256 of metrics.json, which holds figures of this file by name.")
    checksum: str | None = Field(None, description="SHA-256 of all other values as canonical JSON.")
    image: str | None = Field(None, description="Checksum of the container image that made it; left out without one.")
    experiment: Experiment
    measures: list[MeasureRecord] = Field(description="Every measure of `scores` and of the comparisons, in order.")
    arms: list[ArmStage]
    adapters: list[AdapterRecord]
    tasks: list[TaskRecord]
    splits: list[SplitRecord]
    duplicates_across_tasks: int = Field(description="Texts that stand in two tasks, compared normalized.")
    duplicates_across_tasks_exact: int | None = Field(None, description="Those that repeat to the letter.")
    training: list[TrainingRecord]
    scoring: list[ScoringRecord]
    predictions: list[AnswerRecord]
    scores: list[Score]
    discrimination: list[Discrimination]
    claims: list[Claim] = Field(description="Everything the report claims, one family with one correction.")
    learning: list[Learning]
    forgetting: list[Forgetting]
    flips: list[Flips]
    arm_summaries: list[ArmSummary]
    arm_tasks: list[ArmTask]
    arm_comparisons: list[ArmComparison]
    prior_shifts: list[PriorShift]
    costs: list[Cost]
    variants: list[Variant] = Field([], description="Settings that sweeps tried, arm by arm; empty without sweeps.")
    drifts: list[Drift] = Field(
        [], description="Of every trained adapter on the tasks of its stage; empty without label probabilities."
    )
    probes: list[Probe] = Field([], description="What every adapter is scored on, whether or not its arm learns it.")
    probe_scores: list[ProbeScore] = []
    probe_changes: list[ProbeChange] = []
    agreement: list[Agreement]
    published_source: Published | None
    published: list[PublishedRecord]
    omitted: list[Omitted]


def read_metrics(path) -> ReportMetrics:
    """Read the metrics of an experiment.

    Raises
    ------
    InputError
        If the file is missing, is no JSON, is of another version, or does not fit its schema.
    """
    again = "run the step that writes it again (scripts.metrics)"
    values = read_json(path, "report_metrics.json")
    version = values.get("schema_version") if isinstance(values, dict) else SCHEMA_VERSION
    if version not in READABLE:
        versions = ", ".join(map(str, READABLE))
        raise InputError(f"{path}: has schema_version {version!r} and this report reads {versions}; {again}")
    try:
        return ReportMetrics.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "the whole file"
        raise InputError(
            f"{path}: '{key}' does not fit the schema of report_metrics.json ({problem['msg'][:1].lower()}"
            f"{problem['msg'][1:]}); {again}"
        ) from None
