"""Measure training speed with fewer adapted decoder layers, as ratios to adapting all.

python -m benchmarks.layers --model models/smollm2-135m-instruct
"""

import argparse
import sys

from benchmarks.waiting import measure_speed
from stagewise.models.torch_environment import before_torch


def main(argv=None) -> int:
    """Print a table of speeds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--layers", type=int, nargs="+", default=[20, 10, 5], help="numbers of last layers to adapt")
    args = parser.parse_args(argv)
    before_torch()
    speeds = {last: measure_speed(args.model, last_layers=last) for last in (None, *args.layers)}
    print("| layers adapted | speed |\n|---|---|")
    for last, speed in speeds.items():
        print(f"| {last or 'all'} | {speed:.0f} tokens/s ({speed / speeds[None]:.2f} ×) |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
