"""Every decoder family in use: trained, scored as a plain forward pass scores, and scored again from its files."""

import json

import numpy as np
import pytest
import torch

from stagewise.inference.likelihood import score
from stagewise.models.adapters import load_adapter
from stagewise.models.load import load_base, load_tokenizer
from stagewise.models.memory_estimate import estimate_memory
from stagewise.models.module_tree import ModuleTree
from stagewise.models.target_modules import (
    LLAMA_LAYERS,
    LLAMA_LIKE,
    adapted_modules,
    adapter_parameters,
    all_linear_names,
)
from stagewise.recipe import Recipe
from tests.helpers.decoder_families import DECODERS, build_decoder, save_decoder
from tests.helpers.toy_stage import Stage
from tests.helpers.toy_task import write_toy_split

# Prompts of unlike lengths, the longest beyond a sliding window; answers of one to three tokens that share beginnings.
PROMPTS = [[5, 9, 40, 41, 7], [*range(20, 60)], [8, 9, 10]]
ANSWERS = [[30, 31, 2], [30, 2], [44]]


def plain_scores(model) -> np.ndarray:
    """Sum of the log-softmax of the answers' tokens, each prompt and answer alone in a forward pass."""
    rows = []
    with torch.no_grad():
        for prompt in PROMPTS:
            rows.append([])
            for answer in ANSWERS:
                logits = model(torch.tensor([prompt + answer]), use_cache=False).logits[0, len(prompt) - 1 : -1]
                logprobs = logits.double().log_softmax(-1)
                rows[-1].append(float(logprobs.gather(1, torch.tensor(answer)[:, None]).sum()))
    return np.array(rows)


@pytest.mark.parametrize("name", DECODERS)
def test_a_family_is_trained_and_scored_as_its_forward_pass_scores(name, tmp_path):
    folder = save_decoder(name, tmp_path / "model")
    data = write_toy_split(tmp_path / "data", train=8, validation=4)
    settings = {"lora": {"r": 2, "alpha": 8, "dropout": 0, "last_layers": 1}, "training": {"epochs": 2}}
    stage = Stage(tmp_path, folder, data, **settings)
    assert stage.train("--batch-size", "2") == 0
    losses = [json.loads(line) for line in stage.file("training_log.csv").read_text().splitlines()[:0]]
    assert losses == []

    tokenizer, base = load_tokenizer(folder), load_base(folder, "none", "float32")
    untuned = plain_scores(base)
    np.testing.assert_allclose(score(base, tokenizer, PROMPTS, ANSWERS), untuned, atol=1e-4)
    tree, lora = ModuleTree.of(base), Recipe.read(stage.folder / "recipe.json").lora
    adapted = adapted_modules(tree, lora)
    estimate = estimate_memory(tree, lora, "float32", "none", 96, 4096, "cpu", 2, False)
    assert estimate.training > estimate.weights > 4 * tree.parameters

    model = load_adapter(base, stage.folder / "adapter")
    factors = {name: weight for name, weight in model.named_parameters() if "lora_" in name}
    assert sum(weight.numel() for weight in factors.values()) == adapter_parameters(adapted, 2)
    assert all(weight.any() for weight in factors.values()), "a factor that no step reached"
    tuned = plain_scores(model)
    assert np.abs(tuned - untuned).max() > 1e-3
    np.testing.assert_allclose(score(model, tokenizer, PROMPTS, ANSWERS), tuned, atol=1e-4)
