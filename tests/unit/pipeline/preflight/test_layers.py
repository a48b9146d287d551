"""Adapted layers: names, kinds, numbers and ranks that this model does not have."""

import pytest


@pytest.mark.parametrize(
    ("lora", "says"),
    [
        ({"target_modules": ["q_proj", "lm_head"]}, "'lm_head', the output head"),
        ({"target_modules": ["q_proj", "input_layernorm"]}, "'input_layernorm', which is a LlamaRMSNorm and no linear"),
        ({"target_modules": ["embed_tokens"]}, "'embed_tokens', which is a Embedding and no linear layer"),
        ({"target_modules": ["self_attn"]}, "'self_attn', which is a LlamaAttention and no linear layer"),
        (
            {"target_modules": ["all-linear"]},
            "'all-linear', which is text and no list: write lora.target_modules: all-linear",
        ),
        ({"target_modules": ["query_key_value"]}, "linear layers are q_proj, k_proj, v_proj, o_proj"),
        ({"last_layers": 3}, "lora.last_layers is 3, but the base model has 2 layers"),
        ({"r": 65}, "lora.r is 65, but the widest layer of lora.target_modules has rank 64"),
    ],
)
def test_a_hopeless_adapter_is_one_sentence(tiny_experiment, lora, says):
    ((verdict, sentence),) = tiny_experiment.problems(lora=lora)
    assert verdict == "failure" and says in sentence


@pytest.mark.parametrize("lora", [{"target_modules": ["self_attn.q_proj"]}, {"last_layers": 1}, {"r": 32}])
def test_what_peft_supports_passes(tiny_experiment, lora):
    assert tiny_experiment.problems(lora=lora) == []


def test_a_rank_above_the_smallest_layers_is_a_warning(tiny_experiment):
    ((verdict, sentence),) = tiny_experiment.problems(lora={"r": 48})
    assert verdict == "warning" and "lora.r is 48, and the smallest of the adapted layers has rank 32" in sentence
