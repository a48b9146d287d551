"""Make one adapter from finished ones, without any training, from its recipe."""

import argparse
import sys

from stagewise.cli import add_image
from stagewise.errors import exit_on_input_error
from stagewise.models.frozen_layers import add_frozen_layers, kept_layers
from stagewise.predictions.command_line import add_scoring_settings
from stagewise.probes.command_line import SCORE_TEXTS, add_probe_settings, read_scorer
from stagewise.training.job import AdapterJob
from stagewise.training.merge import merge_adapters


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.merge_adapters", description=__doc__)
    parser.add_argument("--recipe", required=True, help="the adapter's recipe.json")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument("--parents", required=True, nargs="+", help="folders of the adapters, in the recipe's order")
    parser.add_argument("--checkpoints", required=True, help="folder for finished adapters, kept by fingerprint")
    parser.add_argument("--output", required=True, help="folder to write the adapter to")
    add_scoring_settings(parser, "--score", "score the adapter for the prediction step, by these ")
    add_probe_settings(parser, SCORE_TEXTS, "with --score: score it on texts for the probe step, by these ")
    add_frozen_layers(parser)
    add_image(parser)
    args = parser.parse_args(argv)
    merge_adapters(
        AdapterJob.open(args.recipe, args.model, args.data, args.parents, args.checkpoints, args.output, args.image),
        read_scorer(args),
        kept_layers(args),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
