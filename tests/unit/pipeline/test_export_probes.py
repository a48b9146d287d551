"""Probes in the card of an exported adapter: their values, and the change since the untuned model."""

import pytest
from huggingface_hub import ModelCard

from scripts import export
from stagewise.metrics.schema import read_metrics
from stagewise.report.tables.number_format import interval, signed_decimal
from tests.helpers.exported_study import SECOND, write_study
from tests.helpers.report_experiments import PROBES


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_model):
    """Results with a report that has probes; read only."""
    return write_study(tmp_path_factory.mktemp("study"), tiny_model, **PROBES)


def test_every_probe_stands_in_the_card_with_its_change_and_claim(study, tmp_path, tiny_model):
    argv = [study / SECOND, "--output", tmp_path / "out", "--model", tiny_model, "--base", "someone/tiny-llama"]
    assert export.main(list(map(str, argv))) == 0
    card, metrics = ModelCard.load(tmp_path / "out" / "README.md"), read_metrics(study / "report_metrics.json")
    changes = {c.probe: c.change for c in metrics.probe_changes if c.lineages == [SECOND] and c.against == "base"}
    assert set(changes) == {"topics", "arc_easy", "prose"}  # the adapter's arm learns pubmedqa
    claims = {c.task: c for c in metrics.claims if c.kind == "probe" and SECOND in c.lineages}
    for probe, change in changes.items():
        (row,) = (
            line for line in card.text.splitlines() if line.startswith(f"| {probe} |") and "[" in line.split("|")[6]
        )
        assert f"| {signed_decimal(change.value)} {interval(change.low, change.high, signed_decimal)} |" in row
        words = {"worse": "a loss is shown", "better": "a gain is shown"}
        assert words.get(claims[probe].verdict, claims[probe].verdict) in row
    values = {s.probe: s.value.value for s in metrics.probe_scores if s.lineages == [SECOND]}
    results = {r.dataset_name: r for r in card.data.eval_results if r.task_type == "text-generation"}
    assert {name: result.metric_value for name, result in results.items()} == pytest.approx(values, abs=1e-6)
    assert "lower is better" in card.text and results["prose"].metric_args["items"] == 60
