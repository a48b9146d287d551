"""Check an experiment in seconds, before anything expensive: a short table, and what to do.

    python -m scripts.preflight --settings config.yaml experiments/real.yaml

Checks what settings, this machine, and whatever is here already (the base model's tokenizer and configuration, the
splits) determine; nothing is fetched and no weights are read. `snakemake preflight` fetches both first, and every run
of the workflow does the same before it trains. A failed check ends with exit code 2, warnings do not.
"""

import argparse
import sys

from stagewise.cli import add_settings
from stagewise.config.experiment import Config
from stagewise.errors import exit_on_input_error
from stagewise.pipeline.preflight.context import Context
from stagewise.pipeline.preflight.run import run_preflight


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    """Print the table; 0 if nothing failed, 2 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.preflight", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_settings(parser, Config, lambda config: config)
    parser.add_argument("--elsewhere", action="store_true", help="trainings run on other machines than this one")
    parser.add_argument("--planned", action="store_true", help="judge trainings only if a plan has marked any as due")
    parser.add_argument("--record", help="JSON file to write if nothing failed")
    args = parser.parse_args(argv)
    config = args.parse_settings(args.settings)
    return run_preflight(Context(config, args.elsewhere, args.planned), args.record)


if __name__ == "__main__":
    sys.exit(main())
