"""Every decoder family in use: trained, scored as a plain forward pass scores, and scored again from its files."""

import numpy as np
import pytest
import torch

from stagewise.config.training import Lora
from stagewise.inference.likelihood import score
from stagewise.models.adapters import load_adapter
from stagewise.models.load import load_base, load_tokenizer
from stagewise.models.memory_estimate import estimate_memory
from stagewise.models.module_tree import ModuleTree, check_head, read_module_tree
from stagewise.models.target_modules import adapted_modules, adapter_parameters
from stagewise.training.stage_data import load_stage_data
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


def mean_answer_nll(model, rows) -> float:
    """Mean negative log-probability of the rows' counted tokens, each row alone in a forward pass."""
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"][1:])
            logprobs = model(ids, use_cache=False).logits[0, :-1].double().log_softmax(-1)
            total -= float(logprobs[labels >= 0].gather(1, labels[labels >= 0][:, None]).sum())
            count += int((labels >= 0).sum())
    return total / count


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_split(tmp_path_factory.mktemp("data"), train=8, validation=4)


@pytest.mark.parametrize("name", DECODERS)
def test_a_family_is_trained_and_scored_as_its_forward_pass_scores(name, data, tmp_path):
    folder = save_decoder(name, tmp_path / "model")
    lora = {"r": 2, "alpha": 8, "dropout": 0, "last_layers": 1}
    training = {"epochs": 2, "batch_size": 8, "max_length": 128}
    stage = Stage(tmp_path, folder, data, lora=lora, training=training)
    assert stage.train("--batch-size", "4") == 0

    tokenizer, base = load_tokenizer(folder), load_base(folder, "none", "float32")
    rows = load_stage_data(stage.recipe, tokenizer, data).rows
    first_loss = next(float(line.split(",")[-1]) for line in stage.log() if ",train,loss," in line)
    assert first_loss == pytest.approx(mean_answer_nll(base, rows), abs=1e-3)
    untuned = plain_scores(base)
    check_head(folder, read_module_tree(folder))
    np.testing.assert_allclose(score(base, tokenizer, PROMPTS, ANSWERS), untuned, atol=1e-4)

    adapted = adapted_modules(ModuleTree.of(base), stage.recipe.lora)
    model = load_adapter(base, stage.folder / "adapter")
    factors = {name: weight for name, weight in model.named_parameters() if "lora_" in name}
    assert sum(weight.numel() for weight in factors.values()) == adapter_parameters(adapted, 2)
    assert all(weight.any() for weight in factors.values()), "a factor that no step reached"
    tuned = plain_scores(model)
    assert np.abs(tuned - untuned).max() > 1e-3
    np.testing.assert_allclose(score(model, tokenizer, PROMPTS, ANSWERS), tuned, atol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_the_memory_of_a_family_is_estimated(name):
    tree, lora = ModuleTree.of(build_decoder(name)), Lora(r=2)
    estimate = estimate_memory(tree, lora, "float32", "none", 96, 4096, "cpu", 2, False)
    assert estimate.training > estimate.weights > 4 * tree.parameters
