"""Put two or more finished experiments on one page: what differs in their settings, their scores, changes and costs
side by side, and paired differences wherever both answered the same test items.

    python -m scripts.compare results other-results --output comparison

writes comparison.html, comparison.md and the picture's numbers (CSV) and drawing (SVG) below figures/.
"""

import argparse
import sys
from pathlib import Path

from stagewise.errors import InputError, exit_on_input_error
from stagewise.imports import import_once


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = (
        "results folders, or their report_metrics.json alone (nothing can be paired then); the first is compared with"
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help=names)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    arguments = parser.parse_args(argv)

    with import_once():
        import matplotlib.figure  # noqa: F401  what the figure draws with

        from stagewise.comparison.experiments import load_experiments
        from stagewise.comparison.page import Comparison, render_html, render_markdown
        from stagewise.provenance.files import atomic
        from stagewise.report.figures.registry import write_figures

    experiments = load_experiments(arguments.results)
    output = arguments.output.resolve()
    for e in experiments:
        if output == e.answers.results.resolve() or e.answers.results.resolve() in output.parents:
            raise InputError(f"{arguments.output}: lies in the results of {e.label}; name a folder outside of them")
    comparison = Comparison.of(experiments)
    texts = {"comparison.html": render_html(comparison), "comparison.md": render_markdown(comparison, "figures")}
    for name, text in texts.items():
        with atomic(arguments.output / name) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    figures = {comparison.figure.id: comparison.figure}
    write_figures(figures, arguments.output / "figures", {"inputs": {e.label: e.checksum for e in experiments}})
    for sentence in comparison.headlines:
        print(sentence.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
