"""Evaluation's figures by their definition, and training from kept output of frozen layers."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from scripts import train_adapter
from stagewise.models import frozen_layers
from stagewise.models.adapters import load_adapter
from stagewise.models.load import load_base, load_tokenizer
from stagewise.provenance.files import sha256_file
from stagewise.training.stage_data import load_stage_data
from tests.helpers.contradicting_tasks import AdapterFolder, task_settings, write_data
from tests.helpers.toy_stage import Stage, interrupt
from tests.helpers.toy_task import write_toy_split

WEIGHTS = "adapter_model.safetensors"
LAST_LAYER = {"lora": {"r": 4, "alpha": 8, "dropout": 0, "last_layers": 1}}
# float32: sums over padded batches and over single items are rounded otherwise.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_split(tmp_path_factory.mktemp("data"), train=14, validation=7)


@pytest.fixture
def lower_passes(monkeypatch):
    """Shapes of what the tiny model's first layer reads."""
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    shapes = []
    forward = LlamaDecoderLayer.forward

    def record(self, hidden_states, *args, **kwargs):
        if self.self_attn.layer_idx == 0:
            shapes.append(tuple(hidden_states.shape[:2]))
        return forward(self, hidden_states, *args, **kwargs)

    monkeypatch.setattr(LlamaDecoderLayer, "forward", record)
    return shapes


def item_passes(shapes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Passes that read items; those that try how the model may be used are of few tokens."""
    return [shape for shape in shapes if shape[1] > 20]


def curve(stage: Stage) -> np.ndarray:
    """Training losses, validation losses and label measures, in log order."""
    log = pd.read_csv(stage.file("training_log.csv"))
    return log[log.metric.isin(["loss", "grad_norm", "brier", "accuracy"])].value.to_numpy()


def furthest(one: Stage, two: Stage) -> float:
    mine, theirs = load_file(one.file(WEIGHTS)), load_file(two.file(WEIGHTS))
    assert mine.keys() == theirs.keys()
    return max(float(abs(mine[name] - theirs[name]).max()) for name in mine)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss_on": "text", "group_by_length": False, "gradient_accumulation": 2},
        {"gradient_checkpointing": True},
    ],
)
def test_training_from_kept_layers_is_the_same_training(tmp_path, tiny_model, data, settings, lower_passes):
    computed = Stage(tmp_path / "computed", tiny_model, data, **LAST_LAYER, training=settings)
    assert computed.train("--frozen-layers-mb", "0", "--log-steps", "1") == 0
    lower_passes.clear()
    kept = Stage(tmp_path / "kept", tiny_model, data, **LAST_LAYER, training=settings)
    assert kept.train("--log-steps", "1") == 0
    assert kept.recipe.fingerprint == computed.recipe.fingerprint
    items = item_passes(lower_passes)
    assert {rows for rows, _ in items} == {1}
    # Every item once: rows to train on, and validation items with all labels. Their texts are those of training rows.
    assert len(items) == 14 + 7
    np.testing.assert_allclose(curve(kept), curve(computed), atol=TOLERANCE, rtol=TOLERANCE)
    assert furthest(kept, computed) < TOLERANCE
    assert kept.summary()["validation_answers"] == computed.summary()["validation_answers"]


def test_what_was_kept_before_changes_no_byte(tmp_path, tiny_model, data, monkeypatch, lower_passes):
    """Cold, warm, interrupted and resumed, and with a part of the files gone."""
    cold = Stage(tmp_path / "cold", tiny_model, data, **LAST_LAYER)
    assert cold.train() == 0
    states = cold.checkpoints / "frozen_layers"
    files = list(states.glob("*/*.safetensors"))
    assert files
    warm = Stage(tmp_path / "warm", tiny_model, data, **LAST_LAYER)
    (warm.checkpoints / states.name).parent.mkdir(parents=True)
    states.rename(warm.checkpoints / states.name)
    lower_passes.clear()
    assert warm.train() == 0
    assert not item_passes(lower_passes)
    cut = Stage(tmp_path / "cut", tiny_model, data, **LAST_LAYER, training={"epochs": 2})
    interrupt(cut, monkeypatch, step=5)
    for path in (cut.checkpoints / states.name).glob("*/*.safetensors"):
        path.unlink()
    assert cut.train() == 0 and cut.summary()["resumed_from_step"] == 4
    assert len({sha256_file(stage.file(WEIGHTS)) for stage in (cold, warm, cut)}) == 1
    assert cold.log() == warm.log() == cut.log()


def test_items_beyond_the_bound_are_computed_in_every_pass(tmp_path, tiny_model, data, monkeypatch, lower_passes):
    asked = []
    monkeypatch.setattr(frozen_layers.FrozenLayers, "fits", lambda self, tokens: asked.append(tokens))
    stage = Stage(tmp_path, tiny_model, data, **LAST_LAYER, training={"epochs": 1})
    assert stage.train() == 0
    assert len(asked) == 1 and asked[0] > 21 * 30, "all training and validation items, before the first"
    assert {rows for rows, _ in item_passes(lower_passes)} == {2, 4, 7}
    assert not list((stage.checkpoints / "frozen_layers").glob("*/*"))


def test_remedies_work_on_kept_layers(tmp_path, tiny_model):
    """Those that ask the parent, score again or read hidden states in every pass, and one on gradients."""
    adapters = AdapterFolder(tmp_path, tiny_model, write_data(tmp_path / "data", {"yes": 2, "no": 2, "maybe": 2}))
    tasks = {task: task_settings(adapters.data, task) for task in ("first", "second")}
    shape = {"training": {"epochs": 1, "learning_rate": 5e-3}} | LAST_LAYER
    adapters.recipe("one", [], learns=["first"], tasks={"first": tasks["first"]}, **shape)
    remedies = {"distill": {"inputs": "rehearsal", "share": 0.5}, "kl": {}, "ewc": {"items": 2, "strength": 1}}
    adapters.recipe("two", ["one"], learns=["second"], tasks=tasks, remedies=remedies, **shape)
    assert train_adapter.main([*adapters._argv("one"), "--report-to"]) == 0
    weights = []
    for megabytes in ("0", "5"):
        argv = [*adapters._argv("two"), "--parent", str(adapters.adapter("one")), "--report-to"]
        argv[argv.index("--checkpoints") + 1] = str(tmp_path / megabytes)
        assert train_adapter.main([*argv, "--frozen-layers-mb", megabytes]) == 0
        weights.append(load_file(adapters.adapter("two") / WEIGHTS))
    assert list((tmp_path / "5" / "frozen_layers").glob("*/*"))
    assert max(float(abs(weights[0][key] - weights[1][key]).max()) for key in weights[0]) < TOLERANCE


def mean_nll(stage: Stage, tiny_model, data) -> float:
    """Negative log-probability of the counted validation tokens over their number, one item at a time."""
    tokenizer = load_tokenizer(tiny_model)
    model = load_adapter(load_base(tiny_model, "none", "float32"), stage.folder / "adapter").eval()
    nll, tokens = 0.0, 0
    for row in load_stage_data(stage.recipe, tokenizer, data).validation_rows:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"][1:])
        with torch.no_grad():
            logprobs = model(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
        counted = labels != -100
        nll -= float(logprobs[counted, labels[counted]].sum())
        tokens += int(counted.sum())
    return nll / tokens


@pytest.mark.parametrize("loss_on", ["answer", "text"])
def test_the_validation_loss_is_a_mean_over_tokens(tmp_path, tiny_model, data, loss_on, lower_passes):
    """A mean of batches' means would weigh the tokens of a short last batch more: 5 items and 2 here."""
    training = {"loss_on": loss_on, "batch_size": 5, "epochs": 1, "best_metric": "last"}
    stage = Stage(tmp_path, tiny_model, data, training=training)
    assert stage.train() == 0
    read = sum(rows for rows, _ in item_passes(lower_passes))
    # Items to train on, and before and after them validation items: once for the loss on answers and the labels.
    assert read == 14 + 2 * 7 * (1 if loss_on == "answer" else 2)
    log = pd.read_csv(stage.file("training_log.csv"))
    last = log[(log.split == "validation") & (log.metric == "loss")].value.iloc[-1]
    assert last == pytest.approx(mean_nll(stage, tiny_model, data), abs=TOLERANCE)
