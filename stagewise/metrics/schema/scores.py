"""How well each scorer answers each split."""

from typing import Literal

from pydantic import Field

from stagewise.metrics.schema.base import BASELINES, INVALID, Estimate, Lineage, Measure, Record


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
    fold: int | None = Field(description="Null without folds, and for the base model and the baselines.")
    task: str
    split: str
    items: int
    shortened: int | None = Field(None, description="Prompts that were cut to fit; null for a baseline.")
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


class MatrixCell(Record):
    """A task's score after a stage of an arm: one cell of the stage × task matrix."""

    arm: str
    seed: int
    fold: int | None
    stage: int = Field(description="0 is the untuned base model.")
    stage_tasks: list[str] = Field(description="What this stage learnt; empty at stage 0.")
    lineage: Lineage = Field(description="Who answers this task after this stage.")
    task: str
    split: str
    learnt: bool = Field(description="The task was learnt at this stage or before.")
    items: int
    accuracy: float
    macro_f1: float
