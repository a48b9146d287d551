"""Fetch a base model once, as safetensors with its tokenizer and a receipt; later steps need no network."""

import argparse
import sys
from pathlib import Path

from stagewise.cli import add_settings
from stagewise.config.base_model import Model
from stagewise.config.experiment import Config
from stagewise.config.mirror import MIRROR_VARIABLE, mirror_from_environment
from stagewise.errors import InputError, exit_on_input_error
from stagewise.models.download import fetch_model


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    """Fetch the model; return 0 if it is there and complete, 2 after an error in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fetch_model", description=__doc__)
    parser.add_argument("--name", help="which of `models`; the experiment's own if --settings names whole files")
    parser.add_argument("--output", required=True, help="folder to write, such as models/NAME")
    parser.add_argument("--mirror", help=f"folder searched for the package first (or set {MIRROR_VARIABLE})")

    def choose_model(config: Config) -> Model:
        args.name = args.name or config.model
        if config.models.get(args.name) is None:
            raise InputError(f"--name '{args.name}' is not one of models ({', '.join(config.models)})")
        return config.models[args.name]

    add_settings(parser, Model, choose_model)
    args = parser.parse_args(argv)
    model = args.parse_settings(args.settings)
    name = args.name or Path(args.output).name
    log_line = fetch_model(model, name, args.output, args.mirror or mirror_from_environment())
    print(f"{args.output}: {log_line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
