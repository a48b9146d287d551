"""Probes: what every adapter is scored on although no stage of its arm learns it."""

from typing import Literal

from pydantic import Field

from stagewise.metrics.schema.base import Lineage, Record, Value


class Probe(Record):
    """A probe. Of one that is a task, `scores` holds the scores; of any other, `probe_scores`."""

    probe: str
    kind: Literal["task", "harness", "text"] = Field(
        description="`task`: one of `tasks`, by its labels. `harness`: a task of lm-evaluation-harness. `text`: a "
        "held-out text, in bits per byte."
    )
    group: str | None = Field(
        None, description="Name of the group of harness tasks whose items these are, if there are several."
    )
    measure: str = Field(description="Of a task the primary measure, of any other its own.")
    title: str = Field(description="The measure's name inside a sentence.")
    range: tuple[float, float] | None = Field(
        None, description="Smallest and largest possible value; (0, 1) if it is a share. Left out if not known."
    )
    higher_is_better: bool
    items: int
    checksum: str = Field(description="SHA-256 of the items, or of the task's split.")


class ProbeScore(Record):
    """Value of a probe with one score per item: the weighted mean of the scores."""

    lineages: list[Lineage] = Field(
        description="`base` or an adapter's lineage; or one adapter per run, in the order of `experiment`."
    )
    probe: str
    value: Value


class ProbeChange(Record):
    """Paired change of a probe between two points of an arm that does not learn it, on the same items.

    Nothing is claimed of it by itself: `claims` of the kind `probe` are about the last stage against the untuned model.
    """

    arms: list[str] = Field(description="Arms that pass through these adapters.")
    probe: str
    stage: int = Field(description="Stage after which it is.")
    lineages: list[Lineage] = Field(description="Who answers after that stage, one a run.")
    against: Literal["base", "before"] = Field(
        description="`base`: since the untuned model. `before`: since the stage before; left out of the first stage, "
        "where it is the same."
    )
    against_lineages: list[Lineage]
    change: Value
    p: float | None = Field(
        None,
        description="Two-sided, over items, of these adapters alone and without any correction: exact for right and "
        "wrong answers, of 9,999 drawn patterns for the scores of items. Left out of a task by a measure without an "
        "exact test; its claims have one.",
    )
