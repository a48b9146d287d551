"""Records of probes: each probe, its values, and its paired changes along the arms that do not learn it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from stagewise.lineage import BASE
from stagewise.measures import Measure
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import Resampled
from stagewise.metrics.comparisons import probes_of_arm
from stagewise.metrics.item_scores import ProbeTable
from stagewise.metrics.item_tests import p_over_items
from stagewise.metrics.read_results import ExperimentResults
from stagewise.metrics.schema import ArmStage, Probe, ProbeChange, ProbeScore, ReportMetrics, Value
from stagewise.metrics.task_measures import TaskMeasures


def probe_records(results: ExperimentResults, split: str) -> list[Probe]:
    """Record every probe: tasks first, then those with one score per item."""
    config, measures = results.config, results.measures
    records = [
        Probe(
            probe=task,
            kind="task",
            **_measure_keys(measures.own(task)),
            items=len(results.items_of(BASE, task, split)),
            checksum=results.checksum(BASE, task, split),
        )
        for task in config.probes.tasks
    ]
    return records + [
        Probe(
            probe=probe,
            kind=items.kind,
            group=items.group,
            **_measure_keys(items.measure),
            items=len(items),
            checksum=items.checksum,
        )
        for probe, items in results.item_scores.items()
    ]


def _measure_keys(measure: Measure) -> dict:
    finite = abs(measure.range[0]) < float("inf") and abs(measure.range[1]) < float("inf")
    keys = {"measure": measure.name, "title": measure.title, "higher_is_better": measure.higher_is_better}
    return keys | {"range": measure.range if finite else None}


def probe_scores(probes: ProbeTable, groups: list[list[str]]) -> list[ProbeScore]:
    """Record the value of every lineage on each probe with one score per item, then of `groups` over their runs."""
    bootstrap, records = probes.bootstrap, []
    for probe in probes:
        items = probes[probe]
        for lineage in items.scores:
            value = bootstrap.value(probes(lineage, probe), len(items))
            records.append(ProbeScore(lineages=[lineage], probe=probe, value=value))
        for lineages in groups:
            runs = [probes(lineage, probe) for lineage in lineages]
            value = bootstrap.over_runs(runs, len(items), items.measure.range).value
            records.append(ProbeScore(lineages=lineages, probe=probe, value=value))
    return records


@dataclass
class _Change:
    """Two points of an arm between which a probe may have changed: adapters one a run, and arms that share them."""

    probe: str
    stage: int
    last: bool
    against: str
    after: list[str]
    before: list[str]
    arms: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple:
        return self.probe, self.against, *self.after, *self.before


def probe_changes(arms: ArmScores, measures: TaskMeasures, seed: int) -> list[ProbeChange]:
    """Record the change of each probe since the untuned model and since the stage before, after every stage.

    Parameters
    ----------
    arms
        The arms and their scores.
    measures
        Those of probes that are tasks.
    seed
        Of drawn exchanges.
    """
    changes: dict[tuple, _Change] = {}
    for arm, change in _changes(arms):
        changes.setdefault(change.key, change).arms.append(arm)
    # Changes of one kind tell the noise between runs together, as claims do.
    kinds: dict[tuple, list[_Change]] = {}
    for change in changes.values():
        stage = None if change.last else change.stage
        kinds.setdefault((change.probe, change.against, stage), []).append(change)
    records = {}
    for members in kinds.values():
        probe = members[0].probe
        measure = arms.item_probes.measures.get(probe) or measures.own(probe)
        statistics = {
            c.key: _over_runs(arms, c.after, c, measure) - _over_runs(arms, c.before, c, measure) for c in members
        }
        spreads = arms.over_runs(statistics, [probe], measure, measure.difference_range)
        records |= {c.key: _record(arms, c, spreads[c.key].value, measure, seed) for c in members}
    return [records[key] for key in changes]


def _changes(arms: ArmScores) -> Iterator[tuple[str, _Change]]:
    """Yield every change of every arm; none where one model answers before and after."""
    for arm, runs in arms.steps.items():
        last = runs[0][-1].stage
        for probe in probes_of_arm(runs[0], dict.fromkeys([*arms.task_probes, *arms.item_probes])):
            for stage in range(1, last + 1):
                after, before, base = (
                    [run[number].answered_by[probe] for run in runs] for number in (stage, stage - 1, 0)
                )
                for against, other in (("base", base), ("before", before)):
                    if after != other and not (against == "before" and before == base):
                        yield arm, _Change(probe, stage, stage == last, against, after, other)


def _over_runs(arms: ArmScores, lineages: list[str], change: _Change, measure: Measure) -> Resampled:
    """Values of shape (runs,) and draws of shape (runs, samples)."""
    return Resampled.stack([arms.resampled(lineage, change.probe, measure.name) for lineage in lineages])


def _record(arms: ArmScores, change: _Change, value: Value, measure: Measure, seed: int) -> ProbeChange:
    return ProbeChange(
        arms=change.arms,
        probe=change.probe,
        stage=change.stage,
        lineages=change.after,
        against=change.against,
        against_lineages=change.before,
        change=value,
        p=_p(arms, change, measure, seed) if value.value is not None else None,
    )


def _p(arms: ArmScores, change: _Change, measure: Measure, seed: int) -> float | None:
    if change.probe in arms.item_probes:
        return arms.item_probes[change.probe].p_over_items(change.after, change.before, seed)[1]
    if not measure.is_accuracy:
        return None
    sides = (
        [arms.scores.predictions[name, change.probe, arms.split] for name in x] for x in (change.after, change.before)
    )
    return p_over_items([(tuple(sides), measure)], seed)[1]


def add_probes(flat: dict, metrics: ReportMetrics) -> None:
    """Add the probes to `flat`, by arm, probe and measure: the value after the last stage, and its change.

    The change is since the untuned model. Scores of probes that are tasks stand there already.
    """
    values = {(*score.lineages, score.probe): score.value for score in metrics.probe_scores}
    for record in metrics.probes:
        for arm, last in _last_stages(metrics).items():
            entry = flat.setdefault(arm, {}).setdefault(record.probe, {})
            answered = dict.fromkeys(step.answers[record.probe] for step in last)
            _add_value(entry, record.measure, values.get((*answered, record.probe)))
            for change in metrics.probe_changes:
                key = change.probe, change.against, change.stage
                if arm in change.arms and key == (record.probe, "base", last[0].stage):
                    _add_value(entry, f"{record.measure}_change", change.change)


def _last_stages(metrics: ReportMetrics) -> dict[str, list[ArmStage]]:
    """Each arm after its last stage, one record a run."""
    stages: dict[str, list[ArmStage]] = {}
    for step in metrics.arms:
        stages.setdefault(step.arm, []).append(step)
    last = {arm: max(step.stage for step in steps) for arm, steps in stages.items()}
    return {arm: [step for step in steps if step.stage == last[arm]] for arm, steps in stages.items()}


def _add_value(entry: dict, key: str, value: Value | None) -> None:
    if value is not None and value.value is not None:
        entry[key] = value.model_dump(include={"value", "low", "high"})
