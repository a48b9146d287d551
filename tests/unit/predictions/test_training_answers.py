"""One adapter has one accuracy: what training scored and what the prediction step scores are compared."""

import json

import numpy as np
import pytest

from scripts import predict, train_adapter
from stagewise.inference import likelihood
from stagewise.inference.question import Question
from stagewise.recipe import Recipe
from tests.helpers.tiny_data import make_items, task_settings, write_splits
from tests.helpers.toy_task import WORDS, toy_task, write_toy_recipe

TEXTS = {"stress": "I cannot sleep and I worry.", "no stress": "A calm day at the lake."}
ITEMS = 10


class Adapter:
    """An adapter of the tiny model on the toy task, trained and scored by the steps."""

    def __init__(self, folder, model, dtype="float32", quantization="none", **training):
        counts = {"train": 16, "validation": ITEMS, "test": 4}
        splits = {
            split: make_items(
                [WORDS[n % 2] for n in range(count)], lambda n, label: {"text": f"{n} {TEXTS[label]} " * (1 + n % 4)}
            )
            for split, count in counts.items()
        }
        self.folder, self.model, self.data = folder, model, write_splits(folder / "data", {"toy": splits})
        self.compute = {"dtype": dtype, "quantization": quantization}
        write_toy_recipe(folder, model, self.data, training=training, **self.compute)

    def train(self, *options: str) -> dict:
        paths = {
            "--recipe": self.folder / "recipe.json",
            "--model": self.model,
            "--data": self.data,
            "--checkpoints": self.folder / "checkpoints",
            "--output": self.folder / "adapter",
        }
        argv = [str(word) for pair in paths.items() for word in pair]
        assert train_adapter.main([*argv, "--report-to", *options]) == 0
        return json.loads((self.folder / "adapter" / "training.json").read_text())

    def predict(self, splits=("validation", "test"), prompt="prompt.txt", max_length=None, **evaluation) -> dict:
        """Score the adapter; returns the receipt."""
        fields = {"prompt": str(self.data / prompt), "shorten": "text", "max_length": max_length}
        task = task_settings({"items": "none.csv"}, {"1": WORDS[0], "0": WORDS[1]}, **fields)
        settings = self.compute | {
            "tasks": {"toy": task},
            "prompting": {"format": "chat"},
            "max_length": 96,
            "evaluation": {"splits": list(splits)} | evaluation,
        }
        output = self.folder / "predictions"
        argv = ["--settings", json.dumps(settings), "--model", str(self.model), "--data", str(self.data)]
        assert predict.main([*argv, "--adapter", str(self.folder / "adapter"), "--output", str(output)]) == 0
        return json.loads((output / "receipt.json").read_text())


@pytest.fixture
def scores(monkeypatch):
    """Every result of label scoring with the number of its items."""
    results = []
    score = likelihood.score

    def record(*arguments, **options):
        results.append(score(*arguments, **options))
        return results[-1]

    monkeypatch.setattr(likelihood, "score", record)
    return results


@pytest.mark.parametrize(
    ("compute", "best_metric"),
    [
        ({"dtype": "float32"}, "loss"),
        ({"dtype": "bfloat16"}, "macro_f1"),
        ({"dtype": "bfloat16"}, "last"),
        ({"dtype": "bfloat16", "quantization": "nf4"}, "last"),
    ],
)
def test_training_and_prediction_score_an_adapter_alike(tmp_path, tiny_model, scores, capsys, compute, best_metric):
    """Batches, compute type and the adapter's float32 weights are the same, so every figure is, to the last bit."""
    adapter = Adapter(tmp_path, tiny_model, **compute, eval_every=2, best_metric=best_metric)
    summary = adapter.train("--tokens-per-batch", "200")
    in_training = {2 * n: values for n, values in enumerate(scores)}  # evaluated at step 0, 2, 4, ...
    scores.clear()
    receipt = adapter.predict(tokens_per_batch=200)
    kept = summary["best_step"] or summary["steps"]
    assert (summary["best_step"] is None) == (best_metric == "last")
    np.testing.assert_array_equal(scores[1], in_training[kept])  # after the inputs without content
    assert summary["validation_answers"] == {"toy": " ".join(map(str, in_training[kept].argmax(1)))}
    assert receipt["changed_answers"] == {"toy": 0}
    assert f"0 of {ITEMS} validation answers of toy differ from those scored in training" in capsys.readouterr().err


def test_answers_that_differ_are_counted(tmp_path, tiny_model, monkeypatch, capsys):
    adapter = Adapter(tmp_path, tiny_model)
    adapter.train()
    score = likelihood.score

    def score_otherwise(*arguments, **options):
        values = score(*arguments, **options)
        values[:3] = values[:3, ::-1]
        return values

    monkeypatch.setattr(likelihood, "score", score_otherwise)
    assert adapter.predict(tokens_per_batch=512)["changed_answers"] == {"toy": 3}
    err = capsys.readouterr().err
    assert f"3 of {ITEMS} validation answers of toy differ from those scored in training (there: " in err
    assert "float32, 4096 tokens per batch; here: cpu, float32, 512)" in err


@pytest.mark.parametrize(
    "asked",
    [
        {"splits": ["test"]},
        {"prompt": "other.txt"},
        {"max_length": 95},
        {"method": "generation", "max_new_tokens": 2},
    ],
)
def test_nothing_is_compared_that_training_did_not_ask(tmp_path, tiny_model, capsys, asked):
    adapter = Adapter(tmp_path, tiny_model)
    adapter.train()
    (adapter.data / "other.txt").write_text("{text} Is that stress?\n", encoding="utf-8")
    assert adapter.predict(**asked)["changed_answers"] == {}
    assert "differ from" not in capsys.readouterr().err


def test_a_task_of_its_own_max_length_is_cut_alike_in_training_and_scoring(tmp_path, tiny_model):
    """The training's would cut nothing; the recipe names the task's, and a question to the adapter takes it too."""
    adapter = Adapter(tmp_path, tiny_model)
    tasks = {"toy": toy_task(adapter.data) | {"max_length": 64}}
    plain = Recipe.read(adapter.folder / "recipe.json")
    recipe = write_toy_recipe(adapter.folder, tiny_model, adapter.data, training={"epochs": 1}, tasks=tasks)
    assert (recipe.max_length, recipe.tasks["toy"].max_length) == (96, 64) and recipe.fingerprint != plain.fingerprint
    summary = adapter.train()
    assert 0 < summary["shortened"] < summary["items"]
    receipt = adapter.predict(max_length=64)
    assert 0 < receipt["shortened"]["toy.validation"] < ITEMS and receipt["changed_answers"] == {"toy": 0}
    assert Question.from_recipe(recipe, "toy").max_length == 64
