"""Settings of scoring and of statistics."""

from typing import Literal

from pydantic import Field

from stagewise.config.base import MAX_SEED, Number, Settings, Whole
from stagewise.config.tasks import SplitName
from stagewise.measures import MEASURES, PRIMARY


class Evaluation(Settings):
    """Scoring of adapters and of the base model."""

    splits: list[SplitName] = Field(["test"], min_length=1, description="Splits that every adapter is scored on.")
    method: Literal["likelihood", "generation"] = Field(
        "likelihood",
        description="Label by log-likelihood within the task's label set, or by greedy generation (as in the "
        "published experiment).",
    )
    parse: Literal["strict", "published"] = Field(
        "strict",
        description="Reading of generated text. `strict`: a label word and nothing else, or invalid. `published`: the "
        "first word that begins a label, so that 'No Stress' counts as 'no' (as in the published experiment).",
    )
    max_new_tokens: Whole = Field(8, ge=1, le=4096, description="Tokens generated per item.")
    tokens_per_batch: Whole = Field(
        4096, ge=64, le=10_000_000, description="Padded tokens per scoring batch, in training too."
    )


class Statistics(Settings):
    """Confidence intervals and tests."""

    confidence: Number = Field(0.95, gt=0.5, lt=1, description="Coverage of all intervals.")
    bootstrap_samples: Whole = Field(2000, ge=100, le=1_000_000, description="Bootstrap resamples.")
    seed: Whole = Field(0, ge=0, le=MAX_SEED, description="Seed of the resampling.")
    calibration_bins: Whole = Field(
        15, ge=2, le=1000, description="Equal-width bins of the expected calibration error."
    )
    primary_measure: Literal[*MEASURES] = Field(
        PRIMARY,
        description="Measure that the report claims something about: of the final adapters per task, and what was kept "
        "or forgotten. Choose it before the first result: every other measure is shown without a claim.",
    )
    primary_outcome: Literal["tasks", "average"] = Field(
        "tasks",
        description="Claims of the report. `tasks`: on each task, what was learnt, kept and retained, and arms against "
        "their reference, probes included. `average`: arms against their reference by the mean over all tasks learnt "
        "after the last stage, one claim an arm, and of the reference arms what they learnt, kept, and lost on probes; "
        "all else is shown without a claim, so that the correction is over few tests.",
    )
    auroc_margin: Number = Field(
        0.02,
        gt=0,
        le=0.5,
        description="Largest fall of AUROC that counts as none, as a share (0.02 is two points): 'a shifted label "
        "prior' is said only where a larger one is excluded.",
    )
    reference: str | None = Field(None, description="Arm that the others are compared with; by default the first.")
    forgetting: Literal["paired", "published"] = Field(
        "paired",
        description="`paired`: the same items before and after. `published` adds the published experiment's "
        "comparison (test before, validation after), marked as not comparable.",
    )
