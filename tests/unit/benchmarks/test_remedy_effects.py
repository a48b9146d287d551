"""The record of remedies' effects holds what the runs say, and the table shows it."""

from types import SimpleNamespace

import pytest

from benchmarks import remedy_effects, tables
from tests.helpers.remedy_effects import Case, Effect, Run
from tests.unit.benchmarks.test_tables import BASE

PLAIN = [Run(0.1, 1.0, 0.5), Run(0.2, 0.9, 0.7)]
WITH = [Run(0.6, 0.9, 0.6), Run(0.8, 0.8, 0.8)]
ANCHOR = Case({"anchor": {"strength": 1}}, (0, 1), (-1, 1), reason="made up")
BALANCED = Case({"balanced": {}}, (0, 1), (-1, 1), rare_label=True)


def record() -> dict:
    study = SimpleNamespace(effect=lambda name, case: Effect(WITH, PLAIN))
    cases = {name: remedy_effects.measure(study, name, case) for name, case in (("anchor", ANCHOR), ("b", BALANCED))}
    plain = remedy_effects.means(PLAIN)
    settings = {"settings": {"seeds": 2, "confidence": 0.95}}
    return BASE | settings | {"first": plain, "sequential": plain, "rare_label": plain, "cases": cases}


def test_a_case_is_recorded_with_its_means_and_intervals():
    case = record()["cases"]["anchor"]
    assert (case["kept"], case["learnt"], case["cpu_seconds"]) == (0.7, 0.85, 0.7)
    # Differences 0.5 and 0.6: their mean, and 12.706 standard errors of 0.05 to both sides.
    assert case["effects"]["kept"] == pytest.approx([0.55, 0.55 - 12.7062 * 0.05, 0.55 + 12.7062 * 0.05], abs=1e-4)
    assert case["effects"]["both"][0] == pytest.approx(0.225)


def test_the_table_shows_every_case_under_its_own_figures():
    lines = tables.TABLES["remedy-effects"]({"remedy-effects": {"m": record()}}).splitlines()
    row = "| anchor | strength 1 | 0.70 | 0.85 | +0.55 [-0.09, +1.19] | -0.10 [-0.10, -0.10] |"
    assert any(line.startswith(row) for line in lines)
    assert "`anchor` is no clear gain for both tasks together: made up." in lines
    head = next(n for n, line in enumerate(lines) if line.startswith("| remedy | settings | rare label | other labels"))
    assert lines[head + 2].startswith("| b | defaults | 0.70 |")


def test_one_seed_is_refused(capsys):
    assert remedy_effects.main(["--seeds", "1"]) == 2
    assert "--seeds must be at least 2" in capsys.readouterr().err
