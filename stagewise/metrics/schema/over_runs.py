"""Decision rules and discrimination of every adapter over seeds and folds."""

from pydantic import Field

from stagewise.metrics.schema.arms import Spread
from stagewise.metrics.schema.base import Lineage, Record
from stagewise.metrics.schema.decisions import RuleName


class RecallOverRuns(Record):
    """One label under a decision rule."""

    label: str
    recall: Spread


class DecisionOverRuns(Record):
    """Records of `decisions` that differ in seed and fold alone, on splits with the same items in every run."""

    lineages: list[Lineage] = Field(description="One a run, in the order of `Spread.values`.")
    task: str
    split: str
    rule: RuleName
    accuracy: Spread
    macro_f1: Spread
    recalls: list[RecallOverRuns]


class DiscriminationOverRuns(Record):
    """Records of `discrimination` that differ in seed and fold alone, likewise."""

    lineages: list[Lineage] = Field(description="One a run, in the order of `Spread.values`.")
    task: str
    split: str
    auroc: Spread
    log_loss: Spread = Field(description="Nats.")
    log_loss_fitted: Spread = Field(description="Nats.")
