"""Say what differs between two finished results, and which difference could matter.

    python -m scripts.explain results other-results

Prints one line per difference: first what could have changed the result (settings, data, prompts, the model, code,
package versions), then how the results differ, then what is known to change nothing, and why. The exit code is 0 if
nothing that could matter differs, 1 if something does, and 2 if the results cannot be compared.
"""

import argparse
import sys
from pathlib import Path

from stagewise.errors import exit_on_input_error
from stagewise.pipeline.compare_results import compare_results, could_matter
from stagewise.pipeline.finished_results import read_result


@exit_on_input_error
def main(argv=None) -> int:
    """Compare two results; 0 if nothing that could matter differs, 1 if something does."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = "results folder, folder of an adapter, of predictions or of splits, recipe.json or report_metrics.json"
    parser.add_argument("first", type=Path, metavar="A", help=names)
    parser.add_argument("second", type=Path, metavar="B", help="another of the same kind")
    arguments = parser.parse_args(argv)
    differences = compare_results(read_result(arguments.first), read_result(arguments.second))
    for difference in differences:
        print(difference.line)
    if not differences:
        print("no difference")
    return int(could_matter(differences))


if __name__ == "__main__":
    sys.exit(main())
