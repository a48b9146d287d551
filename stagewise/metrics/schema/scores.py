"""Scores, answers and discrimination of each model and baseline on each split."""

from pydantic import Field

from stagewise.metrics.schema.base import BASELINES, INVALID, Lineage, Record, RuleName, Value, Values


class LabelScore(Record):
    """One label's scores; resamples that lack the label are left out of the interval of a score they do not define."""

    label: str
    recall: Value = Field(description="Missing if no item has the label.")
    predicted: int | None = Field(None, description="Items answered with this label; left out over several runs.")
    support: int | None = Field(None, description="Items whose gold label this is; `argmax` of one run alone.")
    precision: float | None = Field(
        None, description="0 for a label that is never answered; `argmax` of one run alone."
    )
    f1: Value | None = Field(
        None,
        description="Missing if no item has the label and none is answered with it; `argmax` of one run alone.",
    )


class Score(Record):
    """A model (adapter, base model or baseline) on one split of one task under one decision rule.

    Without log-probabilities, `argmax` stands for the answers as they were given, and there is no other rule. On the
    main split (test if it is scored) there are all rules, and adapters that differ in seed and fold alone have a record
    each and one together, if every run shares its items.
    """

    lineages: list[Lineage] = Field(
        description=f"`base`, an adapter's lineage, or a baseline ({', '.join(BASELINES)}); or one adapter per run in "
        "the order of `experiment` (folds, then seeds)."
    )
    task: str
    split: str
    rule: RuleName = Field(
        description="Log-probabilities are renormalized over the task's labels; the answer is the largest after "
        "adding `bias`. `argmax`: nothing is added. `prior-adjusted`: logit adjustment, minus tau times the log "
        "label shares of the training split (a label that never occurs counts as half an item), tau from 0 to 3 in "
        "steps of 0.05 chosen on validation by `experiment.primary_measure`, the smallest of equals (Menon et al. "
        "2021, arXiv:2007.07314); not on validation itself. `batch-calibrated`: minus the log of each label's mean "
        "probability over the split, which is the batch (Zhou et al. 2023, arXiv:2309.17249). `contextual`: minus "
        "the log of each label's mean probability over inputs without content (Zhao et al. 2021, arXiv:2102.09690). "
        "Intervals include the fit: on every resample tau is chosen anew on resampled validation items, which are "
        "drawn independently of the scored ones, and the mean over the split is that of the resampled split."
    )
    tau: Value | None = Field(None, description="Of `prior-adjusted`; its interval is over the validation items.")
    bias: list[float] | None = Field(
        None, description="What the rule adds to each label's log-probability, in label order; nats. Not for `argmax`."
    )
    measures: Values = Field(description="By name, as `measures` declares them; invalid answers count as wrong.")
    labels: list[LabelScore]


class Confusion(Record):
    """Counts by gold label (rows) and answer (columns)."""

    rows: list[str]
    columns: list[str] = Field(description=f"The labels, then `{INVALID}` if some answer was no label.")
    counts: list[list[int]]


class CalibrationBin(Record):
    """One bin of the reliability diagram; empty bins are left out."""

    bin: int = Field(description="Number m from 0 of the bin (m / M, (m + 1) / M]; M is `experiment.calibration_bins`.")
    items: int
    confidence: float = Field(description="Mean confidence in the bin.")
    right: int = Field(description="Items of the bin whose top label is right.")


class AnswerRecord(Record):
    """The answers of a model or baseline to one split, whatever the measure."""

    lineage: Lineage
    task: str
    split: str
    items: int
    shortened: int | None = Field(None, description="Prompts that were cut to fit; left out for a baseline.")
    control_tokens: int | None = Field(
        None, description="Items whose text held control tokens of the model, read as plain text."
    )
    invalid: int = Field(description="Answers that were no label, or no set of labels.")
    confusion: Confusion | None = Field(
        None, description="Left out, as all below, of a task that is not answered with one label."
    )
    ece: Value | None = Field(
        None,
        description="Expected calibration error: equal-width bins of the top label's probability, renormalized over "
        "the labels (Guo et al. 2017, arXiv:1706.04599).",
    )
    calibration: list[CalibrationBin] = Field(description="The bins behind `ece`.")
    label_mass: Value | None = Field(
        None,
        description="Mean probability that the model gives to all labels together, each as a whole answer with its "
        "end.",
    )


class AurocPair(Record):
    """Two labels told apart by the difference of their log-probabilities."""

    first: str
    second: str
    auroc: Value


class Discrimination(Record):
    """Discrimination of a model whatever its label prior; none without log-probabilities."""

    lineages: list[Lineage] = Field(description="As in `scores`.")
    task: str
    split: str
    auroc: Value = Field(
        description="Mean over all pairs of labels (Hand & Till 2001, doi:10.1023/A:1010920819831), on the log-odds "
        "of each pair; pairs of which a label has no item are left out, in resamples too, and it is missing if there "
        "is no other."
    )
    pairs: list[AurocPair] = Field([], description="Empty over several runs, and for more than 20 labels.")
    log_loss: Value = Field(description="Mean negative log-probability of the gold label, renormalized; nats.")
    log_loss_fitted: Value = Field(
        description="The same after adding `bias`; missing on validation itself, and if that was not scored or lacks a "
        "label. On every resample the bias is fitted anew on resampled validation items, by one Newton step (Andrews "
        "2002, doi:10.1111/1468-0262.00271)."
    )
    bias: list[float] | None = Field(
        None,
        description="Per-label bias that minimizes validation log loss (between -20 and 20 nats), first label 0; left "
        "out over several runs and if not fitted.",
    )
