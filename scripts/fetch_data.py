"""Fetch one raw file, checked by its SHA-256, from a mirror folder or from its URL.

    python -m scripts.fetch_data --url URL --sha256 SHA256 --output data/raw/task/file.csv
    python -m scripts.fetch_data --url URL-OF-ZIP-OR-TAR --member path/in/it.csv --sha256 SHA256-OF-MEMBER --output …

A file with the right checksum is left alone; a wrong checksum is refused and nothing is kept.
"""

import argparse
import re
import sys

from stagewise.config.mirror import MIRROR_VARIABLE, mirror_from_environment
from stagewise.data.download import fetch
from stagewise.errors import InputError, exit_on_input_error


@exit_on_input_error
def main(argv=None) -> int:
    """Fetch the file; return 0 if it is there with the right checksum, 2 after an error in one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.fetch_data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="the file, or the zip or tar archive that holds it")
    parser.add_argument("--sha256", required=True, help="checksum of the file that is used (of the member)")
    parser.add_argument("--member", help="the file's path inside the archive")
    parser.add_argument("--output", required=True, help="where the file goes")
    parser.add_argument(
        "--mirror",
        default=mirror_from_environment(),
        help=f"folder searched before any download (default: ${MIRROR_VARIABLE})",
    )
    args = parser.parse_args(argv)
    sha256 = args.sha256.lower()
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise InputError(f"--sha256: '{args.sha256}' is not a SHA-256 (64 hexadecimal digits)")
    log_line = fetch(args.url, sha256, args.output, member=args.member, mirror=args.mirror)
    print(f"{args.output}: {log_line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
