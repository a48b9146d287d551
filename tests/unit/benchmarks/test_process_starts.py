"""The number of processes that load the base model; tests/workflow/test_arms.py counts those of a real run."""

from benchmarks import process_starts
from benchmarks.process_starts import Starts, separate_starts, shared_starts
from stagewise.config.load_config import load
from tests.helpers.project_copy import ROOT


def test_the_three_seed_study_loads_the_model_less_often(monkeypatch, capsys):
    config = load(ROOT / "config.yaml", ROOT / "benchmarks" / "twenty_arms.yaml")
    assert separate_starts(config) == Starts(trainings=54, merges=15, predictions=70)
    assert shared_starts(config, 1) == Starts(trainings=54, merges=15, predictions=1)
    # Of 15 first stages, and for each seed of 11 children of one parent and of one child each of two others.
    assert shared_starts(config, 4) == Starts(trainings=4 + 3 * (3 + 1 + 1), merges=15, predictions=1)
    monkeypatch.chdir(ROOT)
    assert process_starts.main(["--trainings", "4"]) == 0
    assert "| a process each | 54 | 15 | 70 | 139 |" in capsys.readouterr().out


def test_the_rule_allows_what_the_benchmark_counts():
    rule = (ROOT / "rules" / "adapters.smk").read_text(encoding="utf-8").partition("rule train_adapter:")[2]
    assert "trainings=4," in rule.partition("rule ")[0]
