"""The model card beside an adapter."""

import json
from pathlib import Path

from stagewise.models.adapter_settings import describe_adapter
from stagewise.models.adapters import ADAPTER_CONFIG
from stagewise.provenance.files import read_json
from stagewise.recipe import Recipe
from stagewise.training.new_lora import trains_new_lora


def write_card(folder: Path, recipe: Recipe, summary: dict) -> None:
    """Write ``README.md``: the adapter's origin, settings and results, and how to query it."""
    lora, written = recipe.lora, read_json(folder / ADAPTER_CONFIG, "the adapter's configuration")  # remedies add ranks
    parents = " and ".join(f"`{parent.lineage}`" for parent in recipe.parents) or "the base model"
    made = "trained on" if recipe.training else "merged, without training, after"
    tasks = ", ".join(f"`{name}` ({', '.join(recipe.tasks[name].words)})" for name in recipe.learns)
    remedies = "; ".join(
        f"{name} {json.dumps(remedy.model_dump(mode='json'))}" for name, remedy in recipe.remedies.chosen.items()
    )
    packages = ", ".join(f"{name} {number}" for name, number in summary["packages"].items())
    text = f"""---
library_name: peft
base_model: {recipe.model.name}
tags: [lora, text-classification, sequential-fine-tuning]
---

# {recipe.lineage}

A LoRA adapter for `{recipe.model.name}`, stage {recipe.stage} of its lineage: {made} {tasks},
starting from {parents}. Fingerprint `{recipe.fingerprint}`.

| setting | value |
|---|---|
| quantization, compute type | {recipe.quantization}, {summary["dtype"]} |
| LoRA | {describe_adapter(written)}, dropout {lora.dropout}, on {", ".join(lora.target_modules)}\
{f" of the last {lora.last_layers} layers" if lora.last_layers else ""}\
{"; the parent's part is frozen" if recipe.training and recipe.parents and trains_new_lora(recipe) else ""} |
| remedies | {remedies or "none"} |
{_training_rows(recipe, summary)}| seed | {recipe.seed} |

| result | value |
|---|---|
{_result_rows(recipe, summary)}| device | {summary["device"]} |
| packages | {packages} |

Ask it with `python -m scripts.infer --adapter DIR --task {recipe.learns[0]} …`. It is a research artefact, not a
medical or psychological service.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _training_rows(recipe: Recipe, summary: dict) -> str:
    training = recipe.training
    if not training:
        return ""
    return (
        f"| items, epochs, steps | {summary['items']}, {summary['epochs']:g}, {summary['steps']} |\n"
        f"| items per step, learning rate | {training.items_per_step}, {training.learning_rate:g} "
        f"({training.scheduler}) |\n"
        f"| loss on | {training.loss_on} |\n"
    )


def _result_rows(recipe: Recipe, summary: dict) -> str:
    if not recipe.training:
        kept = summary.get("kept_share")
        row = (
            "" if kept is None else f"| share of the merged updates' squared norm that the rank keeps | {kept:.1%} |\n"
        )
        return f"{row}| time | {summary['seconds']:.0f} s |\n"
    return (
        f"| final training loss | {_number(summary['final_loss'])} |\n"
        f"| best validation loss | {_number(summary['best_eval_loss'])} at step {summary['best_eval_step']} |\n"
        f"| prompts shortened | {summary['shortened']} |\n"
        f"| time, speed, peak memory | {summary['seconds']:.0f} s, {_number(summary['tokens_per_second'])} tokens/s, "
        f"{summary['peak_memory_bytes'] / 2**30:.1f} GiB |\n"
    )


def _number(value) -> str:
    return "unknown" if value is None else f"{value:.4g}"
