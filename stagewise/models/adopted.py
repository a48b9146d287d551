"""Adapters from elsewhere, fetched or copied once into a folder of this project. No torch is imported.

The folder holds the weights and their configuration, byte by byte as they were, and a receipt. A folder of the user's
is copied because whoever trains there may write to it at any time.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from stagewise.config.adopted import AdoptedAdapter
from stagewise.config.base_model import Model
from stagewise.config.shareable import shareable_folder
from stagewise.config.sources_lock import check_is_commit
from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, first_not_finite
from stagewise.models.from_hub import fetch_from_hub, list_hub_files
from stagewise.provenance.files import read_json, replaced_folder, sha256_file
from stagewise.provenance.hub import explained_refusals
from stagewise.provenance.receipts import RECEIPT, read_receipt, write_receipt
from stagewise.recipe import RecipeAdopted

ADOPTED_FILES = (ADAPTER_CONFIG, ADAPTER_WEIGHTS)

PICKLE = "adapter_model.bin"

CARD = "README.md"

Checksum = Callable[[Path], str]


def adapter_origin(adopted: AdoptedAdapter) -> dict[str, str]:
    """Origin of an adapter, as plain data that may be passed on."""
    if adopted.hub:
        return dict(zip(("hub", "revision"), adopted.hub, strict=True))
    return {"path": shareable_folder(adopted.path)}


def fetch_adapter(adopted: AdoptedAdapter, output) -> str:
    """Fetch an adapter into the folder `output`, unless it is there already as its source has it.

    Returns
    -------
    A line for the log.

    Raises
    ------
    InputError
        If it cannot be fetched, or is no LoRA adapter in safetensors.
    """
    output = Path(output)
    if _is_there(adopted, output):
        return "up to date"
    if output.is_dir() and {path.name for path in output.iterdir()} - {*ADOPTED_FILES, CARD, RECEIPT}:
        raise InputError(f"{output}: this folder holds something else than an adapter; name another --output")
    with replaced_folder(output) as folder:
        licence = _from_hub(adopted, output, folder) if adopted.hub else _from_folder(adopted.path, folder)
        check_is_lora(folder, adopted.source)
        _check_finite(folder, adopted.source)
        write_receipt(folder, {"origin": adapter_origin(adopted), "licence": licence}, ADOPTED_FILES)
    return f"{adopted.source} is there"


def _is_there(adopted: AdoptedAdapter, output: Path) -> bool:
    if not (output / RECEIPT).is_file():
        return False
    try:
        receipt = read_receipt(output, "the adapter")
    except InputError:
        return False  # damaged or incomplete: fetched again
    return receipt.get("origin") == adapter_origin(adopted) and not changed_files(adopted, receipt)


def _from_folder(path: str, folder: Path) -> str:
    """Copy an adapter from a local folder; return the licence that its card names."""
    source = local_folder(path)
    for name in ADOPTED_FILES:
        shutil.copyfile(source / name, folder / name)
    card = source / CARD
    return _licence(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else "unknown"


def local_folder(path: str) -> Path:
    """Find the folder with an adapter's files: `path`, or ``adapter`` in it, as this workflow leaves it.

    Raises
    ------
    InputError
        If there is no folder, or it lacks a file.
    """
    if not Path(path).is_dir():
        raise InputError(f"{path}: there is no such folder; name the folder that save_pretrained of PEFT has written")
    folder = next((f for f in (Path(path), Path(path) / "adapter") if (f / ADAPTER_CONFIG).is_file()), Path(path))
    _check_names({file.name for file in folder.iterdir()}, path)
    return folder


def _from_hub(adopted: AdoptedAdapter, output: Path, folder: Path) -> str:
    """Fetch an adapter from the hub; return the licence that its card names."""
    repository, commit = adopted.hub
    model = Model(hub=repository, revision=commit)
    check_is_commit(repository, commit)
    with explained_refusals(repository, commit):
        files = list_hub_files(model, wanted=lambda name: name in (*ADOPTED_FILES, CARD, PICKLE))
    _check_names({*files}, adopted.source)
    files.pop(PICKLE, None)
    # Kept if a download breaks off, so that the next run continues it.
    partial = output.with_name(f".{output.name}.partial")
    for name in fetch_from_hub(model, partial, files):
        (partial / name).replace(folder / name)
    shutil.rmtree(partial)
    card = folder / CARD
    return _licence(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else "unknown"


def _check_names(names: set[str], source: str) -> None:
    """Refuse a folder or repository without an adapter's configuration, or without weights in safetensors."""
    if ADAPTER_CONFIG not in names:
        hint = "; a fully fine-tuned model is a stage with 'model'" if "config.json" in names else ""
        raise InputError(f"{source}: no adapter here ({ADAPTER_CONFIG} is missing){hint}")
    if ADAPTER_WEIGHTS not in names:
        instead = (
            f"only {PICKLE}, which can run code when it is read; convert it once with save_pretrained where you trust "
            "the file"
            if PICKLE in names
            else "get it again, whole"
        )
        raise InputError(f"{source}: the adapter's weights ({ADAPTER_WEIGHTS}) are missing; {instead}")


def check_is_lora(folder: Path, source: str) -> None:
    """Refuse another kind of adapter than LoRA; `load_adapter` looks at everything else."""
    config = read_json(folder / ADAPTER_CONFIG, "the adapter's configuration")
    if config.get("peft_type") != "LORA":
        raise InputError(
            f"{source}: {ADAPTER_CONFIG} has the peft_type {str(config.get('peft_type'))[:40]!r}, but only LORA "
            "adapters are read"
        )


def _check_finite(folder: Path, source: str) -> None:
    try:
        name = first_not_finite(folder / ADAPTER_WEIGHTS)
    except InputError:
        raise InputError(f"{source}: {ADAPTER_WEIGHTS} is no safetensors file, or is damaged; get it again") from None
    if name:
        raise InputError(
            f"{source}: the weights '{name}' are not finite (NaN or infinite), as a training that has diverged leaves "
            "them; name an earlier checkpoint"
        )


def _licence(card: str) -> str:
    """Read the licence of a card's metadata, which stand between lines of dashes at its top."""
    front = re.match(r"---\s*\n(.*?)\n---", card, re.DOTALL)
    licence = re.search(r"^license:\s*['\"]?([\w.+-]{1,80})", front[1], re.MULTILINE) if front else None
    return licence[1] if licence else "unknown"


def changed_files(adopted: AdoptedAdapter, receipt: dict, checksum: Checksum = sha256_file) -> list[str]:
    """Say which files of a local folder are others than those that its receipt names, one line each.

    A folder that is not on this machine has not changed, and neither does a commit of the hub.
    """
    if adopted.hub or not Path(adopted.path).is_dir():
        return []
    source, recorded = local_folder(adopted.path), receipt["files"]
    return [f"adapter file {name} changed" for name in ADOPTED_FILES if checksum(source / name) != recorded[name]]


def describe_adopted_adapter(adopted: AdoptedAdapter, folder, checksum: Checksum = sha256_file) -> RecipeAdopted:
    """Describe an adapter, whose files are in `folder`, for a recipe."""
    files = {name: checksum(Path(folder) / name) for name in ADOPTED_FILES}
    return RecipeAdopted(kind="adapter", origin=adapter_origin(adopted), files=files)


def lora_settings(folder) -> Lora:
    """Describe an adapter's LoRA as settings, as near as they come: PEFT knows more ways to set ranks and targets.

    Training goes on with the adapter's own configuration; this is what recipes and reports show of it.
    """
    config = read_json(Path(folder) / ADAPTER_CONFIG, "the adapter's configuration")
    targets = config.get("target_modules")
    if not isinstance(targets, list) or not targets:
        targets = _layer_names(Path(folder) / ADAPTER_WEIGHTS)
    values = {
        "r": config.get("r", 8),
        "alpha": max(1, round(config.get("lora_alpha", 8))),
        "dropout": float(config.get("lora_dropout", 0.0)),
        "target_modules": sorted(targets),
    }
    values |= {key: True for key, setting in (("dora", "use_dora"), ("rslora", "use_rslora")) if config.get(setting)}
    try:
        return Lora(**values)
    except ValueError:
        raise InputError(f"{folder}: {ADAPTER_CONFIG} has settings that no LoRA has; get the adapter again") from None


def _layer_names(weights: Path) -> list[str]:
    """Last parts of the names of the layers that a file has factors for."""
    return sorted({name.rpartition(".")[2] for name in factor_shapes(weights)})


def factor_shapes(weights: Path) -> dict[str, dict[str, list[int]]]:
    """Shapes of the factors A (rank, inputs) and B (outputs, rank) by layer, without reading their values.

    Raises
    ------
    InputError
        If the file is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, dict[str, list[int]]] = {}
    try:
        with safe_open(weights, "np") as file:
            for key in file.keys():  # noqa: SIM118
                if match := re.fullmatch(r"base_model\.model\.(.+)\.lora_([AB])\.weight", key):
                    shapes.setdefault(match[1], {})[match[2]] = file.get_slice(key).get_shape()
    except (SafetensorError, OSError) as error:
        raise InputError(f"{weights}: cannot be read ({' '.join(str(error).split())[:200]}); get it again") from None
    return shapes
