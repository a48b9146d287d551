"""The typed form of ``report_metrics.json``, the one source of its JSON schema.

Every part is a flat list of records with explicit keys (arm, seed, lineage, stage, task, split), so that more
arms, seeds and stages mean more records, never another shape. What cannot be computed is null and has a reason.
Accuracies, F1 values, shares and probabilities run from 0 to 1; losses are in nats.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
MAJORITY, TFIDF, TFIDF_BALANCED = "majority", "tfidf", "tfidf-balanced"
BASELINES = (MAJORITY, TFIDF, TFIDF_BALANCED)
INVALID = "invalid"

Lineage = str
MeasureName = Literal["accuracy", "macro_f1"]


class Record(BaseModel):
    """A record: no unknown key, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Measure(Record):
    """A number, or null and the reason why there is none."""

    value: float | None = Field(description="The number; null where it cannot be computed.")
    reason: str | None = Field(None, description="Why a number is null.")


class Estimate(Measure):
    """A number with the interval at `experiment.confidence` around it."""

    low: float | None = Field(None, description="Lower bound of the interval; null where there is none.")
    high: float | None = Field(None, description="Upper bound of the interval; null where there is none.")


class Experiment(Record):
    """What was run."""

    name: str = Field(description="Name of the experiment.")
    sample: bool = Field(description="Some task ran on an embedded sample, so nothing here is a scientific result.")
    model: str = Field(description="Name of the base model.")
    model_origin: dict[str, Any] = Field(description="Where the base model came from, as configured.")
    model_fingerprint: str = Field(description="Fingerprint of the base model's files.")
    quantization: str = Field(description="Quantization of the frozen weights.")
    dtype: str = Field(description="Configured compute type.")
    seeds: list[int] = Field(description="Training seeds.")
    splits: list[str] = Field(description="Splits that were scored.")
    method: str = Field(description="How answers were obtained: likelihood or generation.")
    parse: str | None = Field(description="How generated text was read; null for likelihood.")
    confidence: float = Field(description="Coverage of every interval.")
    bootstrap_samples: int = Field(description="Bootstrap resamples behind every bootstrap interval.")
    bootstrap_seed: int = Field(description="Seed of the resampling.")
    packages: dict[str, str] = Field(description="Versions that computed these metrics; training has its own.")
    config: dict[str, Any] = Field(description="The resolved configuration, the local mirror folder left out.")


class ArmStage(Record):
    """One step along an arm: which adapter the arm has after that stage."""

    arm: str
    seed: int
    stage: int = Field(description="0 is the untuned base model.")
    task: str | None = Field(description="The task this stage learnt; null at stage 0.")
    lineage: Lineage


class AdapterRecord(Record):
    """One adapter of the lineage tree."""

    lineage: Lineage
    parent: Lineage = Field(description="Lineage of the parent; `base` for the untuned model.")
    stage: int
    task: str = Field(description="The task this adapter learnt.")
    seed: int
    arms: list[str] = Field(description="Arms that pass through this adapter.")
    fingerprint: str = Field(description="Fingerprint of its recipe.")


class SetAside(Record):
    """Rows of a raw file that were not used."""

    reason: str
    rows: int


class RawFile(Record):
    """A raw file of a task."""

    role: str
    name: str
    sha256: str


class TaskRecord(Record):
    """A task's data, before splitting."""

    task: str
    source: str = Field(description="Name of the configured source.")
    sample: bool = Field(description="The source is the embedded sample.")
    licence: str | None
    redistribute: bool
    labels: list[str] = Field(description="Answer words in report order.")
    majority: str = Field(description="Most frequent label of the training split (the first, where two tie).")
    files: list[RawFile]
    rows: int = Field(description="Rows read from the raw files.")
    set_aside: list[SetAside]
    split: str = Field(description="Name of the configured split.")
    duplicates_within_split: int = Field(description="Repeated texts found inside one split.")
    duplicates_across_splits: int = Field(description="Repeated texts found in two splits.")
    groups_across_splits: int | None = Field(description="Groups that stand in two splits; null without groups.")


class LabelCount(Record):
    """How often a label occurs."""

    label: str
    items: int
    share: float | None = Field(description="Share of the split; null for an empty split.")


class SplitRecord(Record):
    """One split of one task."""

    task: str
    split: str
    items: int
    items_before_limit: int = Field(description="Items before the experiment's limit cut them down.")
    labels: list[LabelCount]
    sha256: str = Field(description="Checksum of the split's file.")


class ClassScore(Record):
    """One label's scores. Precision, recall and F1 are 0 where their denominator is 0."""

    label: str
    support: int = Field(description="Items whose gold label this is.")
    predicted: int = Field(description="Items that were answered with this label.")
    predicted_share: float
    precision: float
    recall: float
    f1: Estimate


class Confusion(Record):
    """Counts by gold label (rows) and answer (columns)."""

    rows: list[str]
    columns: list[str] = Field(description=f"The labels, then `{INVALID}` where some answer was no label.")
    counts: list[list[int]]


class CalibrationBin(Record):
    """One bin of the reliability diagram; empty bins are left out."""

    low: float = Field(description="Confidences above this ...")
    high: float = Field(description="... up to and including this.")
    items: int
    confidence: float = Field(description="Mean confidence in the bin.")
    accuracy: float = Field(description="Share of right answers in the bin.")


class Score(Record):
    """One scorer (adapter, base model or baseline) on one split of one task."""

    lineage: Lineage = Field(description=f"`base`, an adapter's lineage, or a baseline: {', '.join(BASELINES)}.")
    kind: Literal["base", "adapter", "baseline"]
    stage: int | None = Field(description="0 for the base model, null for a baseline.")
    seed: int | None
    task: str
    split: str
    items: int
    accuracy: Estimate = Field(description="Share of right answers, percentile bootstrap over items.")
    accuracy_wilson: Estimate = Field(description="The same share with Wilson's score interval.")
    macro_f1: Estimate = Field(description="Mean F1 over all labels of the task; an invalid answer is a wrong one.")
    classes: list[ClassScore]
    confusion: Confusion
    invalid: int = Field(description="Answers that were no label.")
    ece: Measure = Field(
        description="Expected calibration error: equal-width bins of the top label's probability, renormalized over "
        "the labels (Guo et al. 2017, arXiv:1706.04599)."
    )
    calibration: list[CalibrationBin] = Field(description="The bins behind `ece`.")
    log_loss: Measure = Field(description="Mean negative log-probability of the gold label, renormalized; nats.")
    label_mass: Measure = Field(description="Mean probability the model gives to all labels together.")


class TrainingRecord(Record):
    """How one adapter was trained; null where training wrote no such value."""

    lineage: Lineage
    stage: int
    task: str
    seed: int
    steps: int | None = None
    epochs: float | None = None
    final_loss: float | None = Field(None, description="Training loss at the end, nats per counted token.")
    mean_token_accuracy: float | None = None
    best_metric: str | None = Field(None, description="Validation metric that picked the checkpoint.")
    best_value: float | None = None
    best_step: int | None = None
    best_eval_loss: float | None = None
    best_eval_step: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    tokens_per_second: float | None = None
    peak_memory_bytes: int | None = None
    trainable_parameters: int | None = None
    items: int | None = None
    shortened: int | None = Field(None, description="Items whose prompt had to be shortened.")
    device: str | None = None
    dtype: str | None = None
    resumed_from_step: int | None = None
    packages: dict[str, str] = {}


class MatrixCell(Record):
    """A task's score after a stage of an arm: one cell of the stage × task matrix."""

    arm: str
    seed: int
    stage: int = Field(description="0 is the untuned base model.")
    stage_task: str | None = Field(description="The task this stage learnt; null at stage 0.")
    lineage: Lineage
    task: str
    split: str
    learnt: bool = Field(description="The task was learnt at this stage or before.")
    items: int
    accuracy: float
    macro_f1: float


class Change(Record):
    """A measure before and after, and the difference with its paired bootstrap interval."""

    measure: MeasureName
    before: float
    after: float
    difference: Estimate = Field(description="After minus before.")


class Pairs(Record):
    """The same items answered twice, counted by whether each answer was right."""

    right_both: int = Field(description="Kept: right before and after.")
    lost: int = Field(description="Right before, wrong after (McNemar's n10).")
    gained: int = Field(description="Wrong before, right after (McNemar's n01).")
    wrong_both: int
    mcnemar_p: float = Field(
        description="McNemar's exact two-sided test that lost and gained are equally likely (binomial); 1 without "
        "any changed item."
    )


class Learning(Record):
    """What a stage taught: its adapter against the base model or a baseline, on the same items."""

    lineage: Lineage
    stage: int
    seed: int
    arms: list[str]
    task: str
    split: str
    against: str = Field(description=f"`base`, or a baseline: {', '.join(BASELINES)}.")
    items: int
    changes: list[Change] = Field(description="`before` is what it is compared against, `after` the adapter.")
    pairs: Pairs
    claim: Literal["better", "no measurable difference", "worse", "not claimed"] = Field(
        description="By the interval of the accuracy difference."
    )
    reason: str = Field(description="The claim's grounds in one sentence.")


class Forgetting(Record):
    """An earlier task between the adapter that learnt it and a later one."""

    arm: str
    seed: int
    comparison: Literal["paired", "published"] = Field(
        description="`paired`: the same items. `published`: the published experiment's test before, validation after."
    )
    comparable: bool = Field(description="False where different items stand before and after.")
    task: str
    before_lineage: Lineage
    before_stage: int
    before_split: str
    before_items: int
    after_lineage: Lineage
    after_stage: int
    after_task: str = Field(description="The task that the later adapter learnt.")
    after_split: str
    after_items: int
    changes: list[Change]
    pairs: Pairs | None = Field(description="Null where the items differ.")
    over_majority: Estimate | None = Field(
        description="Accuracy of the adapter that learnt the task minus the majority class's, paired: what there was "
        "to forget."
    )
    over_base: Estimate | None = Field(description="The same against the untuned base model.")
    claim: Literal["forgotten", "no measurable change", "improved", "not claimed"] = Field(
        description="By the interval of the accuracy difference. A drop is called forgotten only where the stage that "
        "learnt the task beat the majority class (lower bound above 0)."
    )
    reason: str = Field(description="The claim's grounds in one sentence.")


class PublishedRecord(Record):
    """A published figure beside ours."""

    stage: int
    task: str | None = Field(description="Null for a figure of the training.")
    split: str | None = Field(description="Null for a figure of the training.")
    metric: str = Field(description="A measure, `predicted`, `confusion`, or a key of the training records.")
    label: str | None = Field(description="The label, or the answer of a confusion count.")
    gold: str | None = Field(description="The gold label of a confusion count.")
    published: float
    published_items: int | None
    arm: str | None = Field(description="The arm that learnt the same tasks in the same order.")
    seed: int | None = Field(description="The seed `ours` is from: the experiment's first.")
    lineage: Lineage | None
    ours: Estimate
    our_items: int | None
    mean_over_seeds: float | None = Field(description="Mean of ours over all seeds.")
    seeds: int = Field(description="Seeds behind the mean.")


class Published(Record):
    """The published experiment whose figures stand beside ours."""

    file: str
    title: str
    source: str


class Omitted(Record):
    """Something that could not be computed at all, and why."""

    what: str
    reason: str


class ReportMetrics(Record):
    """Everything the report shows."""

    model_config = ConfigDict(title="report_metrics.json")

    schema_version: Literal[1] = Field(SCHEMA_VERSION, description="Raised when a key changes its meaning.")
    experiment: Experiment
    arms: list[ArmStage]
    adapters: list[AdapterRecord]
    tasks: list[TaskRecord]
    splits: list[SplitRecord]
    duplicates_across_tasks: int
    scores: list[Score]
    training: list[TrainingRecord]
    matrix: list[MatrixCell]
    learning: list[Learning]
    forgetting: list[Forgetting]
    published_source: Published | None
    published: list[PublishedRecord]
    omitted: list[Omitted]
