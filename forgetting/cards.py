"""The model card beside an adapter, and the package versions that made it."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "datasets", "accelerate")


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide a training's result."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_card(folder: Path, recipe: dict, summary: dict) -> None:
    """Write ``README.md``: what the adapter is, from what it was trained and how to ask it."""
    training, lora = recipe["training"], recipe["lora"]
    parent = recipe["parent"]["lineage"] if recipe["parent"] else "the base model"
    packages = ", ".join(f"{name} {number}" for name, number in summary["packages"].items())
    text = f"""---
library_name: peft
base_model: {recipe["model"]["name"]}
tags: [lora, text-classification, sequential-fine-tuning]
---

# {recipe["lineage"]}

A LoRA adapter for `{recipe["model"]["name"]}`, stage {recipe["stage"]} of its lineage: trained on the task
`{recipe["task"]}` ({", ".join(recipe["words"])}), starting from {parent}. Fingerprint `{recipe["fingerprint"]}`.

| setting | value |
|---|---|
| quantization, compute type | {recipe["quantization"]}, {summary["dtype"]} |
| LoRA | r {lora["r"]}, alpha {lora["alpha"]}, dropout {lora["dropout"]}, on {", ".join(lora["target_modules"])} |
| items, epochs, steps | {summary["items"]}, {summary["epochs"]:g}, {summary["steps"]} |
| batch × accumulation, learning rate | {training["batch_size"]} × {training["gradient_accumulation"]}, \
{training["learning_rate"]:g} ({training["scheduler"]}) |
| loss on | {training["loss_on"]} |
| seed | {recipe["seed"]} |

| result | value |
|---|---|
| final training loss | {_number(summary["final_loss"])} |
| best validation loss | {_number(summary["best_eval_loss"])} at step {summary["best_eval_step"]} |
| prompts shortened | {summary["shortened"]} |
| time, speed, peak memory | {summary["seconds"]:.0f} s, {_number(summary["tokens_per_second"])} tokens/s, \
{summary["peak_memory_bytes"] / 2**30:.1f} GiB |
| device | {summary["device"]} |
| packages | {packages} |

Ask it with `python -m scripts.infer --adapter DIR --task {recipe["task"]} …`. It is a research artefact, not a
medical or psychological service.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _number(value) -> str:
    return "unknown" if value is None else f"{value:.4g}"
