"""Put an adapter from elsewhere in its place in the lineage, from its recipe."""

import argparse
import sys

from stagewise.cli import add_image
from stagewise.errors import exit_on_input_error
from stagewise.training.adopt import adopt_adapter
from stagewise.training.job import AdapterJob


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.adopt_adapter", description=__doc__)
    parser.add_argument("--recipe", required=True, help="the stage's recipe.json")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--adapter", required=True, help="folder of the fetched adapter")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument("--checkpoints", required=True, help="folder for finished adapters, kept by fingerprint")
    parser.add_argument("--output", required=True, help="folder to write")
    add_image(parser)
    args = parser.parse_args(argv)
    job = AdapterJob.open(args.recipe, args.model, args.data, [], args.checkpoints, args.output, args.image)
    adopt_adapter(job, args.adapter)
    return 0


if __name__ == "__main__":
    sys.exit(main())
