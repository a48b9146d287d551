"""Setup of the experiment: arms, adapters, data, trainings, scoring, cost and annotator agreement."""

from typing import Any, Literal

from pydantic import Field

from stagewise.metrics.schema.base import Lineage, Record, Value, Values


class MeasureRecord(Record):
    """A measure of this file."""

    name: str = Field(description="Its key in every record.")
    title: str = Field(description="Its name inside a sentence.")
    range: tuple[float, float] = Field(description="Smallest and largest possible value.")
    higher_is_better: bool
    test: str | None = Field(None, description="Test of a paired difference; left out if there is none.")


class Experiment(Record):
    """Settings of the experiment and versions behind its metrics."""

    name: str = Field(description="Name of the experiment.")
    sample: bool = Field(description="Some task ran on an embedded sample, so nothing here is a scientific result.")
    model: str = Field(description="Name of the base model.")
    model_origin: dict[str, Any] = Field(
        description="Where the base model came from, as configured; `(local)` is a folder of one machine."
    )
    model_fingerprint: str = Field(description="Fingerprint of the base model's files.")
    quantization: str = Field(description="Quantization of the frozen weights.")
    dtype: str = Field(description="Configured compute type.")
    compute_type: str | None = Field(None, description="Compute type of the recipes: `auto`, resolved.")
    seeds: list[int] = Field(description="Training seeds.")
    folds: list[int] | None = Field(
        description="Cross-validation folds; null without. The base model and the baselines are of the first."
    )
    reference: str = Field(description="The arm that the others are compared with.")
    references: dict[str, str] = Field(
        {},
        description="By arm: the arm that it is compared with, if that is another than `reference`; itself if it is a "
        "reference, of another order of tasks.",
    )
    primary_outcome: Literal["tasks", "average"] = Field("tasks", description="What claims are about; see the setting.")
    primary_measure: str = Field(
        description="The measure that claims are about; `task_score` if tasks have different ones (`tasks.measure`)."
    )
    splits: list[str] = Field(description="Splits that were scored.")
    method: str = Field(description="How answers were obtained: likelihood or generation.")
    parse: str | None = Field(description="How generated text was read; null for likelihood.")
    confidence: float = Field(description="Coverage of every interval.")
    bootstrap_samples: int = Field(description="Bootstrap resamples behind every bootstrap interval.")
    bootstrap_seed: int = Field(description="Seed of the resampling.")
    calibration_bins: int = Field(description="Equal-width bins of the calibration error.")
    auroc_margin: float = Field(description="Largest fall of AUROC that counts as none.")
    packages: dict[str, str] = Field(description="Versions that computed these metrics; training has its own.")
    config: dict[str, Any] = Field(
        description="The resolved configuration, without credentials in URLs and paths of one machine."
    )


class ArmStage(Record):
    """One step along an arm: which adapter the arm has after that stage."""

    arm: str
    seed: int
    fold: int | None
    stage: int = Field(description="0 is the untuned base model.")
    tasks: list[str] = Field(description="What this stage learnt; empty at stage 0.")
    lineage: Lineage = Field(description="The adapter that the stage left.")
    answers: dict[str, Lineage] = Field(description="Who answers each task: this adapter, or each task's own.")


class AdoptedRecord(Record):
    """An adapter or model that a stage took from elsewhere, as it was; nothing of it was trained here."""

    kind: Literal["adapter", "model"] = Field(description="A LoRA adapter, or a fully fine-tuned model.")
    origin: dict[str, Any] = Field(description="Where it came from; `(local)` is a folder of one machine.")
    files: dict[str, str] = Field(description="SHA-256 of its files by name.")


class AdapterRecord(Record):
    """One adapter of the lineage tree."""

    lineage: Lineage
    parent: Lineage = Field(description="Lineage of the parent; `base` for the untuned model.")
    stage: int
    task: str = Field(description="What its stage learnt; several tasks are joined by ` + `.")
    tasks: list[str] = Field(description="The same, one by one.")
    seed: int
    fold: int | None
    remedies: dict[str, dict[str, Any]] = Field(description="Settings of the stage's remedies by name.")
    settings: dict[str, dict[str, Any]] = Field(
        {},
        description="By group, `training` or `lora`: settings in which its stage differs from `experiment.config`, by "
        "its own keys or what its sweep set.",
    )
    sources: list[Lineage] = Field(description="Adapters it was merged from without training; empty if it was trained.")
    adopted: AdoptedRecord | None = Field(None, description="What its stage took from elsewhere; null if it was made.")
    arms: list[str] = Field(description="Arms that pass through this adapter.")
    fingerprint: str = Field(description="Fingerprint of its recipe.")
    bytes: int | None = Field(description="Size of its weights file.")


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
    kind: str | None = Field(
        None, description="`ordinal`, `multiple_choice`, `multi_label` or `generation`; left out for `classification`."
    )
    measure: str | None = Field(
        None,
        description="The task's own measure, which claims about it are about; left out where it is "
        "`experiment.primary_measure`.",
    )
    labels: list[str] = Field(
        description="Answer words in report order; letters of `multiple_choice`, none of `generation`."
    )
    no_label: str | None = Field(
        None, description="Answer to an item of `multi_label` without a label; left out if it is `none`."
    )
    majority: str = Field(
        description="Most frequent label of the training split (the first, where two tie); of `multi_label` the set, "
        "of `generation` a checksum of the text."
    )
    files: list[RawFile]
    rows: int = Field(description="Rows read from the raw files.")
    set_aside: list[SetAside]
    split: str = Field(description="Name of the configured split.")
    duplicates_within_split: int = Field(description="Repeated texts found inside one split, compared normalized.")
    duplicates_within_split_exact: int | None = Field(None, description="Those that repeat to the letter.")
    duplicates_across_splits: int = Field(description="Repeated texts found in two splits, compared normalized.")
    duplicates_across_splits_exact: int | None = Field(None, description="Those that repeat to the letter.")
    groups_across_splits: int | None = Field(description="Groups that stand in two splits; null without groups.")


class LabelCount(Record):
    """Number of items with a label."""

    label: str
    items: int
    share: float | None = Field(description="Share of the split; null for an empty split.")


class SplitRecord(Record):
    """One split of one task."""

    task: str
    split: str
    items: int
    items_before_limit: int = Field(description="Items before the experiment's limit cut them down.")
    labels: list[LabelCount] = Field(description="None of `generation`; of `multi_label` an item counts once a label.")
    sha256: str = Field(description="Checksum of the split's file.")


class TrainingRecord(Record):
    """Training of one adapter; values that the training did not write are left out."""

    lineage: Lineage
    stage: int
    task: str
    seed: int
    fold: int | None
    steps: int | None = Field(None, description="Optimizer steps that were done.")
    planned_steps: int | None = Field(
        None,
        description="Steps that were planned, more than `steps` if early stopping ended the training; null in results "
        "of older versions.",
    )
    epochs: float | None = Field(None, description="Passes over the training items that `steps` are.")
    final_loss: float | None = Field(None, description="Training loss at the end, nats per counted token.")
    mean_token_accuracy: float | None = None
    best_metric: str | None = Field(None, description="Validation metric that picked the checkpoint.")
    best_value: float | None = Field(None, description="Its value at `best_step`.")
    best_step: int | None = Field(None, description="Step of the checkpoint that was kept; null if it was the last.")
    start_value: float | None = Field(
        None, description="The metric before the first step, whose weights are never a checkpoint to keep."
    )
    best_eval_loss: float | None = None
    best_eval_step: int | None = None
    seconds: float | None = None
    tokens: int | None = Field(None, description="Tokens trained on, padding aside.")
    extra_tokens: int | None = Field(
        None, description="Tokens that remedies read beside, such as a teacher's or a Fisher estimate's."
    )
    tokens_per_second: float | None = None
    peak_memory_bytes: int | None = None
    trainable_parameters: int | None = None
    items: int | None = None
    rehearsed: int | None = Field(None, description="Items of earlier tasks among them.")
    shortened: int | None = Field(None, description="Items whose prompt had to be shortened.")
    kept_share: float | None = Field(
        None, description="Share of the merged updates' squared norm that the rank of a merge keeps, over all layers."
    )
    control_tokens: dict[str, int] | None = Field(
        None,
        description="By `task.split`: items whose text held control tokens of the model, read as plain text; null in "
        "results of older versions.",
    )
    device: str | None = None
    dtype: str | None = None
    resumed_from_step: int | None = None
    packages: dict[str, str] = {}


class ScoringRecord(Record):
    """Scoring run behind one lineage's predictions."""

    lineage: Lineage
    method: str
    items: int | None = Field(None, description="Items answered, all tasks and splits together.")
    tokens: int | None = Field(None, description="Prompt tokens.")
    seconds: float | None = Field(None, description="Time for all of them.")
    device: str | None = None
    dtype: str | None = None
    changed_answers: dict[str, int] | None = Field(
        None,
        description="By task: validation answers that differ from those that the training scored with the same "
        "weights, for example on another device; none if there is nothing to compare.",
    )


class Cost(Record):
    """Cost of one arm as if it were alone, mean over its runs: all stages, with everything they are made from.

    Of an arm with a sweep it is that of the chosen settings; `tried_…` are of all that were tried.
    """

    arm: str
    tried: int = Field(1, description="Combinations of settings that were tried; 1 without a sweep.")
    tried_tokens: float | None = Field(
        None, description="Tokens trained on in one run for all that was tried, stages in common once."
    )
    tried_seconds: float | None = Field(None, description="Seconds, likewise.")
    trainings: float = Field(description="Trainings of one run, shared ones included.")
    steps: float = Field(0, description="Optimizer steps that were done, over all its stages.")
    planned_steps: float | None = Field(
        None, description="Steps that were planned, if early stopping ended a stage before; null otherwise."
    )
    steps_over_reference: float | None = Field(None, description="Ratio of `steps` to the reference arm's.")
    merges: float
    adopted: float = Field(0, description="Adapters and models from elsewhere, whose training is in no other figure.")
    tokens: float = Field(description="Tokens trained on, over all its stages.")
    extra_tokens: float = Field(description="Tokens that remedies read beside.")
    seconds: float
    adapters: int = Field(description="Adapters that must be kept to answer every task.")
    bytes: int | None = Field(description="Size of their weights; null if a file is not at hand.")
    seconds_over_reference: float | None = Field(description="Ratio of `seconds` to the reference arm's.")
    tokens_over_reference: float | None


class Variant(Record):
    """One combination of settings that an arm's sweep tried; the report is about the chosen one."""

    arm: str
    variant: str = Field(description="What the sweep set, such as `strength=0.1`.")
    chosen: bool
    validation: Value = Field(
        description="What decides: the mean of the primary measure over the tasks learnt, on validation, after the "
        "last stage; the mean over runs. The best is chosen, the first of equals. No test item takes part."
    )
    lineages: list[Lineage] = Field(description="After the last stage, one a run in the order of `experiment`.")
    final: dict[str, Values] = Field(
        description="Scores after the last stage on the main split by task, for the curve of the trade-off. Nothing is "
        "chosen by them and nothing claimed."
    )
    steps: float = Field(description="Of one run, all stages, the mean over runs, as in `costs`.")
    tokens: float
    extra_tokens: float
    seconds: float


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
    mean: Value = Field(
        description="Mean agreement with the gold label: what one annotator reaches, a ceiling to be read with care."
    )
    groups: list[AgreementGroup] = Field(
        description="Lowest agreement first: below 1 and 1 for a label; for a share its values, or quartiles where "
        "there are more than four."
    )
