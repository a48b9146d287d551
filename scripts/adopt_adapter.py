"""Put an adapter from elsewhere in its place in the lineage, from its recipe."""

import argparse
import sys

from stagewise.errors import exit_on_input_error
from stagewise.training.adopt import adopt_adapter
from stagewise.training.command_line import add_job, open_job


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.adopt_adapter", description=__doc__)
    parser.add_argument("--adapter", required=True, help="folder of the fetched adapter")
    add_job(parser)
    args = parser.parse_args(argv)
    adopt_adapter(open_job(args), args.adapter)
    return 0


if __name__ == "__main__":
    sys.exit(main())
