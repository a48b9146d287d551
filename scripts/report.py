"""Write the report of an experiment from report_metrics.json: an HTML page, a Markdown file, every figure as CSV and as
SVG, and a local page with the texts of the items that flipped."""

import argparse
import os
import sys
from pathlib import Path

from stagewise.cli import add_image
from stagewise.errors import exit_on_input_error
from stagewise.imports import import_once


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True, metavar="FILE", help="report_metrics.json to show")
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="DIR",
        help="results folder that holds the adapters' training logs and the splits",
    )
    parser.add_argument("--html", type=Path, required=True, metavar="FILE", help="page to write")
    parser.add_argument("--markdown", type=Path, required=True, metavar="FILE", help="Markdown file to write")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="folder to write, a CSV and an SVG file per figure")
    parser.add_argument(
        "--items",
        type=Path,
        metavar="FILE",
        help="page to write with the texts of the items that flipped; not to be passed on if the licence forbids it",
    )
    add_image(parser)
    arguments = parser.parse_args(argv)

    from stagewise.metrics.schema import read_metrics

    metrics = read_metrics(arguments.metrics)

    with import_once():
        import matplotlib.figure  # noqa: F401  what the figures draw with

        from stagewise.provenance.files import atomic
        from stagewise.report import html, items_page, markdown
        from stagewise.report.curves import read_logs
        from stagewise.report.figures.registry import draw_figures, write_figures
        from stagewise.report.lookup import View

    view = View(metrics, read_logs(arguments.results, [adapter.lineage for adapter in metrics.adapters]))
    figures = draw_figures(view)
    # All are rendered before any is written, so that a failure leaves no files that do not belong together.
    items = arguments.items and _relative(arguments.items, arguments.html)
    texts = {arguments.html: html.render(view, figures, items)}
    # Without their folder, Markdown has no file to show.
    folder = arguments.figures and _relative(arguments.figures, arguments.markdown)
    texts[arguments.markdown] = markdown.render(view, figures, folder) if folder else markdown.render(view)
    if arguments.items:
        texts[arguments.items] = items_page.render(view, arguments.results, _relative(arguments.html, arguments.items))
    for path, text in texts.items():
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    if arguments.figures:
        write_figures(figures, arguments.figures, _facts(arguments, metrics, [*texts]))
    return 0


def _facts(arguments, metrics, pages: list[Path]) -> dict:
    """Collect the facts of the figures' receipt: the report's inputs record, and the checksums of its pages."""
    from stagewise.lineage import data_folder
    from stagewise.pipeline import inputs
    from stagewise.provenance.files import sha256_file

    folders = [data_folder(fold) for fold in metrics.experiment.folds or [None]]
    lineages = [adapter.lineage for adapter in metrics.adapters]
    files = inputs.report_files(arguments.metrics, arguments.results, folders, lineages)
    return {
        # A training log may be missing; the page says so.
        "inputs": inputs.report_inputs(files, arguments.results, checksum=inputs.checksum_if_there),
        "image": arguments.image,
        "files": {os.path.relpath(path, arguments.figures): sha256_file(path) for path in pages},
    }


def _relative(target: Path, page: Path) -> str:
    """The address of one written page from another."""
    return Path(os.path.relpath(target, page.parent)).as_posix()


if __name__ == "__main__":
    sys.exit(main())
