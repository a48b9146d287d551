"""Run an experiment twice from scratch in different surroundings, and compare every byte that the runs leave.

    python -m scripts.certify --cores 4 --configfile experiments/real.yaml

Two copies of the project are made in a temporary folder, with other names, umasks, file times, time zones, locales,
home folders and hash seeds. Splits, recipes, adapters, predictions and metrics are compared; fields that hold times are
left out. The exit code is 0 if all bytes are equal, 1 if some differ, and 2 if a run fails.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from stagewise.errors import exit_on_input_error
from stagewise.pipeline.certify import compare_bytes, describe, results_folder, run_twice


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    """Certify an experiment; 0 if both runs leave the same bytes, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.certify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cores", default="1", help="cores of each run (default 1); the runs follow each other")
    parser.add_argument("--configfile", nargs="+", default=[], metavar="FILE", help="overlays, as for snakemake")
    parser.add_argument("--scratch", type=Path, help="folder for the two copies (default: the system's)")
    parser.add_argument("--against", nargs=2, type=Path, metavar="RESULTS", help="compare two folders and run nothing")
    arguments = parser.parse_args(argv)
    if arguments.against:
        return _report(*arguments.against)
    project = Path.cwd()
    overlays = [str(Path(name).resolve()) for name in arguments.configfile]
    results = results_folder(project, overlays)
    options = ["--cores", arguments.cores, *(["--configfile", *overlays] if overlays else [])]
    with tempfile.TemporaryDirectory(prefix="certify-", dir=arguments.scratch) as scratch:
        return _report(*run_twice(project, Path(scratch), results, options))


def _report(first: Path, second: Path) -> int:
    compared = compare_bytes(first, second)
    print("\n".join(describe(compared)))
    return int(any(entry.problem for entry in compared) or not compared)


if __name__ == "__main__":
    sys.exit(main())
