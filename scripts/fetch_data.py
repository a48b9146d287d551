"""Fetch one raw file from a mirror folder, its URL or the hub, and check it by its SHA-256.

    python -m scripts.fetch_data --url URL --sha256 SHA256 --output data/raw/task/file.csv
    python -m scripts.fetch_data --url URL-OF-ZIP-OR-TAR --member path/in/it.csv --sha256 SHA256-OF-MEMBER --output …
    python -m scripts.fetch_data --settings FILE.json --output …     # a URL with a password stays out of the command

A file with the right checksum is left alone; a wrong checksum is refused and nothing is kept. The settings may leave
the checksum out: that of the first fetch is then written to sources.lock.
"""

import argparse
import re
import sys

from stagewise.config.base import validate
from stagewise.config.mirror import MIRROR_VARIABLE, mirror_from_environment
from stagewise.config.sources import File
from stagewise.data.fetch_file import fetch_file
from stagewise.errors import InputError, exit_on_input_error
from stagewise.provenance.files import read_json


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    """Fetch the file; return 0 if it is there with the right checksum, 2 after an error in one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.fetch_data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", metavar="FILE", help="JSON file with url, sha256 and member, in place of these")
    parser.add_argument("--url", help="the file, or the zip or tar archive that holds it")
    parser.add_argument("--sha256", help="checksum of the file that is used (of the member)")
    parser.add_argument("--member", help="the file's path inside the archive")
    parser.add_argument("--output", required=True, help="where the file goes")
    parser.add_argument(
        "--mirror",
        default=mirror_from_environment(),
        help=f"folder searched before any download (default: ${MIRROR_VARIABLE})",
    )
    args = parser.parse_args(argv)
    if bool(args.settings) == bool(args.url and args.sha256):
        parser.error("give either --settings or both --url and --sha256")
    if args.settings:
        file = validate(File, read_json(args.settings, "the settings"), args.settings)
    elif re.fullmatch("[0-9a-fA-F]{64}", args.sha256):
        given = {"url": args.url, "sha256": args.sha256.lower(), "member": args.member}
        file = validate(File, given, "command line")
    else:
        raise InputError(f"--sha256: '{args.sha256}' is not a SHA-256 (64 hexadecimal digits)")
    if not file.is_fetched:
        raise InputError(f"{args.settings}: names a file of this machine, which needs no fetching")
    log_line = fetch_file(file, args.output, args.mirror)
    print(f"{args.output}: {log_line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
