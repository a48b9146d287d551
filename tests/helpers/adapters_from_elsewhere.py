"""Adapters of the tiny model as a plain script of PEFT leaves them, without anything of this project."""

from pathlib import Path


def save_adapter(folder, model_dir, seed: int = 0, name: str | None = None, **settings) -> Path:
    """Save a random LoRA adapter, strong enough to change answers, as `save_pretrained` does.

    Parameters
    ----------
    name
        Base model that its configuration names; the model's folder if not given.
    settings
        Of `LoraConfig`, in place of rank 3 and alpha 6 on q_proj and v_proj.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    values = {"r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"} | settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_peft_model(base, LoraConfig(init_lora_weights=False, **values))
    if name:
        model.peft_config["default"].base_model_name_or_path = name
    model.save_pretrained(folder)
    return Path(folder)
