"""LoRA adapters of many kinds, made by a plain script of PEFT without anything of this project."""

from pathlib import Path

TARGETS = ["q_proj", "v_proj"]

KINDS: dict[str, dict] = {
    "plain": {"task_type": None},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, r"layers\.1\..*v_proj": 6}, "alpha_pattern": {r"layers\.0\..*": 3}},
    "all-linear": {"target_modules": "all-linear", "init_lora_weights": "gaussian"},
    "expression": {"target_modules": r".*layers\.1\.(self_attn|mlp)\.(q|k|v|up|down)_proj"},
    "layers": {"layers_to_transform": 1, "layers_pattern": "layers", "exclude_modules": ["v_proj"]},
    "bias": {"bias": "lora_only", "lora_bias": True},
    "all-biases": {"bias": "all"},
    "head": {"modules_to_save": ["lm_head", "norm"]},
    "embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "lora-on-head": {"target_modules": ["q_proj", "lm_head"]},
    "saved-embeddings": {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "tokens": {"trainable_token_indices": [5, 6, 7]},
    "dora-patterns": {"use_dora": True, "use_rslora": True, "rank_pattern": {"q_proj": 2}},
}
"""Settings of PEFT's `LoraConfig` by kind."""


def lora_config(kind: str, **settings):
    from peft import LoraConfig

    return LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": TARGETS, "task_type": "CAUSAL_LM"} | KINDS[kind] | settings
    )


def build_base(folder: Path) -> Path:
    """Save a tiny random Qwen2 with tokenizer and receipt: its attention has biases, its embeddings are tied."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from stagewise.models.receipts import write_model_receipt
    from tests.helpers.tiny_llama import build_tokenizer

    tokenizer = build_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_model_receipt(folder, folder.name, {"path": "made by a test"})
    return folder


def draw(model, seed: int = 0) -> None:
    """Draw an adapter's weights, strong enough to change answers."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            noise = torch.empty(parameter.shape).normal_(std=0.2, generator=generator).to(parameter.dtype)
            parameter.data = parameter.data * 1.2 + noise if "magnitude" in name else parameter.data + noise


def build(folder: Path, model_dir: Path, kind: str, dtype: str = "float32", **settings) -> Path:
    """Save an adapter of some kind for a model folder, as `PeftModel.save_pretrained` does."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    model = get_peft_model(base, lora_config(kind, **settings))
    draw(model)
    if dtype != "float32":
        model.to(getattr(torch, dtype))
    model.save_pretrained(folder)
    return Path(folder)


def logits(model):
    """Logits of a few tokens, float64."""
    import torch

    with torch.no_grad():
        return model.eval()(torch.arange(3, 40)[None]).logits.double()


def load(folder: Path, model_dir: Path):
    """Load a folder's adapter by PEFT alone."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32), folder)


def adopt(folder: Path, stage, model_dir: Path) -> None:
    """Write the recipe and the receipt of a stage beside its adapter, as if the stage had trained it."""
    from stagewise.models.receipts import model_receipt
    from stagewise.provenance.receipts import write_receipt

    stage.recipe.write(folder / "recipe.json")
    model = model_receipt(model_dir)["fingerprint"]
    write_receipt(folder, {"inputs": {"recipe": stage.recipe.fingerprint, "model": model, "parents": []}})


def train(folder: Path, model_dir: Path, steps: int) -> list[Path]:
    """Train a LoRA adapter by transformers' Trainer alone; returns its checkpoints, one a step, in order."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    ids = list(range(3, 30))
    arguments = TrainingArguments(
        folder,
        max_steps=steps,
        save_steps=1,
        learning_rate=1e-2,
        per_device_train_batch_size=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    items = [{"input_ids": ids, "labels": ids}] * steps
    Trainer(get_peft_model(base, lora_config("dora")), arguments, train_dataset=items).train()
    return sorted(folder.glob("checkpoint-*"))
