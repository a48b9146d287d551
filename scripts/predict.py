"""Score every task and split with one model: the base model, or an adapter on it."""

import argparse
import sys

from stagewise.cli import add_image, positive
from stagewise.errors import exit_on_input_error
from stagewise.models.frozen_layers import add_frozen_layers, kept_layers
from stagewise.predictions.command_line import add_scoring_settings, read_scoring_settings
from stagewise.predictions.run import predict_splits


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.predict", description=__doc__)
    add_scoring_settings(parser)
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--adapter", help="folder of the adapter; none scores the untuned base model")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument("--output", required=True, help="folder to write the prediction files to")
    parser.add_argument("--checkpoints", help="folder where finished predictions are kept by what they are made from")
    parser.add_argument(
        "--last-layers",
        type=positive,
        help="without an adapter: layers that the experiment's adapters change, so that all share the others' output",
    )
    add_frozen_layers(parser)
    add_image(parser)
    args = parser.parse_args(argv)
    predict_splits(
        read_scoring_settings(args, args.settings),
        args.model,
        args.adapter,
        args.data,
        args.output,
        args.checkpoints,
        args.image,
        kept_layers(args, args.last_layers),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
