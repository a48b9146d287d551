"""Scorers against each other, and against published figures."""

from typing import Literal

from pydantic import Field

from stagewise.metrics.schema.base import BASELINES, Estimate, Lineage, MeasureName, Record


class Change(Record):
    """A measure before and after, and the difference with its paired bootstrap interval."""

    measure: MeasureName | Literal["auroc"]
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
    fold: int | None
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
    fold: int | None
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
    after_task: str = Field(description="What the arm's later stage learnt.")
    after_split: str
    after_items: int
    changes: list[Change]
    pairs: Pairs | None = Field(description="Null where the items differ.")
    over_majority: Estimate | None = Field(
        description="Accuracy of the adapter that learnt the task minus the majority class's, paired: what there was "
        "to forget. Null where the majority class did not answer these items (validation of a later fold)."
    )
    over_base: Estimate | None = Field(description="The same against the untuned base model.")
    retained: Literal["retained", "not shown"] = Field(
        description="`retained` only where the later adapter still beats both the majority class and the untuned base "
        "model in accuracy (both lower bounds above 0)."
    )
    retained_over_majority: Estimate | None = Field(
        description="Accuracy of the later adapter minus the majority class's."
    )
    retained_over_base: Estimate | None = Field(description="The same against the untuned base model.")
    auroc: Change | None = Field(
        description="One-vs-one AUROC on the log-odds before and after, which a shifted label prior does not move; "
        "null without label probabilities or where a label has no item."
    )
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
    arm: str | None = Field(description="The arm without remedies that learnt the same tasks in the same order.")
    seed: int | None = Field(description="The seed `ours` is from: the experiment's first.")
    lineage: Lineage | None
    ours: Estimate
    our_items: int | None
    mean_over_seeds: float | None = Field(description="Mean of ours over all runs (seeds and folds).")
    seeds: int = Field(description="Runs behind the mean.")


class Published(Record):
    """The published experiment whose figures stand beside ours."""

    file: str
    title: str
    source: str
