"""Measure the parts of the benchmark one after the other and record them in benchmarks/records/.

python -m benchmarks.run                      # every part (make bench): under 20 minutes on two idle cores
python -m benchmarks.run scoring --rounds 3   # one part
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import default_run, growth, matrix_rate, scoring, startup, training
from benchmarks.measure import ROOT, Progress
from benchmarks.records import write_record
from stagewise.cli import positive
from stagewise.config.mirror import MIRROR_VARIABLE
from stagewise.errors import InputError, exit_on_input_error
from stagewise.models.machine import usable_cores


@dataclass(frozen=True)
class Part:
    """A part of the benchmark."""

    measure: Callable[[Path, dict, Progress], dict]
    """Function of a folder to work in, the settings and the progress; it returns the figures of the record."""
    minutes: float
    """Budget on two idle cores."""
    real_data: bool = False
    """True if it needs the real data sets, from ``STAGEWISE_MIRROR``."""


# In this order: `scoring` takes the adapter that `training` leaves.
PARTS = {
    "matrix-rate": Part(matrix_rate.run, 0.75),
    "startup": Part(startup.run, 0.75),
    "training": Part(training.run, 7.5),
    "scoring": Part(scoring.run, 2.5),
    "growth": Part(growth.run, 1.5),
    "default-run": Part(default_run.run, 3.5),
    "training-real": Part(training.run_real, 2, real_data=True),
    "scoring-real": Part(scoring.run_real, 1, real_data=True),
}


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to measure (all): {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=positive, default=2, help="runs of each side, as far as the budget reaches")
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="threads of each process")
    parser.add_argument("--folder", type=Path, help="folder to work in, which is kept")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of fetched models (models)")
    parser.add_argument("--dry-run", action="store_true", help="list the parts and their budgets")
    args = parser.parse_args(argv)
    if unlisted := [name for name in args.parts if name not in PARTS]:
        raise InputError(f"'{unlisted[0]}' is no part of the benchmark; choose from {', '.join(PARTS)}")
    names = args.parts or [name for name, part in PARTS.items() if not part.real_data or mirror()]
    if args.dry_run:
        for name in names:
            print(f"{name}: {PARTS[name].minutes:g} min")
        return 0
    settings = {"rounds": args.rounds, "threads": args.threads}
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        for number, name in enumerate(names, 1):
            if PARTS[name].real_data and not mirror():
                raise InputError(f"{name}: set {MIRROR_VARIABLE} to a folder with the real data sets")
            print(f"part {number} of {len(names)}: {name}", file=sys.stderr, flush=True)
            started = time.monotonic()
            progress = Progress(name, 60 * PARTS[name].minutes)
            figures = PARTS[name].measure(folder, settings | {"models": args.models}, progress)
            figures["seconds"] = round(time.monotonic() - started, 1)
            path = write_record(name, settings, figures)
            print(
                f"{name}: {figures['seconds']:.0f} s, written to {os.path.relpath(path)}", file=sys.stderr, flush=True
            )
    print("python -m benchmarks.tables draws the tables of the documents anew", file=sys.stderr)
    return 0


def mirror() -> str | None:
    """Folder with the real data sets, if the environment names one."""
    return os.environ.get(MIRROR_VARIABLE)


if __name__ == "__main__":
    sys.exit(main())
