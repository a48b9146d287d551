"""Train one adapter from its recipe.

A finished training is kept under its fingerprint beside its checkpoints: running the step again copies it, and an
interrupted training resumes. With ``--processes`` several GPUs train it together. With ``--score`` and ``--siblings``
the process goes on with the base model that it has loaded: it scores the adapter, and does the same for others.
"""

import argparse
import sys
from pathlib import Path

from stagewise.cli import add_image, auto_or_positive, positive
from stagewise.errors import InputError, exit_on_input_error
from stagewise.models.frozen_layers import add_frozen_layers, kept_layers
from stagewise.predictions.command_line import add_scoring_settings
from stagewise.probes.command_line import SCORE_TEXTS, add_probe_settings, read_scorer
from stagewise.training.job import AdapterJob
from stagewise.training.passes import WishedPasses
from stagewise.training.run import train_adapter
from stagewise.training.stage import RunOptions
from stagewise.training.time_limit import TimeLimit

CHECKPOINTING = {"auto": None, "on": True, "off": False}


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
    parser.add_argument(
        "--micro-batch",
        type=auto_or_positive,
        metavar="auto|N",
        help="items per forward pass and process; auto: what fits on a GPU, --batch-size on a CPU",
    )
    parser.add_argument("--batch-size", type=positive, metavar="N", help="what --micro-batch auto takes on a CPU")
    parser.add_argument(
        "--gradient-checkpointing",
        choices=CHECKPOINTING,
        default="auto",
        help="compute activations again instead of keeping them; auto: if one item does not fit otherwise",
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
    add_scoring_settings(parser, "--score", "score the adapter for the prediction step, by these ")
    add_probe_settings(parser, SCORE_TEXTS, "with --score: score it on texts for the probe step, by these ")
    parser.add_argument(
        "--siblings",
        type=Path,
        metavar="FILE",
        help="adapters that a run trains from the same parent: some of them are left in --checkpoints as well",
    )
    parser.add_argument(
        "--trainings",
        type=positive,
        default=1,
        help="adapters that this process trains at most, this one included",
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
            passes=WishedPasses(args.micro_batch, CHECKPOINTING[args.gradient_checkpointing], args.batch_size),
            kept_layers=kept_layers(args),
            processes=args.processes,
            command=tuple(sys.argv[1:] if argv is None else argv),
            limit=TimeLimit(args.time_limit),
            scorer=read_scorer(args),
            siblings=args.siblings,
            trainings=args.trainings,
        ),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
