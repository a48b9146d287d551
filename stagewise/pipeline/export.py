"""Export of an adapter, or of its base model with it merged in, for other tools and for the hub."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.config.inheritance import DEFAULT_FILE
from stagewise.config.load_config import load
from stagewise.errors import InputError
from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from stagewise.models.merged_model import MergeCheck, weights_dtype, write_merged_model
from stagewise.models.receipts import model_files
from stagewise.pipeline.export_card import ExportCard, format_export_card
from stagewise.pipeline.export_gguf import find_converter, write_gguf
from stagewise.pipeline.export_push import check_push, push_folder
from stagewise.pipeline.export_report import Reported, find_report
from stagewise.pipeline.export_source import HUB_NAME, Source, find_licence, find_source
from stagewise.provenance.files import read_json, replaced_folder
from stagewise.training.model_card import CARD

# Files that `AutoTokenizer` reads, of the tokenizers of causal language models; no code among them.
_TOKENIZER_FILES = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "*.model",
    "*.jinja",
)

# Terms of the base model, which go with its weights.
_LICENCE_FILES = ("LICEN[CS]E*", "NOTICE*", "USE_POLICY*")


@dataclass(frozen=True)
class ExportOptions:
    """Choices of an export: the adapter, the forms to write, and the places."""

    adapter: str
    """Folder of the adapter, or of its lineage."""
    output: Path
    """Folder to write."""
    merge: bool = False
    """Write the base model with the adapter merged in."""
    dtype: str | None = None
    """Type of a merged model's weights; None for that of the base model's own."""
    gguf: str | None = None
    """Type of a GGUF file to add; None for no file."""
    push: str | None = None
    """Repository to push to, ``owner/name``."""
    private: bool = False
    branch: str | None = None
    """Branch of the repository; None for the main one."""
    may_redistribute: bool = False
    """The base model's licence allows to pass its weights on, whatever the configuration says."""
    prompts: bool = False
    """Show the tasks' prompts in the card."""
    model: str | None = None
    """Folder of the base model, if it is not ``models/NAME``."""
    base: str | None = None
    """Repository of the base model, ``owner/name[@revision]``, if it is not as recorded."""
    results: str | None = None
    """Results folder of the report whose scores the card gets, if it is not the one that the adapter lies in."""
    settings: tuple[str, ...] = ()
    """Configuration files that know the base model's licence; ``config.yaml`` if there is one."""
    converter: str | None = None
    """llama.cpp's converter, or the folder of llama.cpp."""


def export(options: ExportOptions) -> str | None:
    """Write the exported folder, whole or not at all, and push it if asked; return the address of the commit.

    Raises
    ------
    InputError
        If the adapter or its base model is incomplete, if what is written does not give the same logits, if the
        licence does not allow the push, if the converter fails, or if the hub refuses.
    """
    _check_options(options)
    converter = find_converter(options.converter, options.merge) if options.gguf else None
    if options.push:
        check_push(options.push)
    source = find_source(options.adapter, options.model, options.base)
    if options.prompts and source.recipe is None:
        raise InputError(f"--prompts: {source.folder} has no recipe, which would hold them; leave --prompts out")
    reported, without = _report(source, options.results)
    licence = _licence(source, reported, options.settings)
    if options.push:
        _check_licence(options, source, licence)
    name = (options.push or options.output.resolve().name).rpartition("/")[2]
    with replaced_folder(options.output) as folder:
        check = _write_merged(source, options.dtype, folder) if options.merge else None
        if not options.merge:
            _write_adapter(source, folder)
        _copy_tokenizer(source, folder)
        card = ExportCard(source, name, options.push, licence, check, reported, without, options.prompts)
        (folder / CARD).write_text(format_export_card(card), encoding="utf-8")
        if converter:  # it reads the card, too
            write_gguf(converter, folder, options.gguf, None if options.merge else source.base.here())
        _make_readable(folder)
    print(f"{options.output}: {_describe(source, check, reported, without)}", file=sys.stderr)
    if not options.push:
        return None
    message = f"Add {'a model with a LoRA adapter merged in' if options.merge else 'a LoRA adapter'}"
    return push_folder(options.output, options.push, options.private, options.branch, message)


def _check_options(options: ExportOptions) -> None:
    """Refuse options that do not go together, and a folder that holds something."""
    for name, given, needed, there in (
        ("--dtype", options.dtype, "--merge", options.merge),
        ("--converter", options.converter, "--gguf", options.gguf),
        ("--private", options.private, "--push", options.push),
        ("--revision", options.branch, "--push", options.push),
        ("--may-redistribute", options.may_redistribute, "--push", options.push),
    ):
        if given and not there:
            raise InputError(f"{name} goes with {needed}, which is not given; add it, or leave {name} out")
    if options.push and not HUB_NAME.fullmatch(options.push):
        raise InputError(f"--push '{options.push}' is no repository; write owner/name")
    if options.output.exists() and not (options.output.is_dir() and not any(options.output.iterdir())):
        raise InputError(f"--output {options.output}: it is there already; name a new folder, or delete it")


def _report(source: Source, results: str | None) -> tuple[Reported | None, str]:
    if source.recipe:
        return find_report(source.folder, source.recipe, results)
    if results:
        raise InputError(f"--results: {source.folder} has no recipe, by which a report knows it; leave --results out")
    return None, "no report is about an adapter without a recipe"


def _licence(source: Source, reported: Reported | None, settings: tuple[str, ...]) -> Model | None:
    """Settings of the base model: from files that are named, from the report, or from the project's configuration."""
    origin = reported.metrics.experiment.model_origin if reported else {}
    if settings:
        model = find_licence(source.base, source.recipe, load(*settings))
        if model is None:
            raise InputError(f"--settings: {source.base.name} is not one of their 'models'; name other files, or none")
        return model
    if "licence" in origin:
        return Model.model_construct(licence=origin["licence"], redistribute=bool(origin.get("redistribute")))
    return find_licence(source.base, source.recipe, load(DEFAULT_FILE)) if Path(DEFAULT_FILE).is_file() else None


def _check_licence(options: ExportOptions, source: Source, licence: Model | None) -> None:
    """Refuse to publish what others could not load, and weights that may not be passed on."""
    if not options.merge:
        if source.base.hub is None:
            raise InputError(
                f"--push: others could not load the adapter, because its base model {source.base.name} has no name on "
                "the hub; name its repository with --base owner/name, or push the merged model (--merge)"
            )
        return
    if not (options.may_redistribute or (licence and licence.redistribute)):
        terms = f"its licence is '{licence.licence}', " if licence else ""
        raise InputError(
            f"--push --merge would publish the weights of {source.base.name}: {terms}'redistribute' is not set for it; "
            "if its licence allows that, set it under 'models', or add --may-redistribute"
        )


def _write_adapter(source: Source, folder: Path) -> None:
    """Copy the weights, and name the base model as other tools find it."""
    shutil.copyfile(source.folder / ADAPTER_WEIGHTS, folder / ADAPTER_WEIGHTS)
    config = read_json(source.folder / ADAPTER_CONFIG, "the adapter's configuration")
    config |= {"base_model_name_or_path": source.base.reference, "revision": source.base.revision}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_merged(source: Source, dtype: str | None, folder: Path) -> MergeCheck:
    model_dir = source.base.here()
    if source.recipe and source.recipe.quantization != "none":
        print(
            f"{source.folder}: trained on the base model quantized to {source.recipe.quantization}; it is merged into "
            "the weights without quantization, so that its scores may differ a little",
            file=sys.stderr,
        )
    check = write_merged_model(source.folder, model_dir, dtype or weights_dtype(model_dir), folder)
    _copy(model_files(model_dir), folder, _LICENCE_FILES)
    return check


def _copy_tokenizer(source: Source, folder: Path) -> None:
    """Copy the tokenizer with its chat template: the adapter's own, or else the base model's if that is here."""
    if (source.folder / "tokenizer_config.json").is_file():
        _copy(source.folder, folder, _TOKENIZER_FILES)
    elif source.base.folder:
        _copy(model_files(source.base.folder), folder, _TOKENIZER_FILES)


def _copy(files: Path, folder: Path, patterns: tuple[str, ...]) -> None:
    for path in sorted(files.iterdir()):
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in patterns):
            shutil.copyfile(path, folder / path.name)


def _make_readable(folder: Path) -> None:
    """Make every file as readable as the umask lets it be: safetensors writes private ones."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.iterdir():
        path.chmod(0o666 & ~mask)


def _describe(source: Source, check: MergeCheck | None, reported: Reported | None, without: str) -> str:
    """One line on what was written."""
    if check is None:
        line = f"adapter for {source.base.reference}"
    else:
        line = f"merged model in {check.dtype}, logits within {check.merge:.1e} of the adapter's"
        line += "" if check.dtype == "float32" else f" before rounding, which moves them by {check.rounding:.1e}"
    return f"{line}; its card has {'the scores of the report' if reported else f'no scores: {without}'}"
