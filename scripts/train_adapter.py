"""Train one adapter from its recipe.

A finished training is kept under its fingerprint beside its checkpoints: running the step again copies it, and an
interrupted training resumes. With ``--processes`` several GPUs train it together.
"""

import argparse
import sys

from stagewise.cli import add_image, positive
from stagewise.errors import InputError, exit_on_input_error
from stagewise.models.frozen_layers import add_frozen_layers, kept_layers
from stagewise.training.job import AdapterJob
from stagewise.training.run import RunOptions, train_adapter
from stagewise.training.time_limit import TimeLimit


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.train_adapter", description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", required=True, help="the adapter's recipe.json")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument("--parent", help="folder of the parent adapter; none for a first stage")
    parser.add_argument("--checkpoints", required=True, help="folder for checkpoints, kept by fingerprint")
    parser.add_argument("--output", required=True, help="folder to write the adapter to")
    parser.add_argument("--log-steps", type=positive, default=5, help="log every N optimizer steps")
    parser.add_argument("--report-to", nargs="*", default=["tensorboard"], help="trackers that logs go to")
    parser.add_argument(
        "--tokens-per-batch",
        type=positive,
        default=RunOptions.tokens_per_batch,
        help="padded tokens per batch of validation items, as in the prediction step",
    )
    add_image(parser)
    add_frozen_layers(parser)
    parser.add_argument("--processes", type=int, default=1, help="processes, one per GPU, that train it together")
    parser.add_argument(
        "--time-limit",
        type=float,
        metavar="MINUTES",
        help="stop at a checkpoint before this, with exit code 75, so that the same command goes on from there",
    )
    args = parser.parse_args(argv)
    if args.time_limit is not None and not args.time_limit >= 0:
        raise InputError(f"--time-limit must be a number of minutes (got {args.time_limit})")
    parents = [args.parent] if args.parent else []
    train_adapter(
        AdapterJob.open(args.recipe, args.model, args.data, parents, args.checkpoints, args.output, args.image),
        RunOptions(
            log_steps=args.log_steps,
            report_to=tuple(args.report_to),
            tokens_per_batch=args.tokens_per_batch,
            kept_layers=kept_layers(args),
            processes=args.processes,
            command=tuple(sys.argv[1:] if argv is None else argv),
            limit=TimeLimit(args.time_limit),
        ),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
