"""The model card of an exported adapter or merged model."""

from dataclasses import dataclass
from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.models.adapters import ADAPTER_CONFIG
from stagewise.models.licences import licence_metadata
from stagewise.models.merged_model import MergeCheck
from stagewise.pipeline.export_probes import probe_results, probe_table
from stagewise.pipeline.export_report import (
    Reported,
    describe_answering,
    evaluation_results,
    forgetting_table,
    score_table,
)
from stagewise.pipeline.export_source import Source
from stagewise.provenance.files import read_json
from stagewise.recipe import Recipe
from stagewise.task_kinds import describe_answers
from stagewise.training.model_card import CARD, DISCLAIMER, describe_origin, format_card, settings_table, tags

_LOAD_ADAPTER = """```python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("{place}")
tokenizer = AutoTokenizer.from_pretrained("{place}")
```"""

_LOAD_MODEL = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{place}")
tokenizer = AutoTokenizer.from_pretrained("{place}")
```"""

TAGS_ELSEWHERE = ("lora",)
"""Of an adapter that was not trained here."""

_PROBES = "Change of what its arm does not learn, on the same items, since the untuned model."

PLACE = "FOLDER"
"""Stands for the exported folder, which has no address of its own."""


@dataclass(frozen=True)
class ExportCard:
    """Facts that the card of an export is written from."""

    source: Source
    name: str
    """Title of the card."""
    repository: str | None
    """Where it will be pushed."""
    licence: Model | None
    """The base model's settings, if its licence is known; an adapter from elsewhere has a licence of its own."""
    merged: MergeCheck | None
    """Check of the merged model; None for an adapter."""
    reported: Reported | None
    """The report's figures."""
    without: str
    """Why there are none."""
    prompts: bool
    """Show the tasks' prompt templates."""


def format_export_card(card: ExportCard) -> str:
    """Write the card: how to load it, its scores, what it forgot, how it was made, and the metadata.

    It holds no text of any item and no path of this machine.
    """
    source, hub = card.source, card.source.base.hub
    results = [*evaluation_results(card.reported), *probe_results(card.reported)] if card.reported else []
    if source.is_made_here:
        licence = licence_metadata(card.licence.licence if card.licence else None)
    else:
        licence = _named_licence(source)
    return format_card(
        _text(card),
        library_name="transformers" if card.merged else "peft",
        base_model=hub,
        base_model_relation=hub and ("finetune" if card.merged else "adapter"),
        tags=tags(source.recipe) if source.is_made_here else list(TAGS_ELSEWHERE),
        datasets=(card.reported.datasets() if card.reported else []) or None,
        eval_results=results or None,
        model_name=card.name if results else None,
        **licence,
    )


def _named_licence(source: Source) -> dict[str, str]:
    """The licence that an adapter's own card names."""
    from huggingface_hub import ModelCard

    path = source.folder / CARD
    if not path.is_file():
        return {}
    try:
        data = ModelCard.load(path, ignore_metadata_errors=True).data.to_dict()
    except Exception:  # somebody else's card raises whatever its parsers raise
        return {}
    return {key: str(data[key]) for key in ("license", "license_name", "license_link") if key in data}


def _text(card: ExportCard) -> str:
    source, reported = card.source, card.reported
    sections = [f"# {card.name}", _origin(source, card.merged)]
    load = _LOAD_MODEL if card.merged else _LOAD_ADAPTER
    sections += ["## Use it", load.format(place=card.repository or PLACE)]
    if source.recipe and card.prompts:
        sections += [_prompts(source.recipe)]
    if card.merged:
        sections += [_merge_sentence(source.recipe, card.merged)]
    if reported:
        sections += ["## Scores", _score_sentence(reported), score_table(reported)]
        lost = forgetting_table(reported)
        sections += ["## What it forgot", _forgetting_sentence(reported, lost), *([lost] if lost else [])]
        if probes := probe_table(reported):
            sections += [_PROBES, probes]
    else:
        sections += ["## Scores", f"None: {card.without}."]
    if source.recipe:
        summary = read_json(source.folder / "training.json", "the summary of the training")
        written = read_json(source.folder / ADAPTER_CONFIG, "the adapter's configuration")
        sections += ["## How it was made", settings_table(source.recipe, summary, written), DISCLAIMER]
    return "\n\n".join(sections) + "\n"


def _origin(source: Source, merged: MergeCheck | None) -> str:
    subject = "The base model with a LoRA adapter merged into it," if merged else "A LoRA adapter"
    if source.recipe:
        return describe_origin(subject, source.recipe, source.base.hub)
    return f"{subject} for `{source.base.hub or Path(source.base.name).name}`, not trained by this project."


def _prompts(recipe: Recipe) -> str:
    """Templates of the tasks' prompts, and where they stand in a chat."""
    place, system = "as plain text", recipe.prompting.system
    if recipe.prompting.format == "chat":
        place = "in the user's turn of the chat template"
        if system is not None:
            place += f", after the system message `{system}`" if system else ", after an empty system message"
    blocks, fence = [], "`" * 4
    for name, task in recipe.tasks.items():
        answers = ", ".join(f"`{word}`" for word in task.words) or describe_answers(task.kind, task.words)
        blocks.append(f"Prompt of `{name}`, {place}; answers: {answers}.\n\n{fence}text\n{task.prompt.text}\n{fence}")
    return "\n\n".join(blocks)


def _merge_sentence(recipe: Recipe | None, merged: MergeCheck) -> str:
    text = (
        "Merged in float32: the logits of a few prompts differ from those of the adapter on the base model by "
        f"{merged.merge:.1e} of their size (root mean squares)."
    )
    if merged.dtype != "float32":
        text += f" Written in {merged.dtype}, which moves them by {merged.rounding:.1e} of it."
    if recipe and recipe.quantization != "none":
        text += (
            f" The adapter was trained and scored on the base model quantized to {recipe.quantization}; it is "
            "merged into the weights as they are without quantization."
        )
    return text


def _score_sentence(reported: Reported) -> str:
    experiment = reported.metrics.experiment
    text = (
        f"Of the adapter on the base model (quantization {experiment.quantization}, compute type "
        f"{experiment.compute_type or experiment.dtype}), {describe_answering(reported)}; brackets are "
        f"{100 * experiment.confidence:g} % intervals."
    )
    if experiment.sample:
        text += " Some task ran on an embedded sample of made-up items, so this is no scientific result."
    return text


def _forgetting_sentence(reported: Reported, lost: str) -> str:
    if lost:
        return (
            "Change of earlier tasks on the same items, since the adapter that learnt them. A claim is about the arm's "
            "last adapter, corrected over all claims of the report."
        )
    if not reported.recipe.earlier_tasks:
        return "Nothing was learnt before its stage, so there is no earlier task that it could have forgotten."
    return "The report compares no earlier task with this adapter."
