"""Look-ups of probes: which an arm has, their measures, values and changes."""

import math

from stagewise.lineage import BASE
from stagewise.metrics.schema import Claim, Probe, ProbeChange, ReportMetrics, Value
from stagewise.report.measures import ShownMeasure

BITS_PER_BYTE = "bits_per_byte"


class ShownProbes:
    """Probes by name, in the order of the experiment; empty without probes."""

    def __init__(self, metrics: ReportMetrics, measures: dict[str, ShownMeasure]):
        """`measures` are those of the tasks."""
        self.records: dict[str, Probe] = {record.probe: record for record in metrics.probes}
        self._changes, self._task_measures = metrics.probe_changes, measures
        self._values = {(*score.lineages, score.probe): score.value for score in metrics.probe_scores}
        self._learnt: dict[str, set[str]] = {}
        for step in metrics.arms:
            self._learnt.setdefault(step.arm, set()).update(step.tasks)

    def __bool__(self) -> bool:
        return bool(self.records)

    def __iter__(self):
        return iter(self.records)

    def without_probes(self, tasks: list[str]) -> list[str]:
        """Tasks that are no probe, or that some arm learns."""
        return [task for task in tasks if task not in self.records or any(task in x for x in self._learnt.values())]

    @property
    def among_tasks(self) -> bool:
        """True if some probe is a task."""
        return any(record.kind == "task" for record in self.records.values())

    def of_arm(self, arm: str) -> list[str]:
        """Probes that the arm does not learn."""
        return [probe for probe in self.records if probe not in self._learnt[arm]]

    def measure(self, probe: str) -> ShownMeasure:
        """The probe's measure: of a task a registered one."""
        record = self.records[probe]
        if record.kind == "task":
            return self._task_measures[record.measure]
        unit = " bits" if record.measure == BITS_PER_BYTE else ""
        limits = record.range or (-math.inf, math.inf)
        return ShownMeasure(record.measure, record.title, limits, record.higher_is_better, 0, unit)

    def measure_of(self, claim: Claim) -> ShownMeasure:
        """The measure that a claim is about."""
        record = self.records.get(claim.task)
        if record is None or record.kind == "task":
            return self._task_measures[claim.measure]
        return self.measure(claim.task)

    def item_value(self, lineages: list[str], probe: str) -> Value | None:
        """Value of one lineage, or of several over their runs, on a probe with one score per item."""
        return self._values.get((*dict.fromkeys(lineages), probe))

    def change(self, arm: str, probe: str, stage: int, against: str = BASE) -> Value | None:
        """Paired change after a stage since the untuned model (``base``) or the stage before (``before``).

        None if one model answers before and after, and at the first stage since the stage before.
        """
        for record in self._changes:
            if (record.probe, record.against, record.stage) == (probe, against, stage) and arm in record.arms:
                return record.change
        return None

    def changes(self, probe: str, against: str = BASE) -> list[ProbeChange]:
        """Changes of a probe, adapters that several arms share once."""
        return [record for record in self._changes if (record.probe, record.against) == (probe, against)]
