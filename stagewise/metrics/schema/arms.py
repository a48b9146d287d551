"""Arms as wholes: over seeds and folds, against each other, and what they cost."""

from typing import Literal

from pydantic import Field

from stagewise.metrics.schema.base import Lineage, MeasureName, Record
from stagewise.metrics.schema.decisions import RuleName


class Interval(Record):
    """Bounds, or null and the reason why there are none."""

    low: float | None = None
    high: float | None = None
    reason: str | None = None


class Spread(Record):
    """A mean over runs (seeds and folds), with what moves it kept apart.

    Percentile bootstrap. The same resamples of the items serve every run, arm and rule, so differences are paired.
    Deviations of resampled means of R runs are widened for small R: by the root of R / (R - 1), and by Student's t
    over the normal quantile (the expanded percentile interval of Hesterberg 2015, doi:10.1080/00031305.2015.1089789).
    """

    value: float | None
    reason: str | None = Field(None, description="Why the value is null.")
    runs: int = Field(description="Runs behind the mean.")
    items: Interval = Field(description="Test-set size: items resampled, the runs as they are.")
    training: Interval = Field(
        description="Training noise: runs resampled, the items as they are; null with fewer than two runs."
    )
    both: Interval = Field(
        description="Items and runs resampled together: what a claim goes by. Equals `items` with one run."
    )
    training_share: float | None = Field(
        description="Share of the variance that is training noise: var(training) / (var(items) + var(training)); "
        "null with one run, or without any variance."
    )
    values: list[float | None] = Field(
        description="The value of each run, in the order of `experiment` (folds, then seeds)."
    )


class ArmSummary(Record):
    """One arm under one decision rule, over the whole stage × task matrix.

    Only on splits whose items are the same in every run, by rules that every adapter has answers by. Without
    log-probabilities the rule `argmax` stands for the answers as they were generated.
    """

    arm: str
    rule: RuleName
    measure: MeasureName
    split: str
    average: Spread = Field(
        description="Average accuracy after the last stage over the tasks learnt (Lopez-Paz & Ranzato 2017, eq. 2)."
    )
    backward_transfer: Spread = Field(
        description="Mean of last-stage minus own-stage score over the earlier tasks (Lopez-Paz & Ranzato 2017, "
        "arXiv:1706.08840, eq. 3); null where no task is an earlier one."
    )
    forgetting: Spread = Field(
        description="Mean over earlier tasks of the best score after any stage from 1 to the last but one, minus the "
        "last (Chaudhry et al. 2018, arXiv:1801.10112, eq. 3)."
    )
    forward_transfer: Spread = Field(
        description="Mean over later tasks of the score just before learning it minus the base model's (Lopez-Paz & "
        "Ranzato 2017, eq. 4; the untuned model stands for random initialization)."
    )


class ArmTask(Record):
    """One task of one arm under one decision rule, after the arm's last stage."""

    arm: str
    rule: RuleName
    measure: MeasureName
    split: str
    task: str
    learnt_stage: int | None = Field(description="Stage that learnt it last; null where none did.")
    earlier: bool = Field(description="Another stage came after the one that learnt it.")
    final: Spread = Field(description="After the last stage.")
    learnt: Spread = Field(description="After the stage that learnt it; null where none did.")
    change: Spread = Field(description="final minus learnt, paired; null unless `earlier`.")


class ArmComparison(Record):
    """One arm against the reference arm on the same items."""

    arm: str
    reference: str
    rule: RuleName
    measure: MeasureName
    split: str
    task: str | None = Field(description="Null for the mean over all tasks.")
    difference: Spread = Field(description="Arm minus reference after the last stage, paired by item and by run.")
    p: float | None = Field(
        description="For accuracy on one task: McNemar's exact test with one run; with several, an exact or 9,999-draw "
        "sign-flip permutation test over items of the difference averaged over runs. Null otherwise."
    )
    test: Literal["mcnemar", "permutation"] | None
    p_holm: float | None = Field(description="`p` after Holm's correction over the arms (same rule, task and split).")
    smallest_effect: float | None = Field(
        description="Smallest accuracy difference that these items could have shown with 80 % power at this "
        "confidence, given the share of items on which the two disagree (Connor 1987, doi:10.2307/2531961; with "
        "several runs, their averaged difference's mean square). Null where there is no p, and where no difference "
        "could have been shown."
    )
    claim: Literal["better", "no measurable difference", "worse", "not claimed"] = Field(
        description="By the interval `difference.both`, and where there is a p by p_holm below 1 - confidence too. "
        "Macro-F1 and the mean over tasks go by the interval alone, which knows nothing of the number of arms."
    )
    reason: str


class Flips(Record):
    """Items of an earlier task by whether an arm still knows them. Ids only."""

    arm: str
    seed: int
    fold: int | None
    task: str
    split: str
    before_lineage: Lineage
    after_lineage: Lineage
    lost: list[str] = Field(
        description="Ids answered right by the adapter that learnt the task and wrong after the last stage."
    )
    gained: list[str] = Field(description="Ids answered wrong before and right after.")


class Cost(Record):
    """What one arm costs if it were alone, mean over its runs: all its stages, with everything they are made from."""

    arm: str
    trainings: float = Field(description="Trainings of one run, shared ones included.")
    merges: float
    tokens: float = Field(description="Tokens trained on, over all its stages.")
    extra_tokens: float = Field(description="Tokens that remedies read beside.")
    seconds: float
    adapters: int = Field(description="Adapters that must be kept to answer every task.")
    bytes: int | None = Field(description="Size of their weights; null where a file is not at hand.")
    seconds_over_reference: float | None = Field(description="Ratio of `seconds` to the reference arm's.")
    tokens_over_reference: float | None


class AgreementGroup(Record):
    """Items with one degree of annotator agreement, and how every lineage that answered them does."""

    low: float
    high: float = Field(description="Items with an agreement from `low` to `high`, both included.")
    items: int
    accuracy: dict[Lineage, float] = Field(description="By lineage: the base model and every adapter.")


class Agreement(Record):
    """The gold labels' own noise: how far annotators agree with them."""

    task: str
    split: str
    column: str = Field(description="Column of the raw file: an annotator's label, or a share of annotators.")
    items: int = Field(description="Items that have it.")
    mean: float = Field(
        description="Mean agreement with the gold label: what one annotator reaches, a ceiling to be read with care."
    )
    low: float | None
    high: float | None = Field(description="Percentile bootstrap interval over items.")
    groups: list[AgreementGroup] = Field(
        description="Lowest agreement first: below 1 and 1 for a label; for a share its values, or quartiles where "
        "there are more than four."
    )
