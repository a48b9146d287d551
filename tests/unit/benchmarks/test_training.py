"""The comparison of trainings: the same losses, or no comparison."""

import csv
import json

import pytest

from benchmarks import training
from benchmarks.peer_items import PeerItems, write_lines
from benchmarks.peers import train_with_trl
from benchmarks.training import check_losses, compare, read_losses
from stagewise.config.training import Training
from stagewise.errors import InputError
from tests.helpers.toy_stage import Stage
from tests.helpers.toy_task import write_toy_split


@pytest.fixture(scope="module")
def stage(tmp_path_factory, tiny_model) -> Stage:
    folder = tmp_path_factory.mktemp("stage")
    # Without dropout, which would draw other numbers in another program.
    trained = Stage(folder, tiny_model, write_toy_split(folder / "data"), lora={"r": 4, "alpha": 8, "dropout": 0})
    assert trained.train() == 0
    return trained


def peer_items(stage: Stage, tiny_model) -> PeerItems:
    data = stage.arguments[stage.arguments.index("--data") + 1]
    return PeerItems(stage.folder / "recipe.json", tiny_model, data)


def settings(**changes) -> Training:
    return Training(epochs=2, batch_size=4, gradient_accumulation=1, learning_rate=1e-2, max_length=96, **changes)


def test_a_plain_trl_script_has_the_workflow_s_losses(stage, tiny_model, tmp_path):
    items, lora = peer_items(stage, tiny_model), stage.recipe.lora.model_dump(mode="json")
    values = {"seed": 0, "lora": lora, "training": settings().model_dump(mode="json"), "steps_per_epoch": 4}
    (tmp_path / "settings.json").write_text(json.dumps(values))
    train = write_lines(tmp_path / "train.jsonl", items.rows_in_order(settings()))
    validation = write_lines(tmp_path / "validation.jsonl", items.training_rows("validation"))
    arguments = ["--model", tiny_model, "--settings", tmp_path / "settings.json", "--train", train]
    arguments += ["--validation", validation, "--output", tmp_path / "out"]
    assert train_with_trl.main([str(word) for word in arguments]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    losses, validation_losses = read_losses(stage.file("training_log.csv"))
    assert result["steps"] == 8 and set(result["losses"]) == {"1", "5"} <= set(losses)
    check_losses(losses, result["losses"])
    assert result["validation_losses"] == pytest.approx(validation_losses, rel=1e-5)
    assert "stagewise" not in open(train_with_trl.__file__).read().partition('"""')[2].partition('"""')[2]


def test_rows_are_in_the_order_of_training_and_the_steps_are_whole(stage, tiny_model):
    items = peer_items(stage, tiny_model)
    rows, ordered = items.training_rows("train"), items.rows_in_order(settings())
    assert len(ordered) == 2 * len(rows) == 32
    for epoch in (ordered[:16], ordered[16:]):
        assert sorted(map(str, epoch)) == sorted(map(str, rows))
    assert ordered[:16] != ordered[16:]
    assert all(label == -100 for label in rows[0]["labels"][:5]) and rows[0]["labels"][-1] == rows[0]["input_ids"][-1]
    with pytest.raises(InputError, match="16 training items: a multiple of 12 is needed"):
        items.rows_in_order(settings().model_copy(update={"batch_size": 12}))


def test_texts_for_other_programs_are_read_as_the_same_tokens(stage, tiny_model, monkeypatch):
    items = peer_items(stage, tiny_model)
    answers, first_tokens = items.scoring_items("validation", True), items.scoring_items("validation", False)
    assert [item["gold"] for item in answers] == [0, 1] * 3
    assert answers[0]["answers"] == [f"{answer}<|im_end|>" for answer in first_tokens[0]["answers"]]
    monkeypatch.setattr(type(items.tokenizer), "decode", lambda self, ids: "another text")
    with pytest.raises(InputError, match="as text give other tokens"):
        items.scoring_items("validation", True)


def test_losses_that_differ_in_the_fifth_digit_end_the_benchmark():
    check_losses({"1": 3.880779, "5": 0.1}, {"1": 3.8808, "5": 0.100009, "10": 1.0})
    with pytest.raises(InputError, match="step 5: the losses 0.1000000 and 0.1000200 differ"):
        check_losses({"1": 3.0, "5": 0.1}, {"1": 3.0, "5": 0.10002})
    with pytest.raises(InputError, match="no step in common"):
        check_losses({"1": 3.0}, {"2": 3.0})


def test_validation_losses_leave_out_the_one_before_the_first_step(tmp_path):
    rows = [
        ["step", "epoch", "split", "metric", "value"],
        [0, 0, "validation", "loss", 9.0],
        [1, 0.5, "train", "loss", 3.0],
    ]
    rows += [[2, 1, "validation", "loss", 2.5], [2, 1, "validation", "accuracy", 1.0]]
    with open(tmp_path / "log.csv", "w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    assert read_losses(tmp_path / "log.csv") == ({"1": 3.0}, [2.5])


def test_ratios_say_how_many_times_as_fast_the_workflow_is():
    def runs(seconds, speed):
        return [{"wall_seconds": seconds, "cpu_seconds": 2 * seconds, "tokens_per_second": speed}]

    ratios = compare({training.PRODUCT: runs(20, 600), training.SCRIPT: runs(60, 200), training.DEFAULTS: runs(9, 100)})
    assert ratios[training.SCRIPT] == {"wall_seconds": 3, "cpu_seconds": 3, "tokens_per_second": 3}
    # It trains a few steps alone: its times are no comparison.
    assert ratios[training.DEFAULTS] == {"tokens_per_second": 6}
