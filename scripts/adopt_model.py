"""Put a fully fine-tuned model in its place in the lineage, from its recipe."""

import argparse
import sys

from stagewise.errors import exit_on_input_error
from stagewise.training.adopt import adopt_model
from stagewise.training.command_line import add_job, open_job


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.adopt_model", description=__doc__)
    parser.add_argument("--tuned", required=True, help="folder of the fetched model")
    add_job(parser)
    args = parser.parse_args(argv)
    adopt_model(open_job(args), args.tuned)
    return 0


if __name__ == "__main__":
    sys.exit(main())
