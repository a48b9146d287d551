"""The model card of an exported adapter or merged model."""

from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.models.adapters import ADAPTER_CONFIG
from stagewise.models.licences import licence_metadata
from stagewise.models.merged_model import MergeCheck
from stagewise.pipeline.export_report import Reported, evaluation_results, forgetting_table, score_table
from stagewise.pipeline.export_source import Source
from stagewise.provenance.files import read_json
from stagewise.training.model_card import DISCLAIMER, TAGS, describe_origin, format_card, settings_table

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

PLACE = "FOLDER"
"""Stands for the exported folder, which has no address of its own."""


def export_card(
    source: Source,
    reported: Reported | None,
    without: str,
    licence: Model | None,
    name: str,
    repository: str | None,
    merged: MergeCheck | None,
    prompts: bool,
) -> str:
    """Write the card of an export: how to load it, its scores, what it forgot, how it was made, and the metadata.

    It holds no text of any item and no path of this machine.

    Parameters
    ----------
    reported
        The report's figures; None without a report, and `without` says why.
    licence
        The base model's licence, if it is known.
    name
        Title of the card.
    repository
        Where it will be pushed.
    merged
        Check of the merged model; None for an adapter.
    prompts
        Show the tasks' prompt templates.
    """
    results = evaluation_results(reported) if reported else []
    return format_card(
        _text(source, reported, without, name, repository or PLACE, merged, prompts),
        library_name="transformers" if merged else "peft",
        base_model=source.base.hub,
        base_model_relation=source.base.hub and ("finetune" if merged else "adapter"),
        tags=list(TAGS if source.recipe else TAGS_ELSEWHERE),
        datasets=(reported.datasets() if reported else []) or None,
        eval_results=results or None,
        model_name=name if results else None,
        **licence_metadata(licence.licence if licence else None),
    )


def _text(source: Source, reported, without: str, name: str, place: str, merged, prompts: bool) -> str:
    subject = "The base model with a LoRA adapter merged into it," if merged else "A LoRA adapter"
    sections = [f"# {name}", _origin(source, subject)]
    sections += ["## Use it", (_LOAD_MODEL if merged else _LOAD_ADAPTER).format(place=place)]
    if source.recipe and prompts:
        sections += [_prompts(source)]
    if merged:
        sections += [_merge_sentence(source, merged)]
    if reported:
        sections += ["## Scores", _score_sentence(reported), score_table(reported)]
        lost = forgetting_table(reported)
        sections += ["## What it forgot", _forgetting_sentence(reported, lost), *([lost] if lost else [])]
    else:
        sections += ["## Scores", f"None: {without}."]
    if source.recipe:
        summary = read_json(source.folder / "training.json", "the summary of the training")
        written = read_json(source.folder / ADAPTER_CONFIG, "the adapter's configuration")
        sections += ["## How it was made", settings_table(source.recipe, summary, written), DISCLAIMER]
    return "\n\n".join(sections) + "\n"


def _origin(source: Source, subject: str) -> str:
    if source.recipe:
        return describe_origin(subject, source.recipe, source.base.hub)
    return f"{subject} for `{source.base.hub or Path(source.base.name).name}`, not trained by this project."


def _prompts(source: Source) -> str:
    blocks = []
    for name, task in source.recipe.tasks.items():
        fence = "`" * 4
        answers = ", ".join(f"`{word}`" for word in task.words)
        blocks.append(
            f"Prompt of `{name}`, in the chat template's user turn; answers: {answers}.\n\n"
            f"{fence}text\n{task.prompt.text.strip()}\n{fence}"
        )
    return "\n\n".join(blocks)


def _merge_sentence(source: Source, merged: MergeCheck) -> str:
    text = (
        "Merged in float32: the logits of a few prompts differ from those of the adapter on the base model by "
        f"{merged.merge:.1e} of their size (root mean squares)."
    )
    if merged.dtype != "float32":
        text += f" Written in {merged.dtype}, which moves them by {merged.rounding:.1e} of it."
    if source.recipe and source.recipe.quantization != "none":
        text += (
            f" The adapter was trained and scored on the base model quantized to {source.recipe.quantization}; it is "
            "merged into the weights as they are without quantization."
        )
    return text


def _score_sentence(reported: Reported) -> str:
    experiment = reported.metrics.experiment
    text = (
        f"Of the adapter on the base model (quantization {experiment.quantization}, compute type "
        f"{experiment.compute_type or experiment.dtype}), by {experiment.method} within the task's labels; brackets "
        f"are {100 * experiment.confidence:g} % intervals."
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
