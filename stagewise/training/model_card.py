"""The model card beside an adapter, and the parts that exported cards share with it."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from stagewise.models.adapter_settings import describe_adapter
from stagewise.models.adapters import ADAPTER_CONFIG
from stagewise.provenance.files import read_json
from stagewise.recipe import Recipe, RecipeTask
from stagewise.task_kinds import describe_answers
from stagewise.training.new_lora import trains_new_lora

CARD = "README.md"
"""The file that the hub shows as a repository's page."""

HUB_TASKS = {"generation": "text-generation", "multiple_choice": "multiple-choice"}
"""Names of kinds of tasks on the hub; of the others `text-classification`."""

DISCLAIMER = "It is a research artefact, not a medical or psychological service."


def write_card(folder: Path, recipe: Recipe, summary: dict) -> None:
    """Write ``README.md``: the adapter's origin, settings and results, and how to query it.

    Scores are not known yet: an exported card has them (`scripts.export`).
    """
    hub = recipe.model.origin.get("hub")
    text = f"""# {recipe.lineage}

{describe_origin("A LoRA adapter", recipe, hub)}

{settings_table(recipe, summary, read_json(folder / ADAPTER_CONFIG, "the adapter's configuration"))}

{results_table(recipe, summary)}

Ask it with `python -m scripts.infer --adapter DIR --task {recipe.learns[0]} …`; `python -m scripts.export` writes a
copy for other tools, with the report's scores in its card. {DISCLAIMER}
"""
    card = format_card(
        text, library_name="peft", base_model=hub, base_model_relation=hub and "adapter", tags=tags(recipe)
    )
    (folder / CARD).write_text(card, encoding="utf-8")


def tags(recipe: Recipe) -> list[str]:
    """Tags of an adapter's card: what it is, and the kinds of tasks that its stage learnt."""
    kinds = dict.fromkeys(hub_task(recipe.tasks[name].kind) for name in recipe.learns)
    return ["lora", *kinds, "sequential-fine-tuning", "stagewise"]


def hub_task(kind: str | None) -> str:
    """Name of a kind of task on the hub; None is classification."""
    return HUB_TASKS.get(kind, "text-classification")


def format_card(text: str, **metadata) -> str:
    """Write a model card: the metadata, by the hub library's own class, and the text; what is None is left out.

    Parameters
    ----------
    metadata
        Of `huggingface_hub.ModelCardData`; the hub's name of a causal language model's pipeline is added.
    """
    from huggingface_hub import ModelCard, ModelCardData

    given = {key: value for key, value in metadata.items() if value is not None}
    data = ModelCardData(pipeline_tag="text-generation", **given)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def describe_origin(subject: str, recipe: Recipe, base: str | None) -> str:
    """Say in a sentence what an adapter learnt, and after what; `base` is the base model's name on the hub."""
    learnt = {name: recipe.tasks[name] for name in recipe.learns}
    tasks = ", ".join(f"`{name}` ({_answers(task)})" for name, task in learnt.items())
    parents = " and ".join(f"`{parent.lineage}`" for parent in recipe.parents) or "the base model"
    if not is_made_here(recipe):
        made = "taken from elsewhere" + (f", where it learnt {tasks}" if tasks else "")
    elif recipe.training:
        made = f"trained on {tasks},\nstarting from {parents}"
    else:
        made = f"merged, without training, after {tasks},\nstarting from {parents}"
    return (
        f"{subject} for `{base or recipe.model.name}`, stage {recipe.stage} of its lineage: {made}.\n"
        f"Fingerprint `{recipe.fingerprint}`."
    )


def _answers(task: RecipeTask) -> str:
    is_listed = task.kind not in ("multiple_choice", "generation")
    return ", ".join(task.words) if is_listed else describe_answers(task.kind, task.words)


def is_made_here(recipe: Recipe) -> bool:
    """Tell if an adapter was trained or merged by this project, rather than taken from elsewhere."""
    return bool(recipe.training or recipe.parents)


def settings_table(recipe: Recipe, summary: dict, written: dict) -> str:
    """Table of an adapter's settings.

    Parameters
    ----------
    summary
        Facts about the training, as in ``training.json``.
    written
        The adapter's configuration: remedies and merges may add ranks to those of the recipe.
    """
    remedies = "; ".join(
        f"{name} {json.dumps(remedy.model_dump(mode='json'))}" for name, remedy in recipe.remedies.chosen.items()
    )
    rows = [
        ("quantization, compute type", f"{recipe.quantization}, {summary.get('dtype', recipe.dtype)}"),
        ("LoRA", _lora(recipe, written)),
        ("remedies", remedies or "none"),
    ]
    if training := recipe.training:
        rows += [
            ("items, epochs, steps", f"{summary['items']}, {summary['epochs']:g}, {summary['steps']}"),
            (
                "items per step, learning rate",
                f"{training.items_per_step}, {training.learning_rate:g} ({training.scheduler})",
            ),
            ("loss on", training.loss_on),
        ]
    return table(("setting", "value"), [*rows, ("seed", recipe.seed)])


def results_table(recipe: Recipe, summary: dict) -> str:
    """Table of a training's or a merge's own results."""
    packages = ", ".join(f"{name} {number}" for name, number in summary["packages"].items())
    rows = _training_results(summary) if recipe.training else _merge_results(summary)
    return table(("result", "value"), [*rows, ("device", summary["device"]), ("packages", packages)])


def table(head: Iterable[str], rows: Iterable[Iterable]) -> str:
    """Write a table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value) -> str:
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|")


def _lora(recipe: Recipe, written: dict) -> str:
    modules = written["target_modules"]
    text = (
        f"{describe_adapter(written)}, dropout {recipe.lora.dropout}, "
        f"on {modules if isinstance(modules, str) else ', '.join(sorted(modules))}"
    )
    if recipe.lora.last_layers:
        text += f" of the last {recipe.lora.last_layers} layers"
    if recipe.training and recipe.parents and trains_new_lora(recipe):
        text += "; the parent's part is frozen"
    return text


def _training_results(summary: dict) -> list[tuple]:
    return [
        ("final training loss", _number(summary["final_loss"])),
        ("best validation loss", f"{_number(summary['best_eval_loss'])} at step {summary['best_eval_step']}"),
        ("prompts shortened", summary["shortened"]),
        (
            "time, speed, peak memory",
            f"{summary['seconds']:.0f} s, {_number(summary['tokens_per_second'])} tokens/s, "
            f"{summary['peak_memory_bytes'] / 2**30:.1f} GiB",
        ),
    ]


def _merge_results(summary: dict) -> list[tuple]:
    kept = summary.get("kept_share")
    share = [] if kept is None else [("share of the merged updates' squared norm that the rank keeps", f"{kept:.1%}")]
    return [*share, ("time", f"{summary['seconds']:.0f} s")]


def _number(value) -> str:
    return "unknown" if value is None else f"{value:.4g}"
