"""Costs of commands, sides that take turns, and ratios of medians."""

import sys

import pytest

from benchmarks.measure import Progress, alternate, median, ratio, run_command
from stagewise.errors import InputError


def test_a_command_is_measured_with_its_output_and_environment(monkeypatch):
    monkeypatch.setenv("REMOVED", "here")
    code = "import os; x = bytes(200_000_000); print(os.environ.get('REMOVED'), os.environ['ADDED'])"
    run = run_command([sys.executable, "-c", code], without=["REMOVED"], ADDED="there")
    assert run.output == "None there\n"
    assert run.costs["peak_mb"] > 200
    assert 0 < run.cpu_seconds and 0 < run.costs["wall_seconds"] == round(run.wall_seconds, 3)


def test_a_command_that_fails_is_an_error_with_its_last_words():
    with pytest.raises(InputError, match="ended with 3.*\n.*no such item"):
        run_command([sys.executable, "-c", "import sys; sys.stderr.write('no such item'); sys.exit(3)"])


def sides(order: list, seconds: float = 0.0) -> dict:
    return {
        name: lambda number, name=name: order.append((name, number)) or {"wall_seconds": seconds + number}
        for name in "AB"
    }


def test_sides_take_turns(capsys):
    order = []
    runs = alternate(sides(order), 2, Progress("part", 100))
    assert order == [("A", 0), ("B", 0), ("A", 1), ("B", 1)]
    assert runs == {"A": [{"wall_seconds": 0}, {"wall_seconds": 1}], "B": [{"wall_seconds": 0}, {"wall_seconds": 1}]}
    assert "[part] round 2 of 2: B: 1.0 s wall; at most 1.7 min left" in capsys.readouterr().err


def test_a_round_that_the_budget_has_no_room_for_is_left_out():
    order = []
    alternate(sides(order), 5, Progress("part", -1))
    assert order == [("A", 0), ("B", 0)]
    alternate(sides(order), 5, Progress("part", -1), needed_rounds=2)
    assert len(order) == 2 + 4


def test_a_ratio_is_that_of_the_medians():
    runs = {"ours": [{"s": 1.0}, {"s": 2.0}, {"s": 30.0}], "theirs": [{"s": 5.0}, {"s": 6.0}, {"s": 7.0}]}
    assert median(runs["ours"], "s") == 2
    assert ratio(runs, "theirs", "ours", "s") == 3
