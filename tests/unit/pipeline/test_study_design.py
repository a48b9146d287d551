"""`python -m scripts.design`: its table, its picture, and what it refuses."""

import json

import pytest

from scripts.design import main
from stagewise.data.raw_items import read_items
from stagewise.pipeline import planned_items
from tests.helpers import fake_results as made
from tests.helpers.refusals import check_refusal


def run(tmp_path, *arguments):
    return main(["--picture", str(tmp_path / "design.svg"), *arguments])


def test_the_default_experiment_counts_its_own_test_items(tmp_path, capsys):
    assert run(tmp_path) == 0
    out = capsys.readouterr().out
    assert out.startswith("sample: 1 run; 80 test items of pubmedqa and 80 test items of dreaddit in groups of")
    assert "A report of 17 claims; 4 claims are about what is kept or about arms" in out
    assert "| any | " in out and "With one run claims are about these very adapters" in out
    assert out.endswith(f"Picture: {tmp_path / 'design.svg'}\n")


def test_the_table_and_the_picture_of_a_study_that_is_not_yet_fetched(tmp_path, capsys):
    overlay = ["--configfile", "experiments/remedies.yaml", "--items", "pubmedqa=500", "dreaddit=715"]
    assert run(tmp_path, *overlay, "--noise", "1", "3", "--effect", "10") == 0
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith(("| 1 |", "| 3 |"))]
    assert len(rows) == 4 and "To find 10 points, seeds" in out
    few, more = (float(row.split("|")[3]) for row in rows[:2])
    assert 0 < few < more < 20
    picture = (tmp_path / "design.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg") and picture.count("training noise") == 2
    assert "pubmedqa: kept since it was learnt, 500 items" in picture


def test_a_mean_over_tasks_in_two_orders_is_planned(tmp_path, capsys):
    overlay = tmp_path / "average.yaml"
    arms = made.SWEPT | {"rehearsal": None}
    values = {
        "arms": arms,
        "orders": made.ORDERS,
        "statistics": {"primary_outcome": "average"},
        "seeds": [0, 1, 2, 3, 4],
    }
    values |= {"evaluation": {"splits": ["validation", "test"]}}
    overlay.write_text(json.dumps(values), encoding="utf-8")
    items = ["--items", "pubmedqa=500", "dreaddit=715"]
    assert run(tmp_path, "--configfile", str(overlay), *items, "--noise", "2", "--effect", "5") == 0
    out = capsys.readouterr().out
    header = next(line for line in out.splitlines() if line.startswith("| Training noise"))
    assert [cell.strip() for cell in header.split("|")[2:-1]] == [
        "pubmedqa: kept since it was learnt",
        "dreaddit: kept since it was learnt",
        "mean over tasks: against sequential-forward",
        "mean over tasks: against sequential-reverse",
    ]
    # Two tasks are learnt in each order; of an arm, one claim in each.
    assert "A report of 10 claims; 6 claims are about what is kept" in out
    assert "Its noise on two tasks correlates by 0.5." in out
    row = next(line for line in out.splitlines() if line.startswith("| 2 |"))
    kept, _, mean, _ = (float(cell) for cell in row.split("|")[2:-1])
    assert mean < kept
    picture = (tmp_path / "design.svg").read_text(encoding="utf-8")
    assert "mean over tasks: against sequential-forward, 1215 items" in picture


def test_claims_about_probes_are_planned(tmp_path, capsys):
    overlay = tmp_path / "probes.yaml"
    values = {"arms": {"sequential": {"stages": [made.SECOND]}, "rehearsal": None}}
    values |= {"probes": {"tasks": ["pubmedqa"], "harness": ["arc_easy"], "texts": {"prose": "prose.txt"}}}
    overlay.write_text(json.dumps(values), encoding="utf-8")
    items = ["--configfile", str(overlay), "--items", "pubmedqa=500", "dreaddit=715"]
    assert run(tmp_path, *items, "--effect", "5") == 0
    out = capsys.readouterr().out
    assert "A report of 6 claims; 3 claims are about what is kept, about probes or about arms" in out
    assert "| Training noise | pubmedqa (probe): against the untuned model |" in out
    assert run(tmp_path, *items, "arc_easy=2376", "--effect", "5") == 0
    counted = capsys.readouterr().out
    assert "arc_easy (probe): against the untuned model |" in counted and "2376 test items of arc_easy" in counted
    (one, few), (other,) = (
        [float(cell) for cell in next(x for x in text.splitlines() if x.startswith("| any")).split("|")[2:-1]]
        for text in (counted, out)
    )
    assert few < one == other
    assert run(tmp_path, *items, "prose=50") == 2
    assert "'prose' is no task of an arm or probe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--items", "nothing=5"], ("'nothing' is no task of an arm or probe", "pubmedqa, dreaddit")),
        (["--configfile", "missing.yaml"], ("missing.yaml",)),
        (["--configfile", "experiments/real.yaml"], ("or give --items pubmedqa=NUMBER",)),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, says):
    # Whatever is fetched in this checkout.
    monkeypatch.setattr(planned_items, "read_items", lambda name, task: read_items(name, task, tmp_path))
    code = run(tmp_path, *arguments)
    check_refusal(code, capsys.readouterr().err, *says)
    assert not (tmp_path / "design.svg").exists()


@pytest.mark.parametrize("argument", ["--noise=150", "--disagreement=0", "--items=pubmedqa", "--accuracy=100"])
def test_numbers_that_are_none_are_refused(tmp_path, argument, capsys):
    with pytest.raises(SystemExit) as refusal:
        run(tmp_path, argument)
    assert refusal.value.code == 2
