"""Answers to the same items against each other: learning, forgetting, arms; and published figures beside ours."""

from typing import Literal

from pydantic import Field

from stagewise.metrics.schema.base import BASELINES, Lineage, MeasureName, Record, RuleName, Value, Values

Claim = Literal["better", "no measurable difference", "worse", "not claimed"]


class Pairs(Record):
    """The same items answered twice, counted by whether each answer was right."""

    right_both: int = Field(description="Kept: right before and after.")
    lost: int = Field(description="Right before, wrong after (McNemar's n10).")
    gained: int = Field(description="Wrong before, right after (McNemar's n01).")
    mcnemar_p: float = Field(
        description="McNemar's exact two-sided test that lost and gained are equally likely (binomial); 1 without "
        "any changed item."
    )


class Learning(Record):
    """Learning of a stage: its adapter against the base model or a baseline, on the same items."""

    lineage: Lineage
    task: str
    split: str
    against: str = Field(description=f"`base`, or a baseline: {', '.join(BASELINES)}.")
    changes: Values = Field(description="The adapter minus what it is compared with, paired.")
    pairs: Pairs = Field(description="Before: what it is compared with. After: the adapter.")
    claim: Claim = Field(description="By the interval of the accuracy difference.")
    reason: str = Field(description="The claim's grounds in one sentence.")


class Forgetting(Record):
    """An earlier task between the adapter that learnt it and a later one."""

    arm: str
    seed: int
    fold: int | None = None
    comparison: Literal["paired", "published"] = Field(
        description="`paired`: the same items. `published`: the published experiment's test before, validation after."
    )
    task: str
    before_lineage: Lineage
    before_stage: int
    before_split: str
    after_lineage: Lineage
    after_stage: int
    after_split: str
    changes: Values = Field(description="After minus before; without intervals if the items differ.")
    pairs: Pairs | None = Field(None, description="Left out if the items differ.")
    auroc: Value | None = Field(
        None,
        description="Change of the one-vs-one AUROC on the log-odds, which a shifted label prior does not move; left "
        "out without label probabilities and if a label has no item.",
    )
    over_majority: Value | None = Field(
        None,
        description="Accuracy of the adapter that learnt the task minus the majority class's, paired: what there was "
        "to forget. Left out if the majority class did not answer these items (validation of a later fold).",
    )
    retained: Literal["retained", "not shown"] = Field(
        description="`retained` only if the later adapter still beats both the majority class and the untuned base "
        "model in accuracy (both lower bounds above 0)."
    )
    retained_over_majority: Value | None = Field(
        None, description="Accuracy of the later adapter minus the majority class's."
    )
    retained_over_base: Value | None = Field(None, description="The same against the untuned base model.")
    claim: Literal["forgotten", "no measurable change", "improved", "not claimed"] = Field(
        description="By the interval of the accuracy difference. A drop is called forgotten only if the stage that "
        "learnt the task beat the majority class (lower bound above 0)."
    )
    reason: str = Field(description="The claim's grounds in one sentence.")


class Flips(Record):
    """Items of an earlier task by whether an arm still knows them. Ids only."""

    arm: str
    seed: int
    fold: int | None = None
    task: str
    split: str
    before_lineage: Lineage
    after_lineage: Lineage
    lost: list[str] = Field(
        description="Ids answered right by the adapter that learnt the task and wrong after the last stage."
    )
    gained: list[str] = Field(description="Ids answered wrong before and right after.")


class ArmSummary(Record):
    """One arm under one decision rule, over the whole stage × task matrix, by measure.

    Only on the main split (test if it is scored) and if its items are the same in every run, by rules that every
    adapter has answers by.
    """

    arm: str
    rule: RuleName
    split: str
    average: Values = Field(
        description="Average score after the last stage over the tasks learnt (Lopez-Paz & Ranzato 2017, eq. 2)."
    )
    backward_transfer: Values = Field(
        description="Mean of last-stage minus own-stage score over the earlier tasks (Lopez-Paz & Ranzato 2017, "
        "arXiv:1706.08840, eq. 3); missing if no task is an earlier one."
    )
    forgetting: Values = Field(
        description="Mean over earlier tasks of the best score after any stage from 1 to the last but one, minus the "
        "last (Chaudhry et al. 2018, arXiv:1801.10112, eq. 3); of a measure whose lower values are better, the last "
        "minus the best, so that forgetting is positive."
    )
    forward_transfer: Values = Field(
        description="Mean over later tasks of the score just before learning it minus the base model's (Lopez-Paz & "
        "Ranzato 2017, eq. 4; the untuned model stands for random initialization)."
    )


class ArmTask(Record):
    """One task of one arm under one decision rule; `scores` holds the scores themselves."""

    arm: str
    rule: RuleName
    split: str
    task: str
    learnt_stage: int | None = Field(None, description="Stage that learnt it last; left out if none did.")
    earlier: bool = Field(description="Another stage came after the one that learnt it.")
    change: Values = Field(
        description="After the last stage minus after the stage that learnt it, paired; empty unless `earlier`."
    )


class RuleGain(Record):
    """One decision rule against argmax on an earlier task after an arm's last stage, same adapters, same items."""

    rule: RuleName
    gain: Value = Field(description="Final accuracy under the rule minus argmax's.")
    left: Value = Field(
        description="What is left of the loss: final accuracy under the rule minus argmax's right after the stage that "
        "learnt the task."
    )
    test: Literal["mcnemar", "permutation"]
    p: float = Field(
        description="Test of the rule's final answers against argmax's: McNemar's exact test with one run; with "
        "several, an exact or 9,999-draw sign-flip permutation test over items of the sum over runs. The rule is taken "
        "as fitted; its fit varies in `gain` and `left`."
    )
    p_corrected: float = Field(description="`p` after Holm's correction over all rules, arms and tasks.")


class PriorShift(Record):
    """Whether an arm's loss on an earlier task is a shifted label prior or lost knowledge, by accuracy.

    Only on the main split, if its items are the same in every run and there are decision rules beside argmax; an arm
    whose learning adapter still answers the task has lost nothing and no record.
    """

    arm: str
    task: str
    split: str
    loss: Value = Field(description="Argmax after the last stage minus right after the stage that learnt the task.")
    rules: list[RuleGain]
    auroc: list[Value] = Field(
        description="Change of the one-vs-one AUROC on the log-odds, which a shifted label prior does not move, one a "
        "run; without a value where it cannot be computed."
    )
    verdict: Literal["shifted prior", "knowledge lost", "not shown", "no loss shown"] = Field(
        description="`no loss shown` unless the interval of `loss` lies below 0. `shifted prior` only if under one and "
        "the same rule `gain` lies above 0, `p_corrected` is below 1 - confidence and the lower bound of `left` is "
        "above half of `loss`, and if in every run the lower bound of `auroc` is above minus "
        "`experiment.auroc_margin`. Else `knowledge lost` if in every run the upper bound of `auroc` is below 0. Else "
        "`not shown`."
    )


class ArmDifference(Record):
    """One measure of an arm minus the reference arm's, with its test and what it lets one claim."""

    difference: Value = Field(description="After the last stage, paired by item and by run.")
    items: Value | None = Field(
        None, description="The interval of test-set size alone; left out for one run, whose interval is `difference`'s."
    )
    training: Value | None = Field(None, description="The interval of training noise alone; left out for one run.")
    p: float | None = Field(
        None,
        description="If the measure has a test, on one task: McNemar's exact test with one run; with several, an exact "
        "or 9,999-draw sign-flip permutation test over items of the difference averaged over runs.",
    )
    test: Literal["mcnemar", "permutation"] | None = None
    p_holm: float | None = Field(
        None, description="`p` after Holm's correction over the arms (same rule, task and split)."
    )
    smallest_effect: float | None = Field(
        None,
        description="Smallest accuracy difference that these items could have shown with 80 % power at this "
        "confidence, given the share of items on which the two disagree (Connor 1987, doi:10.2307/2531961; with "
        "several runs, their averaged difference's mean square). Left out without a p, and if no difference could have "
        "been shown.",
    )
    claim: Claim = Field(
        description="By the interval of the difference, and with a p by p_holm below 1 - confidence too. Measures "
        "without a test and means over tasks go by the interval alone, which knows nothing of the number of arms."
    )
    reason: str | None = Field(
        None, description="The claim's grounds if they are others than the interval of `difference`."
    )


class ArmComparison(Record):
    """One arm against the reference arm on the same items."""

    arm: str
    rule: RuleName
    split: str
    task: str | None = Field(description="Null for the mean over all tasks.")
    measures: dict[MeasureName, ArmDifference]


class PublishedRecord(Record):
    """A published figure beside ours."""

    stage: int
    task: str | None = Field(None, description="Left out for a figure of the training.")
    split: str | None = Field(None, description="Left out for a figure of the training.")
    metric: str = Field(description="A measure, `predicted`, `confusion`, or a key of the training records.")
    label: str | None = Field(None, description="The label, or the answer of a confusion count.")
    gold: str | None = Field(None, description="The gold label of a confusion count.")
    published: float
    published_items: int | None = None
    arm: str | None = Field(None, description="The arm without remedies that learnt the same tasks in the same order.")
    seed: int | None = Field(None, description="The seed `ours` is from: the experiment's first.")
    lineage: Lineage | None = None
    ours: Value
    our_items: int | None = None
    mean_over_seeds: float | None = Field(None, description="Mean of ours over all runs (seeds and folds).")
    seeds: int = Field(description="Runs behind the mean.")


class Published(Record):
    """The published experiment whose figures stand beside ours."""

    file: str
    title: str
    source: str
