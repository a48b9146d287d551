"""Stages from elsewhere in the report: their origin in place of a training, and what is not known of them."""

import pytest

from stagewise.metrics.overview import adapter_records
from stagewise.metrics.read_results import read_results
from stagewise.report import html, markdown
from stagewise.report.figures import curves
from stagewise.report.lookup import View
from stagewise.report.tables import arm_details, setup
from stagewise.report.text import verdicts
from tests.helpers import fake_results

COMMIT = "0123456789abcdef" * 2 + "01234567"
HUB, LATER = {"adapter": f"owner/mine@{COMMIT}", "learnt": "pubmedqa"}, {"task": "dreaddit"}
MODELS = {"whole": {"path": "whole"}}


def view_of(folder, seeds, **arms) -> View:
    values = {"arms": {"sequential": None} | arms, "models": MODELS, "seeds": seeds}
    values |= {"published": None, "statistics": {"bootstrap_samples": 200, "forgetting": "paired"}}
    return View(fake_results.experiment(folder, **values)[1], {})


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    mine, whole = {"stages": [HUB, LATER]}, {"stages": [{"model": "whole"}]}
    return view_of(tmp_path_factory.mktemp("one"), [0], mine=mine, whole=whole)


def test_origin_and_checksum_stand_in_place_of_a_training(shown):
    mine, whole = setup.adopted(shown).rows
    assert (mine[0].text, mine[2].text) == ("adopted-mine", f"owner/mine at {COMMIT}")
    assert (whole[1].text, whole[2].text) == ("fully fine-tuned model", "(local)")
    assert [row[0].text for row in setup.training(shown).rows] == ["adopted-mine → dreaddit"]
    assert [row[0].text for row in setup.losses(shown).rows] == ["adopted-mine → dreaddit"]
    assert curves.missing_reason(shown, "base/seed-0/adopted-mine") == "trained elsewhere"


def test_a_stage_that_goes_on_with_it_has_its_shape(tmp_path):
    settings = fake_results.config(arms={"sequential": None, "mine": {"stages": [HUB, LATER]}})
    results = read_results(settings, fake_results.write_results(tmp_path, settings))
    lineage = "base/seed-0/adopted-mine/dreaddit"
    shape = {"r": 3, "alpha": 6, "target_modules": ["q_proj"], "rslora": True}
    lora = settings.lora.model_copy(update=shape)
    results.recipes[lineage] = results.recipes[lineage].model_copy(update={"lora": lora})
    (record,) = (record for record in adapter_records(results) if record.lineage == lineage)
    assert record.settings["lora"] == shape  # and not the experiment's


def test_what_it_cost_is_from_elsewhere(shown):
    cells = {row[0].text.split()[-1]: row[1] for row in arm_details.cost(shown).rows}
    details = [cell.detail for cell in cells.values()]
    assert details == ["+ 1 from elsewhere", "+ 1 from elsewhere"]
    assert [cost.merges for cost in shown.metrics.costs] == [0, 0]
    assert [cost.trainings for cost in shown.metrics.costs] == [1, 0]


def test_arms_are_described_with_where_a_stage_comes_from(shown):
    rows = {row[0].text: row[1].text for row in setup.run(shown).rows}
    assert rows["Arm mine"] == "pubmedqa (from elsewhere) → dreaddit" and rows["Arm whole"] == "from elsewhere"
    pages = html.render(shown), markdown.render(shown)
    for page in pages:
        assert "from elsewhere, learnt pubmedqa" in page and "learns ," not in page


def test_one_adapter_in_several_runs_is_said(tmp_path, shown):
    assert "from elsewhere in all runs" not in verdicts.runs_remark(shown)
    one = view_of(tmp_path / "one", [0, 1, 2], mine={"stages": [HUB, LATER]})
    said = verdicts.runs_remark(one)
    expected = "The stage adopted-mine is one adapter from elsewhere in all runs: its training noise is in no interval."
    assert said.endswith(expected)
    each = HUB | {"adapter": "runs/{seed}", "name": "mine"}
    several = view_of(tmp_path / "several", [0, 1, 2], mine={"stages": [each, LATER]})
    assert "from elsewhere in all runs" not in verdicts.runs_remark(several)
