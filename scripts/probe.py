"""Score one model on the probes with one score per item: held-out texts and tasks of lm-evaluation-harness."""

import argparse
import sys

from stagewise.cli import add_image, positive
from stagewise.errors import exit_on_input_error
from stagewise.models.frozen_layers import add_frozen_layers, kept_layers
from stagewise.probes.command_line import add_probe_settings, read_probe_settings
from stagewise.probes.run import ProbeJob, score_probes


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.probe", description=__doc__)
    add_probe_settings(parser)
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--adapter", help="folder of the adapter; none scores the model alone")
    parser.add_argument("--output", required=True, help="folder to write the scores to")
    parser.add_argument("--checkpoints", help="folder where finished scores are kept by what they are made from")
    parser.add_argument(
        "--last-layers",
        type=positive,
        help="without an adapter: layers that the experiment's adapters change, so that all share the others' output",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=ProbeJob.batch_size,
        metavar="N",
        help="requests per forward pass of the harness (%(default)s)",
    )
    add_frozen_layers(parser)
    add_image(parser)
    args = parser.parse_args(argv)
    score_probes(
        read_probe_settings(args, args.settings),
        args.model,
        args.adapter,
        args.output,
        args.checkpoints,
        args.image,
        kept_layers(args, args.last_layers),
        batch_size=args.batch_size,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
