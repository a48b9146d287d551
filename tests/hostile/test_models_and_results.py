"""Folders of models, adapters, splits and results that are damaged, incomplete or of another kind."""

import json
import shutil

import pytest

from scripts import explain, fetch_model, infer, metrics, predict, report, train_adapter
from stagewise.models.receipts import write_model_receipt
from stagewise.provenance.receipts import read_receipt, write_receipt
from tests.helpers.prediction_step import PredictionStep
from tests.helpers.refusals import check_refused_command

WEIGHTS, ADAPTER_WEIGHTS = "model.safetensors", "adapter_model.safetensors"
# name: (file, its new content or none, what the sentence says when the folder is fetched or used as a model)
MODELS = {
    "no configuration": ("config.json", None, r"config\.json is missing"),
    "no weights": (WEIGHTS, None, r"no safetensors weights .none.; convert them once"),
    "no tokenizer": ("tokenizer.json", None, r"no tokenizer .tokenizer\.json or tokenizer\.model"),
    "configuration that is no JSON": ("config.json", "{", "the model's configuration is not valid JSON"),
    "configuration that is a list": ("config.json", "[]", "the model's configuration is not an object with keys"),
    "configuration of no model": ("config.json", '{"model_type": "nonsense"}', r"cannot be loaded .*nonsense"),
    "cut weights": (WEIGHTS, b"123", r"the model cannot be loaded .Error while deserializing header"),
    "weights that are a web page": (WEIGHTS, "<html>" * 99, r"the model cannot be loaded"),
    "tokenizer that is no JSON": ("tokenizer.json", "{", r"the tokenizer cannot be loaded .*; get its files again"),
    "settings of the tokenizer that are no JSON": ("tokenizer_config.json", "{", r"the tokenizer cannot be loaded"),
    "index of nothing": ("model.safetensors.index.json", "{}", r"index\.json .*get it again"),
    "index of missing files": (
        "model.safetensors.index.json",
        '{"weight_map": {"a": "model-1.safetensors"}}',
        r"model-1\.safetensors is missing .1 of its weight files",
    ),
}


def score(predictions: PredictionStep, output, model=None, adapter=None, data=None) -> list:
    """Arguments of the prediction step."""
    settings = json.dumps(predictions.settings())
    arguments = ["--settings", settings, "--model", model or predictions.model, "--data", data or predictions.data]
    return [*arguments, *(["--adapter", adapter] if adapter else []), "--output", output]


@pytest.mark.parametrize("case", MODELS)
def test_model(tmp_path, capsys, tiny_model, predictions, damaged, case):
    """Each command that meets the model refuses it: `fetch_model` what it can see, the others what they read."""
    name, content, says = MODELS[case]
    folder = damaged(tiny_model, name, content)
    (folder / "receipt.json").unlink()
    seen_at_once = content is None or "index" in name
    if seen_at_once:
        settings = json.dumps({"path": str(folder)})
        arguments = ["--settings", settings, "--name", "x", "--output", tmp_path / "models/x"]
        check_refused_command(fetch_model.main, arguments, capsys, tmp_path, says)
    else:
        write_model_receipt(folder, "tiny", {"path": "somewhere"})
        check_refused_command(predict.main, score(predictions, tmp_path / "out", folder), capsys, tmp_path, says)


@pytest.mark.parametrize("name", ["model.bin", "pytorch_model.bin", "model.pt", "model.pth"])
def test_a_pickle_is_never_read(tmp_path, capsys, tiny_model, damaged, name):
    folder = damaged(tiny_model, WEIGHTS, None)
    (folder / name).write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    arguments = ["--settings", json.dumps({"path": str(folder)}), "--name", "x", "--output", tmp_path / "models/x"]
    says = rf"no safetensors weights .only {name}, which can run code when it is read.; convert them once"
    check_refused_command(fetch_model.main, arguments, capsys, tmp_path, says)


# name: (file of the model's folder, its new content or none, what the sentence says)
RECEIPTS = {
    "receipt gone": ("receipt.json", None, "the receipt of the base model is missing"),
    "receipt cut": ("receipt.json", '{"files": ', "the receipt of the base model is not valid JSON"),
    "receipt of a list": ("receipt.json", "[]", "the receipt of the base model is not an object with keys"),
    "receipt of nothing": ("receipt.json", "{}", "the receipt of the base model is damaged"),
    "file edited": ("config.json", "{}", "the base model does not match its receipt .damaged"),
    "file gone": ("tokenizer.json", None, "the base model is incomplete, this file is missing"),
}


@pytest.mark.parametrize("case", RECEIPTS)
def test_model_that_is_not_as_its_receipt_says(tmp_path, capsys, tiny_model, predictions, damaged, case):
    name, content, says = RECEIPTS[case]
    folder = damaged(tiny_model, name, content)
    check_refused_command(predict.main, score(predictions, tmp_path / "out", folder), capsys, tmp_path, says)


# name: (file of the adapter's folder, its new content or none, whether its receipt vouches for that, the sentence)
ADAPTERS = {
    "no configuration": ("adapter_config.json", None, False, "no adapter here .adapter_config.json is missing"),
    "no weights": (ADAPTER_WEIGHTS, None, False, "weights .adapter_model.safetensors. are missing; only safetensors"),
    "no receipt": ("receipt.json", None, False, "an adapter from elsewhere, without a receipt of this workflow"),
    "receipt cut": ("receipt.json", "{", False, "the receipt of the adapter is not valid JSON"),
    "receipt of a list": ("receipt.json", "[1]", False, "the receipt of the adapter is not an object with keys"),
    "configuration edited": ("adapter_config.json", "{}", False, "the adapter does not match its receipt"),
    "weights edited": (ADAPTER_WEIGHTS, b"x" * 99, False, "the adapter does not match its receipt"),
    "configuration that is no JSON": (
        "adapter_config.json",
        "{",
        True,
        "the adapter's configuration is not valid JSON",
    ),
    "another method": ("adapter_config.json", '{"peft_type": "IA3"}', True, "peft_type is 'IA3', but only LORA"),
    "configuration that is a list": ("adapter_config.json", "[]", True, "configuration is not an object with keys"),
    "cut weights": (ADAPTER_WEIGHTS, b"123", True, "Error while deserializing header"),
    "weights that are a pickle": (
        ADAPTER_WEIGHTS,
        b"cos\nsystem\n(S'x'\ntR.",
        True,
        "Error while deserializing header",
    ),
}


@pytest.mark.parametrize("case", ADAPTERS)
def test_adapter(tmp_path, capsys, adapter, predictions, damaged, case):
    name, content, vouched, says = ADAPTERS[case]
    folder = damaged(adapter, name, content)
    if vouched:
        write_receipt(folder, {"inputs": read_receipt(adapter, "the adapter")["inputs"]})
    arguments = score(predictions, tmp_path / "out", adapter=folder)
    check_refused_command(predict.main, arguments, capsys, tmp_path, says)


def test_adapter_of_another_model(tmp_path, capsys, adapter, tiny_model, damaged):
    other = damaged(tiny_model, "generation_config.json", "{}")
    write_model_receipt(other, "tiny", {"path": "somewhere"})
    arguments = ["--adapter", adapter, "--task", "pubmedqa", "--model", other, "--field", "question=a"]
    arguments += ["--field", "context=b"]
    says = "the adapter was trained on another base model .*; name the model it was trained on"
    check_refused_command(infer.main, arguments, capsys, tmp_path, says)


# name: (file of the splits' folder, its new content or none, what the sentence says)
SPLITS = {
    "summary gone": ("summary.json", None, "the data's summary is missing"),
    "summary cut": ("summary.json", "{", "the data's summary is not valid JSON"),
    "summary of a list": ("summary.json", "[]", "the data's summary is not an object with keys"),
    "split gone": ("trial/test.jsonl", None, "test.jsonl: the split is missing"),
    "split empty": ("trial/test.jsonl", "", "test.jsonl: not the file that summary.json describes"),
    "split edited": ("trial/test.jsonl", "{}\n", "test.jsonl: not the file that summary.json describes"),
}


@pytest.mark.parametrize("case", SPLITS)
def test_splits(tmp_path, capsys, predictions, damaged, case):
    name, content, says = SPLITS[case]
    data = damaged(predictions.data, name, content)
    check_refused_command(predict.main, score(predictions, tmp_path / "out", data=data), capsys, tmp_path, says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda values: values | {"seed": 7}, "the recipe does not match its fingerprint .edited"),
        (lambda values: {}, "the recipe does not match its fingerprint"),
        (lambda values: values | {"tasks": {}}, "the recipe does not match its fingerprint"),
    ],
)
def test_recipe(tmp_path, capsys, tiny_model, toy_data, toy_recipe, damaged, change, says):
    values = change(json.loads((toy_recipe / "recipe.json").read_text()))
    folder = damaged(toy_recipe, "recipe.json", json.dumps(values))
    arguments = ["--recipe", folder / "recipe.json", "--model", tiny_model, "--data", toy_data]
    arguments += ["--checkpoints", tmp_path / "checkpoints", "--output", tmp_path / "out"]
    check_refused_command(train_adapter.main, arguments, capsys, tmp_path, says)


FIRST, CSV = "base/seed-0/pubmedqa", "base/predictions/pubmedqa.test.csv"
# name: (file of the results, its new content or none, what the metrics say)
RESULTS = {
    "predictions gone": (CSV, None, "the predictions is incomplete, this file is missing"),
    "predictions empty": (CSV, "", "the predictions does not match its receipt"),
    "predictions of bytes": (CSV, b"\xff\0", "the predictions does not match its receipt"),
    "receipt cut": (f"{FIRST}/predictions/receipt.json", "[", "the receipt of the predictions is not valid JSON"),
    "receipt of a list": (f"{FIRST}/predictions/receipt.json", "[]", "is not an object with keys; correct it"),
    "summary of a list": ("data/summary.json", "[]", "the data summary is not an object with keys"),
    "summary of nothing": ("data/summary.json", "{}", "the task 'pubmedqa' is missing; run the data step again"),
    "split gone": ("data/pubmedqa/test.jsonl", None, "the split is missing; run the step that writes it"),
    "split of bytes": ("data/pubmedqa/test.jsonl", b"\xff", "line 1 is not an item"),
    "split too deep": ("data/pubmedqa/test.jsonl", "[" * 5_000, "line 1 is not an item"),
    "training gone": (f"{FIRST}/adapter/training.json", None, "the training summary is missing"),
    "training of a list": (f"{FIRST}/adapter/training.json", "[]", "the training summary is not an object with keys"),
    "training of nothing": (f"{FIRST}/adapter/training.json", "{}", "the adapter was made by another recipe"),
    "recipe cut": (f"{FIRST}/recipe.json", "{", "the recipe is not valid JSON"),
    "adapter's receipt of nothing": (f"{FIRST}/adapter/receipt.json", "{}", "the receipt of the adapter is damaged"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_results(tmp_path, capsys, results, damaged, case):
    name, content, says = RESULTS[case]
    folder = damaged(results, f"results/{name}", content) / "results"
    arguments = ["--settings", results / "config.json", "--results", folder, "--output", tmp_path / "out.json"]
    check_refused_command(metrics.main, arguments, capsys, tmp_path, says)


# name: (content of report_metrics.json, what the report says)
METRICS = {
    "empty": ("", "report_metrics.json is not valid JSON"),
    "of nothing": ("{}", "has schema_version None and this report reads"),
    "of another version": ('{"schema_version": 1}', "has schema_version 1 and this report reads"),
    "of a list": ("[]", "is not an object with keys"),
    "of a number": ("NaN", "is not an object with keys"),
}


@pytest.mark.parametrize("case", METRICS)
def test_report(tmp_path, capsys, results, case):
    content, says = METRICS[case]
    (tmp_path / "metrics.json").write_text(content)
    arguments = ["--metrics", tmp_path / "metrics.json", "--results", results / "results"]
    arguments += ["--html", tmp_path / "report.html", "--markdown", tmp_path / "report.md"]
    check_refused_command(report.main, arguments, capsys, tmp_path, says)


def test_results_of_different_kinds_are_not_compared(tmp_path, capsys, results):
    shutil.copy(results / "config.json", tmp_path / "other.json")
    folder = results / "results"
    arguments = [folder / FIRST / "recipe.json", tmp_path / "other.json"]
    check_refused_command(explain.main, arguments, capsys, tmp_path, "neither a recipe nor report_metrics.json")
