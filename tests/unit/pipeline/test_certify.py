"""Two runs compared byte by byte, and the surroundings that they must not depend on."""

import ast
import json
import shutil

import pytest

from scripts import certify
from stagewise.errors import InputError
from stagewise.pipeline.certify import compare_bytes, run_twice
from stagewise.provenance.sealed_json import seal
from tests.helpers.fake_results import config, write_results

ADAPTER = "base/seed-0/pubmedqa/adapter"
PREDICTIONS = "base/seed-0/pubmedqa/predictions/pubmedqa.test.csv"


def edit_json(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(seal(values) if "checksum" in values else values, indent=2))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    sizes = {"train": 12, "validation": 6, "test": 12}
    results = write_results(tmp_path_factory.mktemp("results") / "out", config(), sizes=sizes)
    (results / "report_metrics.json").write_text(json.dumps(seal({"costs": [{"arm": "a", "seconds": 3.5}]})))
    for name, text in (
        (f"{ADAPTER}/README.md", "| time | 3 s |\n| rank | 8 |\n"),
        (f"{ADAPTER}/training_log.csv", "1,1.0,train,loss,0.5\n1,1.0,train,train_runtime,3.5\n"),
        ("report.html", "3 s"),
        ("preflight.json", '{"found": "3 GB free"}'),
        ("checkpoints/a", "3 s"),
    ):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(text)
    edit_json(results / ADAPTER / "receipt.json", lambda values: values["files"].update({"README.md": "1" * 64}))
    return results


@pytest.fixture
def other(original, tmp_path):
    return shutil.copytree(original, tmp_path / "other")


def problems(original, other):
    return {entry.name: entry.problem for entry in compare_bytes(original, other) if entry.problem}


def test_times_alone_are_no_difference(original, other, capsys):
    edit_json(other / ADAPTER / "training.json", lambda values: values.update(seconds=1.0, tokens_per_second=9.9))
    edit_json(other / ADAPTER / "receipt.json", lambda values: values["files"].update({"README.md": "0" * 64}))
    edit_json(other / "report_metrics.json", lambda values: values["costs"][0].update(seconds=1.0))
    (other / ADAPTER / "README.md").write_text("| time | 4 s |\n| rank | 8 |\n")
    (other / ADAPTER / "training_log.csv").write_text("1,1.0,train,loss,0.5\n1,1.0,train,train_runtime,9.5\n")
    (other / "report.html").write_text("4 s")
    (other / "preflight.json").write_text('{"found": "4 GB free"}')
    (other / "checkpoints/a").write_text("4 s")
    assert problems(original, other) == {}
    assert certify.main(["--against", str(original), str(other)]) == 0
    said = capsys.readouterr().out
    assert "adapters" in said and "Promised for" in said and "differs" not in said


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (f"{ADAPTER}/adapter_model.safetensors", lambda raw: raw[:5] + b"\0" + raw[6:], "byte 5 differs"),
        (f"{ADAPTER}/adapter_model.safetensors", lambda raw: raw[:-1], "other lengths"),
        (PREDICTIONS, lambda raw: raw.replace(b"0.1", b"0.2", 1), None),
        ("data/pubmedqa/train.jsonl", lambda raw: raw + b"\n", "other lengths"),
        (f"{ADAPTER}/README.md", lambda raw: raw.replace(b"8", b"9"), "other lines"),
        (f"{ADAPTER}/training_log.csv", lambda raw: raw.replace(b"0.5", b"0.6"), "other lines"),
        (f"{ADAPTER}/training.json", lambda raw: raw.replace(b'"steps": 40', b'"steps": 41'), "steps 40 -> 41"),
        ("report_metrics.json", lambda raw: raw.replace(b'"a"', b'"b"'), 'costs[0].arm "a" -> "b"'),
        ("metrics.json", lambda raw: None, "missing in the first run"),
        ("base/seed-0/new", lambda raw: None, "missing in the first run"),
    ],
)
def test_any_other_byte_is_named_and_fails(original, other, capsys, name, change, problem):
    path = other / name
    path.write_bytes(b"{}" if not path.exists() else change(path.read_bytes()))
    found = problems(original, other)
    assert list(found) == [name] and problem in (found[name], None)
    assert certify.main(["--against", str(original), str(other)]) == 1
    assert f"differs: {name}: {found[name]}\n" in capsys.readouterr().out


def test_a_file_that_one_run_did_not_make_is_named(original, other):
    (other / PREDICTIONS).unlink()
    assert problems(original, other) == {PREDICTIONS: "missing in the second run"}


def test_nothing_to_compare_is_no_certificate(tmp_path):
    assert certify.main(["--against", str(tmp_path), str(tmp_path)]) == 1


SNAKEFILE = """
import os, time
rule all:
    output: "out/data/same.jsonl", "out/data/other.jsonl"
    run:
        mask = os.umask(0); os.umask(mask)
        seen = [os.getcwd(), os.path.expanduser("~"), time.tzname[0], mask, hash("a"), os.stat("config.yaml").st_mtime]
        open(output[0], "w").write("{}")
        open(output[1], "w").write(str([str(value) for value in seen]))
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    for name, text in (("Snakefile", SNAKEFILE), ("config.yaml", ""), ("out/data/same.jsonl", "stale"), (".git/a", "")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_both_runs_start_from_scratch_in_surroundings_of_their_own(project, tmp_path):
    first, second = run_twice(project, tmp_path / "scratch", "out", ["--cores", "1"])
    seen = [ast.literal_eval((out / "data/other.jsonl").read_text()) for out in (first, second)]
    assert all(one != two for one, two in zip(*seen, strict=True)), (
        "folder, home, zone, umask, hash seed and age differ"
    )
    assert (first / "data/same.jsonl").read_text() == "{}" and not (first.parent / ".git").exists()
    assert problems(first, second) == {"data/other.jsonl": problems(first, second)["data/other.jsonl"]}
    assert (project / "out/data/same.jsonl").read_text() == "stale", "the project's own results stay"


def test_a_run_that_fails_is_told_with_its_end(project, tmp_path):
    (project / "Snakefile").write_text("rule all:\n    shell: 'echo the reason; false'\n")
    with pytest.raises(InputError, match="run 1 of 2 failed") as error:
        run_twice(project, tmp_path / "scratch", "out", ["--cores", "1"])
    assert "the reason" in str(error.value)
