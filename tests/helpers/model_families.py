"""Small random models of families whose logits are more than hidden states times output weights."""

from tests.helpers.tiny_llama import build_tokenizer

FAMILIES = ("Llama", "Granite", "Cohere", "Gemma2", "Phi")


def build_family(name: str, dtype: str = "float32"):
    """A random model that scales (Granite, Cohere), caps (Gemma 2) or shifts (Phi's bias) its logits, or does not."""
    import torch
    import transformers

    shape = {
        "vocab_size": len(build_tokenizer()),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "initializer_range": 0.3,
    }
    facts = {
        "Granite": {"logits_scaling": 8.0},
        "Cohere": {"logit_scale": 0.25},
        "Gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 2.0},
    }
    config = getattr(transformers, f"{name}Config")(**shape | facts.get(name, {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
        if name == "Phi":
            torch.nn.init.normal_(model.lm_head.bias, std=2)
    return model.to(getattr(torch, dtype)).requires_grad_(False).eval()


def adapted_family(name: str, dtype: str = "float32", dropout: float = 0.0):
    """The same with a random LoRA adapter in float32."""
    import torch
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=4,
        lora_alpha=8,
        lora_dropout=dropout,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return get_peft_model(build_family(name, dtype), lora)
