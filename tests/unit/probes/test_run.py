"""The probe step: one load, right files, checked inputs, nothing done twice."""

import json

import pytest

from stagewise.models import load
from stagewise.models.receipts import model_receipt
from tests.helpers import tiny_llama
from tests.helpers.probe_step import TEXT, ProbeStep
from tests.helpers.refusals import check_refusal


@pytest.fixture
def step(tmp_path, tiny_model):
    return ProbeStep(tmp_path, tiny_model)


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    return tiny_llama.build_adapter(tmp_path_factory.mktemp("adapter"), tiny_model)


@pytest.fixture
def loads(monkeypatch):
    """One entry for each time that a base model was loaded."""
    entries, original = [], load.load_base
    monkeypatch.setattr(load, "load_base", lambda *given: entries.append(given) or original(*given))
    return entries


def test_files_and_receipt(step, capsys):
    assert step.run() == 0
    assert sorted(path.name for path in step.output.iterdir()) == ["prose.csv", "receipt.json"]
    table, receipt = step.table(), step.receipt()
    assert list(table) == ["id", "score", "weight"] and table.weight.sum() == len(TEXT.encode())
    probe = receipt["probes"]["prose"]
    expected = {"measure": "bits_per_byte", "higher_is_better": False, "kind": "text", "group": None}
    assert expected.items() <= probe.items() and probe["items"] == len(table) and len(probe["checksum"]) == 64
    inputs = receipt["inputs"]
    assert inputs["adapter"] is None and inputs["model"] == model_receipt(step.model)["fingerprint"]
    assert list(inputs["files"]) == ["texts/prose"] and inputs["behaviour"] == {"text probes": 1}
    assert str(step.folder) not in json.dumps(receipt)
    assert f"prose: bits_per_byte {step.value():.4f}, {len(table)} items" in capsys.readouterr().err


def test_a_finished_folder_is_left_alone_and_an_adapter_has_scores_of_its_own(step, adapter, loads, capsys):
    step.run()
    base, before = step.value(), (step.output / "receipt.json").read_bytes()
    capsys.readouterr()
    assert step.run() == 0 and "up to date" in capsys.readouterr().err and len(loads) == 1
    assert (step.output / "receipt.json").read_bytes() == before
    assert step.run(adapter=adapter) == 0 and len(loads) == 2
    assert abs(step.value() - base) > 1e-3 and step.receipt()["inputs"]["adapter"]["recipe"] == "f" * 64


def test_a_finished_probe_is_kept_when_another_is_added(step, loads, capsys):
    cache = ("--checkpoints", str(step.folder / "checkpoints"))
    one = step.settings()
    two = step.settings(texts=one["texts"] | {"more": {"path": str(step.text), "segment_tokens": 40}})
    step.run(one, None, *cache)
    first = (step.output / "prose.csv").read_bytes()
    capsys.readouterr()
    step.run(two, None, *cache)
    said = capsys.readouterr().err
    assert "more: bits_per_byte" in said and "prose: bits_per_byte" not in said and len(loads) == 2
    assert (step.output / "prose.csv").read_bytes() == first and set(step.receipt()["probes"]) == {"prose", "more"}
    step.run(one, None, *cache)
    assert "copied" in capsys.readouterr().err and len(loads) == 2


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"texts": {"prose": {"path": "X", "segment_tokens": 40}}}, True),
        ({"dtype": "bfloat16"}, True),
        ({"prompting": {"format": "plain"}}, False),
        ({"texts": {"prose": {"path": "X", "segment_tokens": 32, "sha256": None}}}, False),
    ],
)
def test_what_scores_depend_on(step, change, stale, capsys):
    step.run()
    if "texts" in change:
        change["texts"]["prose"]["path"] = str(step.text)
    capsys.readouterr()
    step.run(step.settings(**change))
    assert ("up to date" not in capsys.readouterr().err) == stale


def test_an_edited_text_is_scored_again(step):
    step.run()
    step.text.write_text(TEXT.replace("lake", "pond"), encoding="utf-8")
    before = step.table()
    step.run()
    assert not step.table().equals(before)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "byte 0 is not UTF-8; save the text of probes.texts.prose in it"),
        (b" \n", "the text of probes.texts.prose is empty"),
        (b"A calm day.", "probes.texts.prose: the text has 1 segment of 32 tokens"),
    ],
)
def test_a_text_that_cannot_be_scored_is_refused(step, capsys, content, says):
    step.text.write_bytes(content)
    check_refusal(step.run(), capsys.readouterr().err, says)
    assert not step.output.exists()


def test_scores_that_are_no_numbers_are_refused(step, capsys, monkeypatch):
    from stagewise.probes import texts

    monkeypatch.setattr(texts, "_summed_losses", lambda model, pad, rows, *others: [float("nan")] * len(rows))
    check_refusal(step.run(), capsys.readouterr().err, "log-probabilities of prose are not finite")
    assert not step.output.exists()


def test_a_folder_of_something_else_is_refused(step, capsys):
    step.output.mkdir()
    (step.output / "notes.txt").write_text("mine")
    check_refusal(step.run(), capsys.readouterr().err, "holds something else than probes")
    assert (step.output / "notes.txt").read_text() == "mine"
