"""The report's figures of probes about one adapter, for the card that it is exported with."""

from collections.abc import Iterator

from stagewise.lineage import BASE
from stagewise.metrics.build import main_split
from stagewise.metrics.schema import Probe, ProbeChange, Value
from stagewise.pipeline.export_report import BESIDE, Reported, describe_claim, metric_args, with_interval
from stagewise.report.tables.number_format import decimal, interval, signed_decimal
from stagewise.training.model_card import table


def probe_changes(reported: Reported) -> Iterator[tuple[Probe, ProbeChange]]:
    """Yield each probe that the adapter has a paired change of since the untuned model, once."""
    for probe in reported.metrics.probes:
        for change in reported.metrics.probe_changes:
            if (change.probe, change.against) == (probe.probe, "base") and reported.recipe.lineage in change.lineages:
                yield probe, change
                break


def probe_table(reported: Reported) -> str:
    """Table of the probes: the adapter, the untuned model, and the paired change between them; empty without any."""
    rows = []
    for probe, change in probe_changes(reported):
        runs = f" (mean of {len(change.lineages)} runs)" if len(change.lineages) > 1 else ""
        measure = f"{probe.title}{'' if probe.higher_is_better else ', lower is better'}"
        values = [
            decimal(_value(reported, probe, lineage).value) for lineage in (reported.recipe.lineage, reported.base)
        ]
        changed = with_interval(change.change, signed_decimal) + runs
        claim = describe_claim(reported, "probe", probe.probe, probe.measure)
        rows.append((probe.probe, probe.items, measure, *values, changed, claim))
    head = ("probe", "items", "measure", "this adapter", "untuned model", "change", "claim")
    return table(head, rows) if rows else ""


def probe_results(reported: Reported) -> list:
    """The adapter's values of probes that are no tasks as the hub's `EvalResult`; those of tasks are among `scores`."""
    from huggingface_hub import EvalResult

    results = []
    for probe in reported.metrics.probes:
        value = _value(reported, probe, reported.recipe.lineage)
        if probe.kind == "task" or value.value is None:
            continue
        bracket = interval(value.low, value.high, decimal)
        confidence = f", {100 * reported.metrics.experiment.confidence:g} % {bracket}" if bracket else ""
        results.append(
            EvalResult(
                task_type="text-generation",
                dataset_type=probe.probe,
                dataset_name=probe.probe,
                metric_type=probe.measure,
                metric_name=f"{probe.title}{confidence}",
                metric_value=round(value.value, 6),
                metric_args=metric_args(
                    reported, probe.items, value, {BESIDE[BASE]: _value(reported, probe, reported.base)}
                ),
            )
        )
    return results


def _value(reported: Reported, probe: Probe, lineage: str) -> Value:
    """A lineage's own value of a probe."""
    if probe.kind != "task":
        scores = reported.metrics.probe_scores
        return next((s.value for s in scores if s.probe == probe.probe and s.lineages == [lineage]), Value())
    split = main_split(reported.metrics.experiment.splits)
    for score in reported.metrics.scores:
        if (score.lineages, score.task, score.split, score.rule) == ([lineage], probe.probe, split, "argmax"):
            return score.measures.get(probe.measure) or Value()
    return Value()
