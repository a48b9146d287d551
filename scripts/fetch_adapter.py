"""Fetch an adapter from elsewhere once, from the hub or a local folder, with a receipt; later steps need no network.

python -m scripts.fetch_adapter --source runs/mine --output adapters/mine
python -m scripts.fetch_adapter --source owner/name@COMMIT --output adapters/name
"""

import argparse
import sys

from stagewise.config.adopted import AdoptedAdapter
from stagewise.config.base import validate
from stagewise.errors import exit_on_input_error
from stagewise.models.adopted import fetch_adapter
from stagewise.provenance.files import read_json


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    """Fetch the adapter; return 0 if it is there and complete, 2 after an error in one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.fetch_adapter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--source", help="the adapter's folder, or owner/name@commit on the hub")
    source.add_argument("--settings", metavar="FILE", help="JSON file with the source, in place of --source")
    parser.add_argument("--output", required=True, help="folder to write, such as adapters/NAME")
    args = parser.parse_args(argv)
    values = read_json(args.settings, "the settings") if args.settings else {"source": args.source}
    log_line = fetch_adapter(validate(AdoptedAdapter, values, args.settings or "command line"), args.output)
    print(f"{args.output}: {log_line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
