"""The prediction step: one load, right files, checked inputs, nothing done twice."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stagewise.models.load import load_base, load_tokenizer
from stagewise.models.receipts import model_receipt, write_model_receipt
from stagewise.provenance.files import sha256_file
from tests.helpers import tiny_llama
from tests.helpers.prediction_step import TASKS, Bench, write_splits
from tests.helpers.refusals import check_refusal

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def bench(tmp_path, tiny_model):
    return Bench(tmp_path, tiny_model)


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    return tiny_llama.build_adapter(tmp_path_factory.mktemp("adapter"), tiny_model)


FILES = ["post.test.csv", "post.validation.csv", "trial.test.csv", "trial.validation.csv"]


def test_files_and_columns(bench, capsys):
    assert bench.run() == 0
    assert sorted(p.name for p in bench.output.iterdir()) == sorted([*FILES, "receipt.json"])
    assert not list(bench.folder.glob(".predictions*"))
    for task, spec in TASKS.items():
        for split in ("validation", "test"):
            table, items = bench.table(f"{task}.{split}"), bench.items(task, split)
            logprobs = [f"logprob:{word}" for word in spec["words"]]
            assert list(table) == ["id", "task", "split", "label", "prediction", "valid", *logprobs]
            assert list(table["id"]) == [item["id"] for item in items]
            assert list(table["label"]) == [item["label"] for item in items]
            assert set(table["task"]) == {task}
            assert set(table["split"]) == {split}
            assert table["valid"].all()
            best = table[logprobs].to_numpy().argmax(1)
            assert list(table["prediction"]) == [spec["words"][i] for i in best]
            assert (table[logprobs] < 0).all(axis=None)
    receipt = bench.receipt()
    assert receipt["inputs"]["adapter"] is None
    assert receipt["inputs"]["model"] == model_receipt(bench.model)["fingerprint"]
    assert receipt["method"] == "likelihood"
    assert receipt["items"] == 28
    assert receipt["tokens"] > 28 * 20
    assert sorted(receipt["files"]) == FILES
    assert "trial.test" in capsys.readouterr().err


def test_scores_agree_with_a_plain_computation(bench, tiny_model):
    """Every number of the files, with tokens made and scored here by transformers alone."""
    bench.run()
    model, tokenizer = load_base(tiny_model, "none", "float32"), load_tokenizer(tiny_model)
    for task, spec in TASKS.items():
        table = bench.table(f"{task}.test")
        for row, item in zip(table.to_dict("records"), bench.items(task, "test"), strict=True):
            messages = [{"role": "user", "content": spec["prompt"].rstrip("\n").format(**item["fields"])}]
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert len(prompt) < 240, "nothing is shortened here"
            for word in spec["words"]:
                answer = [*tokenizer(word, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
                with torch.no_grad():
                    logprobs = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
                parts = [logprobs[len(prompt) - 1 + i, token].item() for i, token in enumerate(answer)]
                expected = parts[0] if task == "trial" else sum(parts)
                assert row[f"logprob:{word}"] == pytest.approx(expected, abs=1e-4)


def test_the_same_for_any_batch_size(bench):
    bench.run(bench.settings(tokens_per_batch=64))
    before = {name: bench.table(name[:-4]) for name in FILES}
    (bench.output / "receipt.json").unlink()
    bench.run(bench.settings(tokens_per_batch=100_000))
    for name, table in before.items():
        pd.testing.assert_frame_equal(table, bench.table(name[:-4]), check_exact=False, atol=1e-4, rtol=0)


def test_numbers_survive_the_file_to_the_last_bit(bench, monkeypatch):
    from stagewise.inference import likelihood

    seen = []
    score = likelihood.score
    monkeypatch.setattr(likelihood, "score", lambda *a, **k: seen.append(score(*a, **k)) or seen[-1])
    bench.run()
    read = bench.table("trial.validation")[[f"logprob:{w}" for w in TASKS["trial"]["words"]]].to_numpy()
    content_free, scores = seen[:2]
    np.testing.assert_array_equal(read, scores)
    known = bench.receipt()["content_free"]["trial"]
    assert [entry["input"] for entry in known] == ["N/A", "[MASK]", ""]
    np.testing.assert_array_equal([entry["logprobs"] for entry in known], content_free)


def test_an_adapter_is_scored_and_named(bench, adapter):
    bench.run()
    before = bench.table("trial.test")
    assert bench.run(adapter=adapter) == 0
    after = bench.table("trial.test")
    assert (before["logprob:yes"] - after["logprob:yes"]).abs().max() > 1e-2
    receipt = bench.receipt()
    weights = sha256_file(adapter / "adapter_model.safetensors")
    assert receipt["inputs"]["adapter"] == {"recipe": "f" * 64, "weights": weights}


@pytest.fixture
def counted(monkeypatch):
    """Counts model loads."""
    loads = []
    load = load_base
    monkeypatch.setattr("stagewise.models.load.load_base", lambda *a, **k: loads.append(a) or load(*a, **k))
    return loads


@pytest.fixture
def other_adapter(tiny_model, tmp_path):
    """Another training of the same recipe, as on a GPU: the same fingerprint, other weights."""
    return tiny_llama.build_adapter(tmp_path / "other", tiny_model, seed=5)


def test_one_model_load_and_none_where_nothing_changed(bench, counted, adapter, capsys):
    assert bench.run() == 0
    assert len(counted) == 1
    files = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in bench.output.iterdir()}
    assert bench.run() == 0
    assert len(counted) == 1
    assert "up to date" in capsys.readouterr().err
    # tokens_per_batch changes speed alone, and a setting of the other method nothing.
    assert bench.run(bench.settings(tokens_per_batch=77, max_new_tokens=3, parse="published")) == 0
    assert len(counted) == 1
    assert {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in bench.output.iterdir()} == files


def damage(bench):
    with open(bench.output / "trial.test.csv", "a", encoding="utf-8") as handle:
        handle.write("x\n")


def edit_prompt(bench):
    (bench.folder / "post.txt").write_text("{text} Stress?\n", encoding="utf-8")


def change_data(bench):
    shutil.rmtree(bench.data)
    write_splits(bench.data, items=6)


@pytest.mark.parametrize("change", [damage, edit_prompt, change_data])
def test_a_change_is_noticed(bench, counted, change):
    bench.run()
    change(bench)
    assert bench.run() == 0
    assert len(counted) == 2
    assert len(bench.table("trial.test")) == len(bench.items("trial", "test"))


def test_changed_settings_or_weights_are_noticed(bench, adapter, other_adapter, counted):
    other = other_adapter
    runs = [
        (None, None),
        (None, adapter),
        (None, other),
        (bench.settings(dtype="bfloat16"), other),
        (bench.settings(max_length=80), other),
        (bench.settings(splits=["test"]), other),
        (bench.settings(method="generation"), other),
        (bench.settings(method="generation", parse="published"), other),
    ]
    for number, (settings, folder) in enumerate(runs, 1):
        assert bench.run(settings, folder) == 0
        assert len(counted) == number
    # Files that are no longer asked for are gone.
    bench.run(bench.settings(splits=["test"]))
    assert sorted(p.name for p in bench.output.iterdir()) == ["post.test.csv", "receipt.json", "trial.test.csv"]


def test_generation_writes_texts_and_counts_invalid_answers(bench):
    assert bench.run(bench.settings(method="generation", max_new_tokens=5)) == 0
    table = bench.table("trial.test")
    assert list(table)[-4:] == ["logprob:yes", "logprob:no", "logprob:maybe", "text"]
    assert (table[["logprob:yes", "logprob:no", "logprob:maybe"]] == "").all(axis=None)
    assert not table["valid"].any(), "a random model does not answer with a label word"
    assert (table["prediction"] == "").all()
    assert table["text"].str.len().gt(0).any()
    assert bench.receipt()["method"] == "generation"


def test_generated_labels_are_read(bench, monkeypatch):
    from stagewise.inference import generation

    texts = ["Yes.", "No Stress", "maybe", "B", 'so\r"what",\n', "", "no"]
    monkeypatch.setattr(generation, "generate", lambda model, tokenizer, prompts, *a: texts)
    bench.run(bench.settings(method="generation"))
    assert list(bench.table("trial.test")["prediction"]) == ["yes", "", "maybe", "", "", "", "no"]
    assert list(bench.table("trial.test")["valid"]) == [True, False, True, False, False, False, True]
    bench.run(bench.settings(method="generation", parse="published"))
    assert list(bench.table("trial.test")["prediction"]) == ["yes", "no", "maybe", "no", "", "", "no"]
    assert list(bench.table("trial.test")["text"]) == texts


def test_long_prompts_are_shortened_and_counted(bench):
    bench.run(bench.settings(max_length=80))
    counts = bench.receipt()["shortened"]
    assert 0 < counts["trial.test"] < 7
    assert set(counts) == {name.removesuffix(".csv") for name in FILES}


def test_4bit(bench, adapter):
    assert bench.run(bench.settings(quantization="nf4"), adapter) == 0
    assert bench.table("trial.test")["logprob:yes"].lt(0).all()


def refused(bench, capsys, *words, **run) -> None:
    """The step exits with 2 and one line that holds every one of `words`, and writes nothing."""
    before = {p: p.read_bytes() for p in bench.output.rglob("*")} if bench.output.is_dir() else None
    code = bench.run(**run)
    check_refusal(code, capsys.readouterr().err, *words)
    after = {p: p.read_bytes() for p in bench.output.rglob("*")} if bench.output.is_dir() else None
    assert before == after


def test_an_edited_split_is_refused(bench, capsys):
    with open(bench.data / "post" / "test.jsonl", "a", encoding="utf-8") as handle:
        handle.write("{}\n")
    refused(bench, capsys, "post/test.jsonl", "summary.json")


def test_a_missing_split_is_refused(bench, capsys):
    (bench.data / "post" / "test.jsonl").unlink()
    refused(bench, capsys, "post/test.jsonl", "missing")


def test_a_split_that_was_never_made_is_refused(bench, capsys):
    refused(bench, capsys, "train split", settings=bench.settings(splits=["train"]))


def test_an_adapter_of_another_model_is_refused(bench, capsys, adapter, tmp_path):
    bench.model = tiny_llama.build(tmp_path / "another", seed=3)
    refused(bench, capsys, "another base model", adapter=adapter)


def test_a_prompt_that_cannot_fit_is_refused_and_old_predictions_stay(bench, capsys):
    bench.run()
    capsys.readouterr()
    assert bench.run(bench.settings(max_length=40)) == 2
    assert "max_length" in capsys.readouterr().err.splitlines()[-1]
    assert bench.receipt()["items"] == 28
    assert not list(bench.folder.glob(".predictions*"))


def test_a_foreign_folder_is_never_replaced(bench, capsys):
    bench.output.mkdir()
    (bench.output / "thesis.docx").write_text("years of work", encoding="utf-8")
    refused(bench, capsys, "something else than predictions")


def test_a_model_without_chat_template_is_refused(bench, capsys, tmp_path):
    bench.model = shutil.copytree(bench.model, tmp_path / "plain")
    (bench.model / "chat_template.jinja").unlink()
    write_model_receipt(bench.model, "plain", {})
    refused(bench, capsys, "no chat template", "'plain'")


def test_being_up_to_date_needs_no_torch(bench):
    """What a rerun that nobody needed costs: reading checksums, and no import of the heavy libraries."""
    bench.run()
    code = (
        "import sys; from scripts import predict; code = predict.main(sys.argv[1:]);"
        "print(code, 'torch' in sys.modules, 'pandas' in sys.modules)"
    )
    argv = ["--settings", json.dumps(bench.settings()), "--model", str(bench.model)]
    argv += ["--data", str(bench.data), "--output", str(bench.output)]
    done = subprocess.run([sys.executable, "-c", code, *argv], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "0 False False", done.stderr
