"""The pictures, one module each, and what they share."""

from pathlib import Path

from stagewise.provenance.files import replaced_folder
from stagewise.provenance.receipts import write_receipt
from stagewise.report.figures.figure import Figure
from stagewise.report.lookup import View


def figures(view: View) -> dict[str, Figure]:
    """Every figure of the report by the name of its CSV file, in the page's order; what has no drawing is left out."""
    from stagewise.report.figures import (
        bars,
        forgetting_in_training,
        learning_curves,
        reliability,
        scores,
        stage_task_matrix,
        tradeoff,
    )

    makers = [
        tradeoff.tradeoff,
        stage_task_matrix.heatmap,
        tradeoff.cost,
        forgetting_in_training.during,
        bars.flips,
        bars.recalls,
    ]
    if not view.several_arms:
        makers = [stage_task_matrix.heatmap, forgetting_in_training.during, bars.flips, bars.recalls]
    if not view.compact:
        makers.insert(0, scores.scores)
    found = [make(view) for make in (*makers, learning_curves.curves, reliability.reliability)]
    return {figure.data.name: figure for figure in found if figure.pictures}


def write_data(found: dict[str, Figure], folder: Path, facts: dict) -> None:
    """Write each figure's numbers as ``{folder}/{name}.csv`` and a receipt with `facts`; the folder is replaced."""
    with replaced_folder(folder) as made:
        for name, figure in found.items():
            (made / f"{name}.csv").write_text(figure.data.text, encoding="utf-8", newline="")
        write_receipt(made, facts)
