"""Answers that are no numbers end in one sentence that names the model, and in no file."""

import json
import shutil
import subprocess
import sys
import time

import pytest
from safetensors.numpy import load_file, save_file

from scripts import infer, predict
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.models.receipts import write_model_receipt
from stagewise.predictions.kept_files import KeptFiles
from stagewise.provenance.lock import locked
from stagewise.provenance.receipts import read_receipt, write_receipt
from tests.helpers import tiny_llama
from tests.helpers.prediction_step import PredictionStep
from tests.helpers.project_copy import ROOT


def spoil(file, value: float, key: str = "") -> None:
    """Set the numbers of the first tensor whose name has `key`."""
    tensors = load_file(file)
    next(tensor for name, tensor in tensors.items() if key in name)[:] = value
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.fixture
def broken_model(tiny_model, tmp_path):
    """A base model with one NaN among its weights, and a receipt that is right."""
    model = tmp_path / "models" / "broken"
    shutil.copytree(tiny_model, model)
    spoil(model / "model.safetensors", float("nan"), "norm")
    write_model_receipt(model, "broken", {"path": "tests"})
    return model


def absurd_adapter(folder, model, value: float):
    """An adapter with absurd weights: NaN, or finite ones that overflow."""
    adapter = tiny_llama.build_adapter(folder / "adapter", model)
    receipt = read_receipt(adapter, "the adapter")
    spoil(adapter / ADAPTER_WEIGHTS, value, "lora_A")
    spoil(adapter / ADAPTER_WEIGHTS, value, "lora_B")
    write_receipt(adapter, {"inputs": receipt["inputs"]})
    return adapter


def sentence(capsys) -> str:
    (error,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    return error


@pytest.mark.parametrize(
    ("value", "says"),
    [(float("nan"), "are not finite (NaN or infinite), so the training"), (3e38, "with this adapter")],
)
def test_an_adapter_that_diverged_is_named(tmp_path, tiny_model, capsys, value, says):
    step, adapter = PredictionStep(tmp_path, tiny_model), absurd_adapter(tmp_path, tiny_model, value)
    assert step.run(adapter=adapter) == 2
    error = sentence(capsys)
    assert f"error: {adapter}" in error and says in error and "lower training.learning_rate" in error
    assert not step.output.exists() and not list(tmp_path.glob(".predictions*"))

    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(step.settings()))
    command = ["--settings", str(settings), "--model", str(tiny_model), "--task", "post", "--field", "text=Calm."]
    assert infer.main([*command, "--adapter", str(adapter)]) == 2
    error = sentence(capsys)
    assert f"error: {adapter}" in error and says in error


@pytest.mark.parametrize("method", ["likelihood", "generation"])
def test_a_base_model_without_numbers_is_named(tmp_path, broken_model, capsys, method):
    """Generated answers would be the same token over and over."""
    step = PredictionStep(tmp_path, broken_model)
    assert step.run(step.settings(method=method)) == 2
    assert f"error: {broken_model}: the base model's log-probabilities of trial are not finite" in sentence(capsys)
    assert not step.output.exists()


def test_a_second_prediction_waits_and_takes_the_first_ones_result(tmp_path, tiny_model, monkeypatch, capsys):
    step = PredictionStep(tmp_path, tiny_model)
    arguments = ["--settings", json.dumps(step.settings()), "--model", str(tiny_model), "--data", str(step.data)]
    arguments += ["--checkpoints", str(tmp_path / "checkpoints"), "--output"]
    assert predict.main([*arguments, str(tmp_path / "one")]) == 0
    cached = tmp_path / "checkpoints" / "predictions"
    inputs = json.loads((tmp_path / "one" / "receipt.json").read_text(encoding="utf-8"))["inputs"]
    files = [path for path in cached.iterdir() if path.is_dir()]
    (tmp_path / "made").mkdir()
    for path in files:
        path.rename(tmp_path / "made" / path.name)
    capsys.readouterr()
    command = [sys.executable, "-m", "scripts.predict", *arguments, str(tmp_path / "two")]
    with locked(KeptFiles(tmp_path / "checkpoints", inputs, None).together, "the predictions"):
        other = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        line = other.stderr.readline()
        for path in files:
            (tmp_path / "made" / path.name).rename(path)
        time.sleep(0.1)
    rest = other.communicate(timeout=120)[1]
    assert other.returncode == 0 and "waiting for process" in line
    assert "made before from the same adapter and items, copied" in rest
    assert (tmp_path / "two" / "receipt.json").read_bytes() == (tmp_path / "one" / "receipt.json").read_bytes()
