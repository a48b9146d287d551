"""The pictures, one module each, and what they share."""

from pathlib import Path

from forgetting.receipts import replaced_folder, write_receipt
from forgetting.report.pictures.figure import Figure
from forgetting.report.view import View


def figures(view: View) -> dict[str, Figure]:
    """Every figure of the report by the name of its CSV file, in the page's order; what has no drawing is left out."""
    from forgetting.report.pictures import bars, curves, during, heatmap, reliability, scores, tradeoff

    makers = [tradeoff.tradeoff, heatmap.heatmap, tradeoff.cost, during.during, bars.flips, bars.recalls]
    if not view.several_arms:
        makers = [heatmap.heatmap, during.during, bars.flips, bars.recalls]
    if not view.compact:
        makers.insert(0, scores.scores)
    found = [make(view) for make in (*makers, curves.curves, reliability.reliability)]
    return {figure.data.name: figure for figure in found if figure.pictures}


def write_data(found: dict[str, Figure], folder: Path, facts: dict) -> None:
    """Write each figure's numbers as ``{folder}/{name}.csv`` and a receipt with `facts`; the folder is replaced."""
    with replaced_folder(folder) as made:
        for name, figure in found.items():
            (made / f"{name}.csv").write_text(figure.data.text, encoding="utf-8", newline="")
        write_receipt(made, facts)
