"""Fetch a base model, or an adapter, from a hub repository, at a commit."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from stagewise.config.base_model import GGUF, Model
from stagewise.errors import InputError
from stagewise.models.model_folder import is_model_file
from stagewise.provenance.files import sha256_file
from stagewise.provenance.hub import explained_refusals


def fetch_from_hub(model: Model, folder: Path, files: dict | None = None) -> list[str]:
    """Fetch files of a repository at its commit into `folder`, and list their names, sorted.

    They are `files`, as `list_hub_files` gives them; the model's if not given.

    Files that are there already are not fetched again, and an interrupted download is continued.

    Raises
    ------
    InputError
        If the hub refuses it or cannot be reached, or a file arrives damaged.
    """
    source = f"{model.hub} at {model.revision[:12]}"
    with explained_refusals(model.hub, model.revision):
        import huggingface_hub

        files = files or _list_model_files(model)
        size = sum(file.size for file in files.values())
        print(f"fetching {source}: {len(files)} files, {size / 1e9:.2f} GB", file=sys.stderr)
        huggingface_hub.snapshot_download(
            model.hub,
            revision=model.revision,
            local_dir=folder,
            allow_patterns=[re.sub(r"([\[*?])", r"[\1]", name) for name in files],
        )
    for name, file in files.items():
        size = (folder / name).stat().st_size
        if size != file.size or (file.lfs and sha256_file(folder / name) != file.lfs.sha256):
            (folder / name).unlink()
            raise InputError(f"{source}: {name} arrived damaged; run the step again")
    return sorted(files)


def _list_model_files(model: Model) -> dict:
    """List the files of a model; a repository with GGUF files alone is refused."""
    files = list_hub_files(model, wanted=lambda name: is_model_file(name) or name.endswith(GGUF))
    quantized = [name for name in files if name.endswith(GGUF)]
    if quantized and not any(name.endswith(".safetensors") for name in files):
        raise InputError(
            f"{model.hub}: it holds GGUF files alone; download one, such as {quantized[0]}, and name it by 'path' in "
            "the place of 'hub'"
        )
    return {name: file for name, file in files.items() if name not in quantized}


def list_hub_files(model: Model, timeout: float | None = None, wanted: Callable[[str], bool] = is_model_file) -> dict:
    """Ask the hub for the wanted files at the commit, by name: each has a ``size`` in bytes."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub

    info = huggingface_hub.HfApi().model_info(
        model.hub, revision=model.revision, files_metadata=True, **({"timeout": timeout} if timeout else {})
    )
    return {file.rfilename: file for file in info.siblings if wanted(file.rfilename)}


def check_hub_access(model: Model, timeout: float, file: str = "config.json") -> None:
    """Ask the hub for the head of a file: a gated repository lists its files to everyone, and gives them to some."""
    import huggingface_hub

    url = huggingface_hub.hf_hub_url(model.hub, file, revision=model.revision)
    huggingface_hub.get_hf_file_metadata(url, timeout=timeout)
