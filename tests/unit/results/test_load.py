"""A finished experiment in a notebook: its frames agree with its records, and nothing is written."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import stagewise
from stagewise.errors import InputError
from stagewise.provenance.sealed_json import write_sealed
from tests.helpers import report_experiments
from tests.helpers.project_copy import ROOT
from tests.helpers.records import find

FIRST, SECOND = report_experiments.FIRST, report_experiments.SECOND
SAMPLE = ROOT / "docs" / "example-reports" / "sample"


@pytest.fixture(scope="module")
def small():
    return stagewise.load(report_experiments.experiment("small"))


@pytest.fixture(scope="module")
def two_seeds():
    return stagewise.load(report_experiments.experiment("arms"))


def run(code: str, cwd=ROOT) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)


def test_importing_the_package_imports_nothing_else():
    heavy = "('numpy', 'pandas', 'pydantic', 'torch', 'yaml')"
    code = f"import sys, stagewise; print([m for m in sys.modules if m in {heavy} or m.startswith('stagewise.')])"
    assert run(code).stdout.strip() == "[]"


@pytest.mark.parametrize("first", ["", "import torch; "], ids=["without torch", "after torch"])
def test_results_load_from_any_folder_with_and_without_torch(tmp_path, first):
    relative = os.path.relpath(SAMPLE, tmp_path)
    code = (
        f"{first}import os, sys, stagewise\n"
        f"r = stagewise.load({relative!r})\n"
        "os.chdir('/')\n"
        "assert r.figure('earlier-tasks').svg and len(r.scores)\n"
        "print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = run(code, tmp_path)
    assert done.stdout.split() == [str(bool(first)), "False"], done.stderr


def test_scores_are_those_of_the_records(two_seeds):
    values = report_experiments.metrics("arms")
    scores = two_seeds.scores
    assert len(scores) == sum(len(score["measures"]) for score in values["scores"])
    keys = {"task": "pubmedqa", "split": "test", "rule": "argmax", "measure": "accuracy"}
    one = scores.loc[(scores[list(keys)] == pd.Series(keys)).all(axis=1) & (scores.lineage == FIRST)]
    record = report_experiments.score(values, FIRST, "pubmedqa")["measures"]["accuracy"]
    (row,) = one.itertuples()
    assert (row.value, row.low, row.high) == (record["value"], record["low"], record["high"])
    assert (row.stage, row.seed, row.runs, row.items) == (1, 0, 1, 120)
    mean = scores.loc[(scores[list(keys)] == pd.Series(keys)).all(axis=1) & (scores.lineage == "base/seed-*/pubmedqa")]
    assert mean.runs.tolist() == [2] and mean.seed.isna().all()
    assert not scores.duplicated(["lineage", "task", "split", "rule", "measure"]).any()


def test_a_missing_number_has_its_reason(small):
    baselines = small.scores.query("lineage == 'majority' and measure == 'brier'")
    assert len(baselines) and baselines.value.isna().all() and baselines.reason.notna().all()


def test_arms_have_a_row_for_every_stage(two_seeds):
    values = report_experiments.metrics("arms")
    rows = two_seeds.arms.query("arm == 'sequential' and task == 'pubmedqa' and rule == 'argmax' and split == 'test'")
    accuracy = rows[rows.measure == "accuracy"].set_index("stage").value
    expected = [
        report_experiments.arm_score(values, "sequential", "pubmedqa", stage=stage)["accuracy"]["value"]
        for stage in range(3)
    ]
    assert accuracy.tolist() == expected


def test_changes_are_those_of_the_records(small):
    record = find(small.metrics.model_dump()["forgetting"], comparison="paired", before_split="test")
    row = small.changes.query("kind == 'forgotten' and split == 'test' and measure == 'accuracy'").iloc[0]
    change = record["changes"]["accuracy"]
    assert (row.value, row.low, row.high) == (change["value"], change["low"], change["high"])
    assert (row.lineage, row.against) == (SECOND, FIRST)
    assert (row.lost, row.gained, row.p) == tuple(record["pairs"][key] for key in ("lost", "gained", "p"))


def test_a_paired_change_is_the_reports_own(small):
    """Between any two lineages, by the same resamples of the items."""
    told = small.changes.query("kind == 'forgotten' and split == 'test'").set_index("measure")
    computed = small.paired(SECOND, FIRST).query("task == 'pubmedqa'").set_index("measure")
    columns = ["value", "low", "high", "lost", "gained", "p"]
    pd.testing.assert_frame_equal(computed[columns], told[columns])
    every = small.paired().query("task == 'pubmedqa'").drop_duplicates(["lineage", "against"])
    assert list(zip(every.lineage, every.against, strict=True)) == [(FIRST, "base"), (SECOND, FIRST)]


def test_claims_summaries_costs_and_curves(two_seeds):
    values = report_experiments.metrics("arms")
    claims = two_seeds.claims
    assert claims.verdict.tolist() == [claim["verdict"] for claim in values["claims"]]
    assert claims.p_corrected.tolist() == pytest.approx([claim.get("p_corrected") for claim in values["claims"]])
    transfer = two_seeds.summaries.query(
        "statistic == 'backward_transfer' and arm == 'sequential' and rule == 'argmax'"
    )
    record = find(values["arm_summaries"], arm="sequential", rule="argmax")["backward_transfer"]
    assert transfer.value.tolist() == [record[name].get("value") for name in transfer.measure]
    assert two_seeds.costs.arm.tolist() == [cost["arm"] for cost in values["costs"]]
    losses = two_seeds.curves.query(f"lineage == '{FIRST}' and split == 'validation' and metric == 'loss'")
    assert losses.step.tolist() == [0, 10, 20, 30, 40] and losses.value.min() == 0.5


def test_probes_have_their_values_and_changes():
    probed = stagewise.load(report_experiments.experiment("probes"))
    frame = probed.probes
    values, changes = (frame[frame.kind == kind] for kind in ("value", "change"))
    assert set(values.scored) == {"harness", "text"}  # those of tasks are among the scores
    assert {"task", "harness", "text"} == set(changes.scored)
    record = next(r for r in probed.metrics.probe_changes if (r.probe, r.against, r.stage) == ("prose", "base", 2))
    same = changes.query("probe == 'prose' and against == 'base' and stage == 2")
    row = same[same.lineage == record.lineages[0]].iloc[0]
    assert (row.value, row.low, row.high, row.p) == (*_interval(record.change), record.p)
    assert (row.measure, row["items"]) == ("bits_per_byte", 60)
    assert "probe_change" in set(probed.summaries.statistic)


def _interval(value) -> tuple:
    return value.value, value.low, value.high


def test_any_other_part_is_a_frame_too(small):
    splits = small.records("splits")
    assert set(splits.columns) >= {"task", "split", "items", "sha256"} and len(splits) == len(small.metrics.splits)
    with pytest.raises(InputError, match="has no list 'experiment'; there are measures, arms, "):
        small.records("experiment")


def test_predictions_and_items(small):
    answers = small.predictions(FIRST, "pubmedqa")
    assert (
        answers.right.mean()
        == small.scores.query(
            f"lineage == '{FIRST}' and task == 'pubmedqa' and split == 'test' and rule == 'argmax' "
            "and measure == 'accuracy'"
        ).value.item()
    )
    assert (answers.filter(like="logprob:").idxmax(axis=1) == "logprob:" + answers.prediction).all()
    assert small.items("pubmedqa").id.tolist() == answers.id.tolist()


def test_a_figure_by_its_id(small):
    figure = small.figure("earlier-tasks")
    assert figure._repr_svg_().startswith("<svg") and "earlier-tasks" in repr(figure)
    assert figure.data.change.tolist() == [
        small.changes.query("kind == 'forgotten' and split == 'test' and measure == 'accuracy'").value.item()
    ]
    assert set(small.figures) >= {"earlier-tasks", "scores", "curves"}
    with pytest.raises(InputError, match="there is no figure 'none' in these results; there are earlier-tasks, "):
        small.figure("none")


def test_what_it_shows_of_itself(small):
    assert small.verdict[0] in small._repr_html_() and "arms sequential" in repr(small)
    assert "<td>" in small._repr_html_()


def test_nothing_is_written(small, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(small.path.parent, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    results = stagewise.load(folder)
    results.scores, results.curves, results.figure("curves"), results.paired(SECOND), results._repr_html_()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_metrics_alone_have_scores_and_say_what_is_missing(tmp_path, small):
    path = shutil.copy(small.path, tmp_path / "report_metrics.json")
    alone = stagewise.load(path)
    assert alone.scores.equals(small.scores)
    for ask in (lambda: alone.curves, alone.predictions, alone.items, lambda: alone.paired(FIRST)):
        with pytest.raises(InputError, match="there; (load|name) the results folder"):
            ask()


def test_wrong_names_are_refused(small):
    for ask, sentence in (
        (
            lambda: small.predictions("base/seed-7"),
            "there is no lineage 'base/seed-7' in these results; there are base",
        ),
        (lambda: small.predictions(FIRST, "chess"), "there is no task 'chess'"),
        (lambda: small.predictions(FIRST, "pubmedqa", "train"), "there is no split 'train'"),
        (lambda: small.paired("base"), "there is no adapter 'base'"),
    ):
        with pytest.raises(InputError, match=sentence):
            ask()


def test_what_cannot_be_loaded_is_refused_in_one_sentence(tmp_path, small):
    with pytest.raises(InputError, match="no finished results, report_metrics.json is not there; run the workflow"):
        stagewise.load(tmp_path)
    with pytest.raises(InputError, match="is missing"):
        stagewise.load(tmp_path / "none")
    path = tmp_path / "report_metrics.json"
    values = json.loads(small.path.read_text())
    write_sealed(path, values | {"schema_version": 1})
    with pytest.raises(InputError, match="has schema_version 1 and this report reads"):
        stagewise.load(tmp_path)
    path.write_text(small.path.read_text().replace('"items":120', '"items":121', 1))
    with pytest.raises(InputError, match=r"does not match its own checksum \(edited\?\)"):
        stagewise.load(tmp_path)


def test_other_predictions_than_the_reports_are_refused(tmp_path, small):
    folder = tmp_path / "results"
    shutil.copytree(small.path.parent, folder)
    file = folder / "base" / "predictions" / "pubmedqa.test.csv"
    file.write_text(file.read_text() + "\n")
    results = stagewise.load(folder)
    with pytest.raises(InputError, match=r"pubmedqa\.test\.csv: does not match its receipt"):
        results.predictions("base", "pubmedqa")
    (folder / "data" / "dreaddit" / "test.jsonl").write_text("")
    with pytest.raises(InputError, match="test.jsonl: not the items that base answered"):
        results.items("dreaddit")
    values = json.loads(results.path.read_text())
    write_sealed(results.path, values | {"inputs": {"files": {"base/predictions/receipt.json": "0" * 64}}})
    with pytest.raises(InputError, match="not the predictions that report_metrics.json was computed from"):
        stagewise.load(folder).predictions("base", "dreaddit")
