"""Decision rules: how the saved log-probabilities become labels, and what no rule can change."""

from typing import Literal

from pydantic import Field

from stagewise.metrics.schema.base import Estimate, Lineage, Record
from stagewise.metrics.schema.comparisons import Change

RuleName = Literal["argmax", "prior-adjusted", "batch-calibrated", "contextual"]

RULES: tuple[str, ...] = ("argmax", "prior-adjusted", "batch-calibrated", "contextual")


class Recall(Record):
    """One label under a decision rule."""

    label: str
    recall: Estimate
    predicted_share: float


class Decision(Record):
    """One adapter or the base model on one split of one task under one decision rule; none for generated answers."""

    lineage: Lineage
    kind: Literal["base", "adapter"]
    stage: int
    seed: int | None
    fold: int | None
    task: str
    split: str
    items: int
    rule: RuleName = Field(
        description="Log-probabilities are renormalized over the task's labels; the answer is the largest after "
        "adding `bias`. `argmax`: nothing is added. `prior-adjusted`: logit adjustment, minus tau times the log "
        "label shares of the training split (a label that never occurs counts as half an item), tau from 0 to 3 in "
        "steps of 0.05 chosen by macro-F1 on validation, the smallest of equals (Menon et al. 2021, "
        "arXiv:2007.07314); not on validation itself. `batch-calibrated`: minus the log of each label's mean "
        "probability over the split, which is the batch (Zhou et al. 2023, arXiv:2309.17249). `contextual`: minus "
        "the log of each label's mean probability over inputs without content (Zhao et al. 2021, arXiv:2102.09690)."
    )
    tau: float | None = Field(description="Of `prior-adjusted`; null for the other rules.")
    bias: list[float] = Field(description="What the rule adds to each label's log-probability, in label order; nats.")
    accuracy: Estimate
    macro_f1: Estimate
    recalls: list[Recall]


class AurocPair(Record):
    """Two labels told apart by the difference of their log-probabilities."""

    first: str
    second: str
    auroc: Estimate


class Discrimination(Record):
    """What an adapter or the base model knows, whatever its label prior."""

    lineage: Lineage
    kind: Literal["base", "adapter"]
    stage: int
    seed: int | None
    fold: int | None
    task: str
    split: str
    items: int
    auroc: Estimate = Field(
        description="Mean over all pairs of labels (Hand & Till 2001, doi:10.1023/A:1010920819831), on the log-odds "
        "of each pair; null where a label has no item."
    )
    pairs: list[AurocPair]
    log_loss: Estimate = Field(description="Mean negative log-probability of the gold label, renormalized; nats.")
    log_loss_fitted: Estimate = Field(
        description="The same after adding `bias`; null on validation itself, and where it was not scored or lacks a "
        "label."
    )
    bias: list[float] | None = Field(
        description="Per-label bias that minimizes validation log loss (between -20 and 20 nats), first label 0; "
        "null if not fitted."
    )


class RuleChange(Record):
    """An earlier task before and after later training, both under one decision rule, on the same items."""

    arm: str
    seed: int
    fold: int | None
    task: str
    split: str
    rule: RuleName
    before_lineage: Lineage
    before_stage: int
    after_lineage: Lineage
    after_stage: int
    changes: list[Change]
