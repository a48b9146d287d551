"""Answers to the same items against each other: learning, forgetting, arms; and published figures beside ours."""

from typing import Literal

from pydantic import Field

from stagewise.metrics.schema.base import BASELINES, Lineage, MeasureName, Record, RuleName, Value, Values


class Claim(Record):
    """One claim of the report: a difference, its test, and what it shows.

    All claims of a report are one family about one measure (`experiment.primary_measure`) and one outcome
    (`experiment.primary_outcome`), on the main split, by the plain answers (`argmax`). With one run a claim is about
    these very adapters; with several it is about the arm.
    """

    kind: Literal["learnt", "kept", "retained", "probe", "arms"] = Field(
        description="`learnt`: the adapter that learnt the task against the majority class, the untuned model or a bag "
        "of words. `kept`: the arm's last adapter against the one that learnt the task. `retained`: the arm's last "
        "adapter on an earlier task against the majority class or the untuned model. `probe`: the arm's last adapter "
        "on a probe that it does not learn against the untuned model. `arms`: the arm's last adapter against its "
        "reference arm's."
    )
    task: str | None = Field(
        description="The task or probe; null for the mean over all tasks learnt (`experiment.primary_outcome`)."
    )
    split: str | None = Field(description="Null for a probe that is no task: it has no splits.")
    measure: str = Field(
        description="The report's primary measure; against the majority class always accuracy, because any guesser "
        "that varies its answers beats it in macro-F1. Of a probe that is no task, the probe's own (`probes`)."
    )
    arms: list[str] = Field(description="Arms that these adapters belong to.")
    lineages: list[Lineage] = Field(
        description="Who answers, one a run in the order of `experiment`; for the mean over all tasks every adapter "
        "that answers one of them, run by run."
    )
    against: str = Field(description="`base`, a baseline, `learnt` (the adapter that learnt the task), or an arm.")
    against_lineages: list[Lineage] = Field(description="What they are compared with, as `lineages`.")
    difference: Value = Field(description="Of the measure, paired by item and by run.")
    test: Literal["sign-flip", "exchange", "crossed"] | None = Field(
        None,
        description="`sign-flip`: exact test over items, or groups of items, of right and wrong answers (for single "
        "items McNemar's). `exchange`: 9,999 drawn exchanges of the two sides' answers to an item, or of its scores. "
        "For the mean over all tasks the items of all tasks are flipped or exchanged together. `crossed`, for several "
        "runs: Student's t over crossed random effects of items and runs; the exact test over items has to agree, so "
        "the larger p-value of the two stands.",
    )
    p: float | None = Field(None, description="Two-sided; left out if there is no score.")
    p_corrected: float | None = Field(None, description="After Holm's correction over all claims of the report.")
    detectable: float | None = Field(
        None,
        description="The difference that this comparison, with the noise it showed and the correction over all claims, "
        "finds with 80 % power; a smaller one may be there and unseen. Left out if nothing is known of the noise, and "
        "if not even one of 99 points would be found.",
    )
    verdict: Literal["better", "not shown", "worse", "not claimed"] = Field(
        description="`better` or `worse` if `p_corrected` is below 1 - confidence and the interval leaves 0 out. A "
        "loss of `kept` is claimed only if the adapter that learnt the task is shown to beat the majority class."
    )
    reason: str | None = Field(None, description="Why nothing is claimed.")


class Pairs(Record):
    """The same items answered twice, counted by whether each answer was right."""

    right_both: int = Field(description="Kept: right before and after.")
    lost: int = Field(description="Right before, wrong after (McNemar's n10).")
    gained: int = Field(description="Wrong before, right after (McNemar's n01).")
    p: float = Field(
        description="Exact two-sided test that lost and gained are equally likely, for these two adapters alone and "
        "without any correction (McNemar's; items of a group are exchanged together); 1 without any changed item."
    )


class Learning(Record):
    """Learning of a stage: its adapter against the base model or a baseline, on the same items."""

    lineage: Lineage
    task: str
    split: str
    against: str = Field(description=f"`base`, or a baseline: {', '.join(BASELINES)}.")
    changes: Values = Field(description="The adapter minus what it is compared with, paired.")
    pairs: Pairs | None = Field(
        None,
        description="Before: what it is compared with. After: the adapter. Left out where answers are not right or "
        "wrong, by the task's own measure.",
    )


class Drift(Record):
    """Divergence of a stage's adapter from the one that it started from, on the stage's own inputs."""

    lineage: Lineage
    parent: Lineage = Field(description="`base` for the untuned model.")
    task: str
    split: str
    kl: Value = Field(
        description="Mean over items of KL(parent || adapter), nats, between their distributions over answers: the "
        "task's whole label answers, and every other text as one more. By the data-processing inequality it is at most "
        "the divergence over all texts. Forgetting of earlier tasks was seen to follow the divergence on the new one "
        "(Shenfeld et al. 2025, arXiv:2509.04259)."
    )


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
    pairs: Pairs | None = Field(
        None, description="Left out if the items differ, and where answers are not right or wrong."
    )
    auroc: Value | None = Field(
        None,
        description="Change of the one-vs-one AUROC on the log-odds, which a shifted label prior does not move; left "
        "out without label probabilities and if a label has no item.",
    )


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
        description="Ids answered right by the adapter that learnt the task and wrong after the last stage; where "
        "answers are more than right or wrong, those whose score fell by 0.5 or more."
    )
    gained: list[str] = Field(description="Ids answered wrong before and right after, or whose score rose by as much.")


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
    probe_change: Values | None = Field(
        None,
        description="Mean over the probes that are tasks, and that the arm does not learn, of the last score minus the "
        "base model's. As forward transfer it is about tasks that were not trained on; theirs are learnt later, and "
        "scored just before. Left out if no task is a probe.",
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
    p: float = Field(
        description="Exact sign-flip test over items (groups of items) of the rule's final answers against argmax's, "
        "summed over runs. The rule is taken as fitted; its fit varies in `gain` and `left`."
    )
    p_corrected: float = Field(description="`p` after Holm's correction over all rules, arms and tasks.")


class PriorShift(Record):
    """Whether an arm's loss on an earlier task is a shifted label prior or lost knowledge, by accuracy.

    Only on the main split, if its items are the same in every run and there are decision rules beside argmax; an arm
    whose learning adapter still answers the task has lost nothing and no record, nor has one of whose change nothing is
    claimed (`experiment.primary_outcome`).
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
    auroc_p: float | None = Field(
        None,
        description="Largest over the runs of the p-value that AUROC did not change, corrected (Holm) over all losses "
        "that are shown; left out if the loss is not shown.",
    )
    verdict: Literal["shifted prior", "knowledge lost", "not shown", "no loss shown"] = Field(
        description="`no loss shown` unless `claims` show a loss of accuracy. `shifted prior` only if under one and "
        "the same rule `gain` lies above 0, `p_corrected` is below 1 - confidence and the lower bound of `left` is "
        "above half of `loss`, and if in every run the lower bound of `auroc` is above minus "
        "`experiment.auroc_margin`. Else `knowledge lost` if in every run the upper bound of `auroc` is below 0, and "
        "`auroc_p` below 1 - confidence. Else "
        "`not shown`."
    )


class ArmDifference(Record):
    """One measure of an arm minus the reference arm's. `claims` says what of it is shown."""

    difference: Value = Field(description="After the last stage, paired by item and by run.")
    items: Value | None = Field(
        None, description="The interval of test-set size alone; left out for one run, whose interval is `difference`'s."
    )
    training: Value | None = Field(None, description="The interval of training noise alone; left out for one run.")


class ArmComparison(Record):
    """One arm against its reference arm on the same items."""

    arm: str
    against: str = Field("", description="The arm that it is compared with.")
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
