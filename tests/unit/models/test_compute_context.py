"""bfloat16 autocast: every pass of a model that computes in bfloat16 on a GPU. Here the CPU stands in for the GPU."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.llama.modeling_llama import LlamaModel

from stagewise.config.training import Lora
from stagewise.inference import generation, likelihood
from stagewise.models import load
from stagewise.models.adapters import load_adapter
from stagewise.models.load import compute_context, load_base, load_tokenizer
from stagewise.remedies.base import Batch, TrainingContext
from stagewise.remedies.distill import Distill
from stagewise.remedies.ewc import fisher_diagonal
from stagewise.remedies.kl import Kl
from tests.helpers import tiny_llama
from tests.helpers.toy_stage import Stage
from tests.helpers.toy_task import write_toy_split


@pytest.fixture
def passes(monkeypatch):
    """Types that forward passes of the decoder computed an adapter's first layer in, and whether autocast was on."""
    seen = []
    forward = LlamaModel.forward

    def recorded(self, *args, **kwargs):
        first = next((module for name, module in self.named_modules() if name.endswith("lora_A.default")), None)
        handle = first and first.register_forward_hook(lambda module, inputs, output: types.add(output.dtype))
        types = set()
        try:
            return forward(self, *args, **kwargs)
        finally:
            if handle:
                handle.remove()
            seen.append((torch.is_autocast_enabled("cpu"), *types))

    monkeypatch.setattr(LlamaModel, "forward", recorded)
    return seen


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(load, "_AUTOCAST_DEVICES", ("cpu",))


@pytest.fixture
def adapted(tiny_model, tmp_path):
    """A model in bfloat16 with an adapter in float32."""
    adapter = tiny_llama.build_adapter(tmp_path / "adapter", tiny_model)
    return load_adapter(load_base(tiny_model, "none", "bfloat16"), adapter, trainable=True), load_tokenizer(tiny_model)


def test_on_a_cpu_nothing_changes(adapted):
    assert isinstance(compute_context(adapted[0]), nullcontext)


def test_a_float32_model_computes_in_float32_on_a_gpu(tiny_model, on_gpu):
    assert isinstance(compute_context(load_base(tiny_model, "none", "float32")), nullcontext)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_bfloat16_model_computes_in_bfloat16_on_a_gpu(tiny_model, on_gpu, quantization):
    with compute_context(load_base(tiny_model, quantization, "bfloat16")):
        assert torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_scores_break_no_ties_under_autocast(adapted, on_gpu, passes):
    """The head and the softmax are in float32 all the same."""
    model, tokenizer = adapted
    prompts = [tokenizer(text)["input_ids"] for text in tiny_llama.CORPUS]
    answers = [[token, tokenizer.eos_token_id] for token in range(3, 300)]
    rows = likelihood.score(model, tokenizer, prompts, answers)
    assert all(len(set(row)) == len(row) for row in rows.tolist())
    assert set(passes) == {(True, torch.bfloat16)}


def test_generation_and_the_passes_of_remedies_compute_alike(adapted, on_gpu, passes):
    model, tokenizer = adapted
    prompt = tokenizer("Does the treatment help?")["input_ids"]
    generation.generate(model, tokenizer, [prompt], 3)
    answer = [*tokenizer("yes", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    rows = [{"input_ids": prompt + answer, "labels": [], "task": "t", "label": 0, "prompt_tokens": len(prompt)}]
    context = TrainingContext(model, tokenizer, rows, {"t": rows}, {"t": [answer, [5, *answer]]}, 0, Lora())
    fisher, _ = fisher_diagonal(context, 1)
    assert all(value.dtype is torch.float32 for value in fisher.values())
    many = [[token, tokenizer.eos_token_id] for token in range(3, 300)]
    context = replace(context, earlier_rows={"u": []}, label_token_ids={"u": many}, learns=("t",))
    teacher, anchored = Distill().hook(context), Kl().hook(context)
    assert len(set(teacher.targets["u"][0].tolist())) == len(many), "the teacher's logits are not rounded to bfloat16"
    with compute_context(model):
        hidden = model.get_base_model().base_model(torch.tensor([rows[0]["input_ids"]])).last_hidden_state
    batch = Batch([0], torch.zeros(1), 1.0, 1.0, 1.0, hidden)
    assert teacher.loss(batch).item() < 1e-6 and anchored.loss(batch).item() < 1e-6
    assert set(passes) == {(True, torch.bfloat16)}


def test_a_training_computes_all_its_passes_so(tmp_path, tiny_model, on_gpu, passes, monkeypatch):
    """And stays near one without autocast, with weights in float32."""
    data = write_toy_split(tmp_path / "data")
    training = {"epochs": 1, "eval_every": "epoch"}
    autocast = Stage(tmp_path / "autocast", tiny_model, data, dtype="bfloat16", training=training)
    assert autocast.train() == 0
    assert set(passes) == {(True, torch.bfloat16)}
    weights = load_file(autocast.file("adapter_model.safetensors"))
    assert {value.dtype for value in weights.values()} == {torch.float32}

    passes.clear()
    monkeypatch.setattr(load, "_AUTOCAST_DEVICES", ())
    plain = Stage(tmp_path / "plain", tiny_model, data, dtype="bfloat16", training=training)
    assert plain.train() == 0
    assert set(passes) == {(False, torch.float32)}
    final = [stage.summary()["final_loss"] for stage in (autocast, plain)]
    assert final[0] == pytest.approx(final[1], rel=0.02)
