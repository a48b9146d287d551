"""Fetch a base model, or an adapter, from a hub repository, at a commit."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.errors import InputError
from stagewise.models.model_folder import is_model_file
from stagewise.provenance.files import sha256_file

_BY_HAND = "run this step where the network is, or put the files in a directory and use 'path'"


def fetch_from_hub(model: Model, folder: Path, files: dict | None = None) -> list[str]:
    """Fetch files of a repository at its commit into `folder`, and list their names, sorted.

    They are `files`, as `list_hub_files` gives them; the model's if not given.

    Files that are there already are not fetched again, and an interrupted download is continued.

    The hub library reads the token for a gated repository, from the environment (``HF_TOKEN``) or from
    ``hf auth login``; this module never sees it.
    """
    source = f"{model.hub} at {model.revision[:12]}"
    with explained_refusals(model):
        import huggingface_hub

        files = files or list_hub_files(model)
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


@contextmanager
def explained_refusals(model: Model) -> Iterator[None]:
    """Turn the hub library's errors into sentences (`InputError`)."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import errors

    source = f"{model.hub} at {model.revision[:12]}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise InputError(f"{source}: {_access(error, 'it is gated: accept its licence on the hub, then')}") from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{model.hub}: the hub has no commit {model.revision}; correct 'revision'") from None
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{source}: {_access(error, 'no such repository, or it is private: correct the name, or')}"
        ) from None
    except errors.HfHubHTTPError as error:
        raise InputError(f"{source}: {_access(error, 'the hub refused it: try again, or')}") from None
    except errors.LocalTokenNotFoundError:
        raise InputError(f"{source}: no token found; set HF_TOKEN or log in with `hf auth login`") from None
    except errors.OfflineModeIsEnabled:
        raise InputError(
            f"{source}: HF_HUB_OFFLINE is set; unset it, or put the files in a directory and use 'path'"
        ) from None
    except Exception as error:
        if not is_network_error(error):
            raise
        raise InputError(f"{source}: the hub could not be reached ({type(error).__name__}); {_BY_HAND}") from None


def _access(error, cause: str) -> str:
    """Explain a refusal that a login may cure."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"{cause} log in with `hf auth login` or set HF_TOKEN (the hub answered {status})"


def is_network_error(error: BaseException) -> bool:
    """Check whether an error of the hub library, or its cause, means that the hub cannot be reached."""
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.startswith(
            ("httpx", "httpcore")
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
