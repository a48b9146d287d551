"""Write the report of an experiment, an HTML page and a Markdown file, from report_metrics.json."""

import argparse
import sys
from pathlib import Path

from forgetting.errors import exit_on_input_error


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True, metavar="FILE", help="report_metrics.json to show")
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="DIR",
        help="results folder that holds the adapters' training logs",
    )
    parser.add_argument("--html", type=Path, required=True, metavar="FILE", help="page to write")
    parser.add_argument("--markdown", type=Path, required=True, metavar="FILE", help="Markdown file to write")
    arguments = parser.parse_args(argv)

    from forgetting.report.read import read_metrics

    metrics = read_metrics(arguments.metrics)

    from forgetting.receipts import atomic
    from forgetting.report import markdown, page
    from forgetting.report.curves import read_logs
    from forgetting.report.view import View

    view = View(metrics, read_logs(arguments.results, [adapter.lineage for adapter in metrics.adapters]))
    # Both are rendered before either is written, so that a failure leaves no pair that does not belong together.
    texts = {arguments.html: page.render(view), arguments.markdown: markdown.render(view)}
    for path, text in texts.items():
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
