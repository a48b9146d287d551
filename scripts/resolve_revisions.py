"""Write down in sources.lock which commits the branches and tags of an experiment's models and data sets are.

    python -m scripts.resolve_revisions config.yaml experiments/mine.yaml             # what is not written down yet
    python -m scripts.resolve_revisions config.yaml experiments/mine.yaml --update    # ask again, on purpose

A run does the first by itself. Commit the file: with it, every machine uses the same commits, and plans need no
network.
"""

import argparse
import sys

from stagewise.errors import exit_on_input_error
from stagewise.pipeline.resolve_revisions import update_revisions


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    """Write the commits down; return 0, or 2 after an error in one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.resolve_revisions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="configuration files (later ones win)")
    parser.add_argument(
        "--update",
        action="store_true",
        help="ask again for what is written down, and forget the checksums of first fetches",
    )
    args = parser.parse_args(argv)
    lines = update_revisions(*args.files, update=args.update)
    print("\n".join(lines) or "every revision is a commit, and every file has its checksum: nothing to write down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
