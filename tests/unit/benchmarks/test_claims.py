"""A small run of the benchmark that checks claims by simulation; `python -m benchmarks.claims` is the full one."""

import numpy as np
import pytest

from benchmarks.claims import Accuracies, Cell, Row, is_false, main, measure, simulate
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.scores import ScoreTable


@pytest.mark.parametrize("cell", [Cell(6, 80, 1, 3), Cell(6, 80, 3, 3), Cell(4, 90, 3, 0, clusters=True)], ids=str)
def test_claims_hold_in_simulated_studies(cell):
    row = measure(cell, studies=24, seed=3)
    assert row.failures(24) == [] and row.false <= 0.1
    if cell.runs == 1:
        # The rules before claimed something of arms, or four changed items to be a change, in many of the same studies.
        assert row.earlier_false > 0.07


def test_a_row_that_does_not_hold_says_why():
    row = Row(Cell(8, 80, 3, 0), 0.2, 0.9, 0.1, 0.5, 0.0, 0.1, 0.5)
    assert [problem.split(" in ")[0] for problem in row.failures(400)] == [
        "a false claim",
        "intervals cover",
        "a detectable effect is found",
        "power 10.0%, earlier 50.0%",
    ]
    assert Row(Cell(8, 80, 3, 0), 0.05, 0.95, 0.5, 0.9, 0.4, 0.1, 0.8).failures(400) == []


@pytest.mark.parametrize("outcome", ["tasks", "average"])
def test_the_table_prints_every_cell(outcome, capsys):
    few = ["--studies", "4", "--arms", "3", "--items", "30", "--runs", "2", "--noise", "0", "--processes", "1"]
    main([*few, "--clusters", "no", "--outcome", outcome])
    *_, line = capsys.readouterr().out.splitlines()
    assert line.startswith("| 3 | 30 | 2 | 0 | – |")
    # Of means over tasks the earlier rules claimed nothing.
    assert ("false" in line.split("|")[9]) == (outcome == "tasks")


def test_the_short_cut_to_accuracy_gives_the_reports_own_draws():
    study = simulate(Cell(3, 40, 2, 3, clusters=True), [1, 2])
    scores = study.scores(0)
    full = ScoreTable(study.predictions, DecisionRules(study.predictions, {}, {}), scores.bootstrap)
    assert isinstance(scores.scores, Accuracies)
    ours, theirs = (table("run-1/arm-2", "first", "test").measures["accuracy"] for table in (scores.scores, full))
    assert ours.value == theirs.value
    assert np.allclose(ours.draws, theirs.draws, atol=1e-6)


def test_a_claim_of_the_wrong_sign_is_false():
    assert is_false("better", 0.0) and is_false("worse", 0.1) and is_false("better", -0.1)
    assert not is_false("better", 0.1) and not is_false("not shown", 0.1) and not is_false("not claimed", 0.0)
