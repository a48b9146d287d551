"""O-LoRA's new directions: the update leaves what the earlier LoRAs read as it is."""

import numpy as np
import pytest

from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.models.adapters import adapted_layers, read_adapter
from stagewise.remedies.orthogonal import Orthogonal
from tests.helpers import tiny_llama
from tests.helpers.new_lora_learner import NewLoraLearner


def test_the_update_is_zero_on_earlier_directions_and_not_on_others(tmp_path, tiny_model):
    """O-LoRA (arXiv:2310.14152): A_parent A_new^T = 0, so B_new A_new x = 0 for x in the rows of A_parent."""
    parent = tiny_llama.build_adapter(tmp_path / "parent", tiny_model)
    learner = NewLoraLearner(tmp_path, tiny_model, parent, Orthogonal())
    _, factors = read_adapter(parent)
    for layer in adapted_layers(learner.model):
        if layer.name in factors:  # at the start, too
            assert np.abs(layer.a[4:].detach().numpy() @ factors[layer.name][0].numpy().T).max() < 1e-6
    learner.learn()
    for layer in adapted_layers(learner.model):
        new = layer.scaling * (layer.b[:, 4:] @ layer.a[4:]).detach().numpy()
        if layer.name.endswith("v_proj"):  # none of the stage's layers
            assert not new.any()
            continue
        anything = np.random.default_rng(0).normal(size=(4, new.shape[1]))
        assert np.abs(anything @ new.T).max() > 1e-2
        if layer.name in factors:
            assert np.abs(factors[layer.name][0].numpy() @ new.T).max() < 1e-5


def test_earlier_loras_that_take_all_directions_are_refused(tmp_path, tiny_model):
    parent = tiny_llama.build_adapter(tmp_path / "parent", tiny_model)
    lora = Lora(r=60, target_modules=["q_proj"])
    learner = NewLoraLearner(tmp_path, tiny_model, parent, Orthogonal(), lora=lora)
    learner.model.save_pretrained(tmp_path / "full")
    sentence = r"remedies\.orthogonal: the earlier stages take all 64 input directions of .*; lower lora\.r$"
    with pytest.raises(InputError, match=sentence):
        NewLoraLearner(tmp_path / "more", tiny_model, tmp_path / "full", Orthogonal(), lora=lora)
