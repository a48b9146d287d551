"""Make one adapter from finished ones, without any training, from its recipe."""

import argparse
import sys

from stagewise.errors import exit_on_input_error
from stagewise.models.frozen_layers import add_frozen_layers, kept_layers
from stagewise.predictions.command_line import add_scoring_settings
from stagewise.probes.command_line import SCORE_TEXTS, add_probe_settings, read_scorer
from stagewise.training.command_line import add_job, open_job
from stagewise.training.merge import merge_adapters


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.merge_adapters", description=__doc__)
    parser.add_argument("--parents", required=True, nargs="+", help="folders of the adapters, in the recipe's order")
    add_job(parser)
    add_scoring_settings(parser, "--score", "score the adapter for the prediction step, by these ")
    add_probe_settings(parser, SCORE_TEXTS, "with --score: score it on texts for the probe step, by these ")
    add_frozen_layers(parser)
    args = parser.parse_args(argv)
    merge_adapters(open_job(args, args.parents), read_scorer(args), kept_layers(args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
