"""The whole preflight: table, sentences, exit code, record."""

import json
import os

from scripts import preflight
from stagewise.pipeline.preflight.check import Finding
from stagewise.pipeline.preflight.context import Context
from stagewise.pipeline.preflight.early import check_at_start
from stagewise.pipeline.preflight.run import run_preflight


def test_a_sound_experiment_passes_and_leaves_a_record(tiny_experiment, capsys):
    assert tiny_experiment.problems() == []
    assert run_preflight(Context(tiny_experiment.config()), "out/preflight.json") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "preflight of tiny" and not [line for line in lines if line.startswith("error")]
    record = json.loads((tiny_experiment.folder / "out/preflight.json").read_text())
    assert {row["check"] for row in record["checks"]} >= {"prompts", "adapted layers", "disk", "memory", "leaks"}


def test_a_failure_ends_with_code_2_and_no_record(tiny_experiment, capsys):
    tiny_experiment.findings()
    settings = tiny_experiment.folder / "settings.json"
    settings.write_text(tiny_experiment.config(lora={"target_modules": ["lm_head"]}).model_dump_json())
    assert preflight.main(["--settings", str(settings), "--record", "out/preflight.json"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    # Layers, memory and disk meet the same refusal.
    assert len(errors) == 1 and "lora.target_modules names 'lm_head', the output head" in errors[0]
    assert not (tiny_experiment.folder / "out/preflight.json").exists()


def test_before_model_and_splits_are_there_the_rest_is_checked(tiny_experiment, capsys):
    config = tiny_experiment.config(logging={"report_to": ["mlflow"]})
    rules = ["fetch_model", "make_splits", "run_preflight", "train_adapter"]
    assert not check_at_start(config, rules, elsewhere=False)
    shown = capsys.readouterr().err
    assert "error: config: logging.report_to names 'mlflow'" in shown
    assert "waits for the model and the splits" in shown
    # Nothing is checked twice, and nothing if nothing is trained.
    assert check_at_start(config, ["run_preflight", "train_adapter"], elsewhere=False)
    assert check_at_start(config, ["make_splits"], elsewhere=False)
    assert capsys.readouterr().err == ""


def test_a_hub_model_that_is_here_needs_no_network(tiny_experiment, monkeypatch, capsys):
    monkeypatch.setattr("stagewise.pipeline.preflight.sources._at_the_hub", lambda *_: Finding("the hub was asked"))
    config = tiny_experiment.config(models={"tiny": {"path": None, "hub": "o/n", "revision": "0" * 40}})
    (tiny_experiment.folder / "models/tiny").mkdir(parents=True, exist_ok=True)
    (tiny_experiment.folder / "models/tiny/receipt.json").write_text("{}")
    check_at_start(config, ["make_splits", "run_preflight"], elsewhere=False)
    assert "the hub was asked" not in capsys.readouterr().err
    check_at_start(config, ["fetch_model", "make_splits", "run_preflight"], elsewhere=False)
    assert "the hub was asked" in capsys.readouterr().err


def test_what_only_trainings_need_cannot_stop_predictions(tiny_experiment):
    for lineage in ("base/seed-0/colours", "base/seed-0/colours/warmth"):
        receipt = tiny_experiment.folder / "out" / lineage / "adapter/receipt.json"
        receipt.parent.mkdir(parents=True)
        receipt.write_text("{}")
    changes = {"logging": {"report_to": ["mlflow"]}, "lora": {"target_modules": ["lm_head"]}}
    assert {verdict for verdict, _ in tiny_experiment.problems(planned=True, **changes)} == {"warning"}
    os.utime(receipt, (1, 1))  # as a plan marks a stale adapter
    assert {verdict for verdict, _ in tiny_experiment.problems(planned=True, **changes)} == {"failure"}
