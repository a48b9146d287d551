"""Tiny random models of the decoder families that are in use, saved as a model folder with the tiny tokenizer."""

from pathlib import Path

from tests.helpers.tiny_llama import build_tokenizer

_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "initializer_range": 0.1,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_GEMMA = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16}

# By the class of the configuration, what differs from `_SHAPE`.
DECODERS = {
    "Llama": {},
    "Mistral": {"sliding_window": 16},
    "Qwen2": {},
    "Qwen3": {"head_dim": 8},
    "Qwen2Moe": {**_EXPERTS, "shared_expert_intermediate_size": 16},
    "Qwen3Moe": {**_EXPERTS, "head_dim": 8},
    "Mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Gemma": {"head_dim": 8},
    "Gemma2": {**_GEMMA, "final_logit_softcapping": 2.0},
    "Gemma3Text": _GEMMA,
    "Phi3": {"sliding_window": 16},
    "Olmo2": {},
    "SmolLM3": {"no_rope_layers": [1, 0]},
    "Granite": {"logits_scaling": 8.0},
    "GPT2": {"attn_pdrop": 0, "embd_pdrop": 0, "resid_pdrop": 0},
    "GPTNeoX": {},
    "Falcon": {"new_decoder_architecture": False, "multi_query": True},
    "Mamba": {"state_size": 8, "time_step_rank": 4},
}


def build_decoder(name: str):
    """A random model of two layers in float32, without dropout."""
    import torch
    import transformers

    config = getattr(transformers, f"{name}Config")(**_SHAPE | {"vocab_size": len(build_tokenizer())} | DECODERS[name])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.AutoModelForCausalLM.from_config(config).float().eval()


def save_decoder(name: str, folder) -> Path:
    """Save a family's model, the tiny tokenizer and their receipt into `folder`; return it."""
    from transformers.utils import logging

    from stagewise.models.receipts import write_model_receipt

    folder = Path(folder)
    logging.disable_progress_bar()
    build_decoder(name).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    write_model_receipt(folder, "tiny", {"path": "tests/helpers"})
    return folder
