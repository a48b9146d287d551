"""What every record has in common, and the words that several records use."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MAJORITY, TFIDF, TFIDF_BALANCED = "majority", "tfidf", "tfidf-balanced"

BASELINES = (MAJORITY, TFIDF, TFIDF_BALANCED)

INVALID = "invalid"

Lineage = str

MeasureName = Literal["accuracy", "macro_f1"]


class Record(BaseModel):
    """A record: no unknown key, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Measure(Record):
    """A number, or null and the reason why there is none."""

    value: float | None = Field(description="The number; null where it cannot be computed.")
    reason: str | None = Field(None, description="Why a number is null.")


class Estimate(Measure):
    """A number with the interval at `experiment.confidence` around it."""

    low: float | None = Field(None, description="Lower bound of the interval; null where there is none.")
    high: float | None = Field(None, description="Upper bound of the interval; null where there is none.")
