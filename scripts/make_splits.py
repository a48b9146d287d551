"""Make train, validation and test items from raw files, for every task at once.

    python -m scripts.make_splits --settings config.yaml --output results/data

Writes {output}/{task}/{train,validation,test}.jsonl, set_aside.csv (rows that are not used, with the reason) and
{output}/summary.json (counts and checksums). Nothing is written until everything is computed.
"""

import argparse
import sys

from stagewise.cli import add_image, add_settings
from stagewise.config.step_settings import DataSettings
from stagewise.data.prepare import log_lines, make_splits, write_splits
from stagewise.data.raw_files import RAW
from stagewise.errors import exit_on_input_error
from stagewise.pipeline.splits_inputs import splits_inputs


@exit_on_input_error
def main(argv=None) -> int:
    """Make every task's splits; return 0 once all files are written, 2 after an error, without any file."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.make_splits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_settings(parser, DataSettings, lambda config: config.data_settings())
    parser.add_argument("--raw", default=RAW, help="folder of the fetched raw files (default: %(default)s)")
    parser.add_argument("--output", required=True, help="folder for the splits")
    add_image(parser)
    args = parser.parse_args(argv)
    settings = args.parse_settings(args.settings)
    files, summary = make_splits(settings, args.raw)
    summary |= {"inputs": splits_inputs(settings, args.raw), "image": args.image}
    write_splits(args.output, files, summary)
    print(*log_lines(summary), sep="\n", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
