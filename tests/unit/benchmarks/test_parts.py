"""Parts of the benchmark that read what Snakemake leaves, and the command that runs them."""

import json

import pytest

from benchmarks import run
from benchmarks.default_run import model_loads, read_jobs, training_peak
from benchmarks.growth import SHAPES, overlay, planned_jobs
from benchmarks.levers import LEVERS, compare, packed, padded
from benchmarks.measure import Run
from benchmarks.records import read_records
from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.lineage import lineage_tree
from tests.helpers.project_copy import ROOT


def test_a_job_counts_once_however_many_outputs_it_has(tmp_path):
    def record(name, rule, log, start, end):
        values = {"rule": rule, "log": [log], "starttime": start, "endtime": end}
        (tmp_path / name).write_text(json.dumps(values))

    record("a", "predict", "logs/results/base/predict.log", 10.0, 14.5)
    record("b", "predict", "logs/results/base/predict.log", 10.0, 14.5)
    record("c", "predict", "logs/results/base/seed-0/pubmedqa/predict.log", 5.0, 6.0)
    record("d", "metrics", "logs/results/metrics.log", 20.0, None)
    assert read_jobs(tmp_path) == {
        "predict": [
            {"job": "results/base/seed-0/pubmedqa/predict", "wall_seconds": 1.0},
            {"job": "results/base/predict", "wall_seconds": 4.5},
        ]
    }


def test_jobs_that_copied_a_result_loaded_no_model(tmp_path):
    for name, text in {"a": "80 items in 3 s", "b": "made before, copied"}.items():
        (tmp_path / "logs" / name).mkdir(parents=True)
        (tmp_path / "logs" / name / "predict.log").write_text(text)
    assert model_loads(tmp_path, "predict") == 1


def test_the_largest_training_is_the_one_that_counts(tmp_path):
    for number, peak in enumerate([1_500_000_000, 1_700_000_000]):
        folder = tmp_path / str(number) / "adapter"
        folder.mkdir(parents=True)
        (folder / "training.json").write_text(json.dumps({"peak_memory_bytes": peak}))
    assert training_peak(tmp_path) == 1700


@pytest.mark.parametrize("size", [10, 100])
def test_experiments_of_a_size_have_as_many_adapters(size):
    config = validate(Config, merge(read_yaml(ROOT / "config.yaml"), overlay(*SHAPES[size])), "growth")
    assert len(lineage_tree(config)) == size


def test_planned_jobs_are_those_of_the_total():
    def output(text):
        return Run(1, 1, 1, text)

    assert planned_jobs(output("job  count\npredict  4\ntotal       12\n")) == 12
    assert planned_jobs(output("Nothing to be done")) == 0


def test_packed_rows_have_the_gradients_of_padded_ones():
    import torch

    from tests.helpers.tiny_llama import build_model

    model = build_model()
    rows = [torch.randint(5, 300, (length,), generator=torch.Generator().manual_seed(length)) for length in (9, 14, 6)]
    hidden = []
    for batch, answers in (padded(rows), packed(rows)):
        states = model.model(**batch).last_hidden_state[answers]
        hidden.append(states)
        assert torch.equal(batch["input_ids"][answers[0], answers[1] + 1], torch.cat([row[-2:] for row in rows]))
    assert torch.allclose(*hidden, atol=1e-5)


def test_a_lever_is_compared_with_the_step_that_it_changes():
    def runs(cpu, wall):
        return [{"tokens_per_cpu_second": cpu, "tokens_per_second": wall}]

    levers = compare({"plain": runs(100, 50), "packing": runs(88, 80), "passive": runs(1, 2)})
    assert levers["packing"]["ratio"] == 0.88
    assert levers["passive"]["ratio"] is None  # two threads were not measured
    assert all(lever.to in LEVERS for lever in LEVERS.values())


def test_the_budgets_of_all_parts_leave_make_bench_under_twenty_minutes(capsys, monkeypatch):
    monkeypatch.setenv("STAGEWISE_MIRROR", "/data")
    assert run.main(["--dry-run"]) == 0
    minutes = [float(line.split()[-2]) for line in capsys.readouterr().out.splitlines()]
    assert len(minutes) == len(run.PARTS) and sum(minutes) < 20


def test_parts_of_real_data_are_left_out_without_it(capsys, monkeypatch):
    monkeypatch.delenv("STAGEWISE_MIRROR", raising=False)
    assert run.main(["--dry-run"]) == 0
    assert "real" not in capsys.readouterr().out
    assert run.main(["scoring-real"]) == 2
    assert "set STAGEWISE_MIRROR" in capsys.readouterr().err
    assert run.main(["memory"]) == 2
    assert "'memory' is no part of the benchmark; choose from matrix-rate" in capsys.readouterr().err


def test_a_part_that_is_measured_is_recorded(tmp_path, monkeypatch, capsys):
    part = run.Part(lambda folder, settings, progress: {"rows": settings["rounds"]}, 1)
    monkeypatch.setattr(run, "PARTS", {"startup": part})
    monkeypatch.setattr(run, "write_record", lambda *values: run_record(tmp_path, *values))
    assert run.main(["startup", "--rounds", "3", "--threads", "1"]) == 0
    (record,) = read_records(tmp_path)["startup"].values()
    assert record["rows"] == 3 and record["settings"] == {"rounds": 3, "threads": 1} and record["seconds"] >= 0


def run_record(folder, *values):
    from benchmarks.records import write_record

    return write_record(*values, folder)
