"""Record, Value and the names that several records share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer

from stagewise.measures import MEASURES, TASK_SCORE

MAJORITY, TFIDF, TFIDF_BALANCED = "majority", "tfidf", "tfidf-balanced"

BASELINES = (MAJORITY, TFIDF, TFIDF_BALANCED)

INVALID = "invalid"

Lineage = str

RuleName = Literal["argmax", "prior-adjusted", "batch-calibrated", "contextual"]

RULES: tuple[str, ...] = ("argmax", "prior-adjusted", "batch-calibrated", "contextual")


class _RegisteredNames:
    """Lists the measures that are registered when a JSON schema is generated."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema, handler):
        return {"enum": [*MEASURES, TASK_SCORE], "type": "string"}


MeasureName = Annotated[str, _RegisteredNames]


class Record(BaseModel):
    """A record: no unknown key, no NaN, no infinity. A key that defaults to null is left out if it is null."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _leave_out_nulls(self, handler):
        fields = type(self).model_fields
        return {
            key: value
            for key, value in handler(self).items()
            if value is not None or key not in fields or fields[key].is_required() or fields[key].default is not None
        }


class Value(Record):
    """A number with its interval, of one run or as the mean over several.

    Intervals have the coverage `experiment.confidence`. With one run they are percentile bootstrap intervals over
    items, or over groups of items where a task has groups. With several they are Student's t intervals over crossed
    random effects of items and runs, the items' part from the same resamples; arms tell the noise between runs
    together. The same resamples serve every model, rule and arm, so differences are paired.
    """

    value: float | None = Field(None, description="The number; left out if it cannot be computed.")
    low: float | None = Field(None, description="Lower bound of the interval; left out if there is none.")
    high: float | None = Field(None, description="Upper bound of the interval; left out if there is none.")
    reason: str | None = Field(None, description="Why the number or its interval is missing.")
    runs: int | None = Field(None, description="Runs behind the mean; left out for one run.")
    training_share: float | None = Field(
        None,
        description="Share of the mean's variance that is training noise; left out for one run, and without any "
        "variance.",
    )


Values = dict[MeasureName, Value]
