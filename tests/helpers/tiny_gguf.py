"""A GGUF file of the tiny random Llama, as llama.cpp's converter would write it."""

import json
from pathlib import Path

from tests.helpers import tiny_llama

# Names of a layer's weights in transformers and in GGUF.
_WEIGHTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(path: Path, architecture: str = "llama", pre_tokenizer: str = "smollm"):
    """Write the file, with float32 weights; return the model that it holds."""
    from gguf import GGUFWriter

    model, tokenizer = tiny_llama.build_model(), tiny_llama.build_tokenizer()
    config = model.config
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(512)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer, pre_tokenizer)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, weight in model.state_dict().items():
        if (named := _gguf_name(name)) is not None:
            weight = weight.numpy()
            if count := next((n for part, n in heads.items() if part in named), 0):
                # GGUF's rotary embedding takes neighbouring rows as pairs, transformers' those of two halves.
                halves = weight.reshape(count, 2, weight.shape[0] // count // 2, weight.shape[1])
                weight = halves.swapaxes(1, 2).reshape(weight.shape)
            writer.add_tensor(named, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _add_tokenizer(writer, tokenizer, pre_tokenizer: str) -> None:
    values = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in tiny_llama.SPECIAL else 1 for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in values["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tiny_llama.CHAT_TEMPLATE)


def _gguf_name(name: str) -> str | None:
    """Name of a weight in GGUF; None for one that is tied to another."""
    fixed = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in fixed or name == "lm_head.weight":
        return fixed.get(name)
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_WEIGHTS[rest.removesuffix('.weight')]}.weight"
