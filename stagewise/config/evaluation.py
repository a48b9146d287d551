"""Settings of scoring and of statistics."""

from typing import Literal

from pydantic import Field

from stagewise.config.base import Settings
from stagewise.config.tasks import SplitName


class Evaluation(Settings):
    """How adapters and the base model are scored."""

    splits: list[SplitName] = Field(["test"], min_length=1, description="Splits that every adapter is scored on.")
    method: Literal["likelihood", "generation"] = Field(
        "likelihood",
        description="Label by log-likelihood within the task's label set, or (the published way) by greedy generation.",
    )
    parse: Literal["strict", "published"] = Field(
        "strict",
        description="How generated text is read: exactly one label word or invalid; or the published reading, which "
        "takes the first word that starts like a label, so that 'No Stress' counts as 'no'.",
    )
    max_new_tokens: int = Field(8, ge=1, description="Tokens generated per item.")
    tokens_per_batch: int = Field(4096, ge=64, description="Padded tokens per scoring batch.")


class Statistics(Settings):
    """Intervals and tests."""

    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of every interval.")
    bootstrap_samples: int = Field(2000, ge=100, description="Bootstrap resamples.")
    seed: int = Field(0, description="Seed of the resampling.")
    calibration_bins: int = Field(15, ge=2, description="Equal-width bins of the expected calibration error.")
    reference: str | None = Field(
        None, description="Arm that the others are compared with; the first that is declared if not given."
    )
    forgetting: Literal["paired", "published"] = Field(
        "paired",
        description="Forgetting on the same items before and after; `published` adds the published comparison "
        "(test before, validation after), marked as not comparable.",
    )
