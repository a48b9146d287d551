"""Every figure of the report, found by its module."""

import pkgutil
from importlib import import_module
from pathlib import Path

from stagewise.provenance.files import replaced_folder
from stagewise.provenance.receipts import write_receipt
from stagewise.report import figures as package
from stagewise.report.figures.figure import DrawnFigure, Figure
from stagewise.report.lookup import View


def declared_figures() -> dict[str, Figure]:
    """Collect the FIGURE of every module of this package by id, in the order of sections' figures."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = {name: import_module(f"{package.__name__}.{name}") for name in names}
    figures = {name.replace("_", "-"): module.FIGURE for name, module in modules.items() if hasattr(module, "FIGURE")}
    return dict(sorted(figures.items(), key=lambda item: (item[1].order, item[0])))


def draw_figures(view: View) -> dict[str, DrawnFigure]:
    """Draw every figure that has numbers, by id."""
    drawn = {}
    for name, figure in declared_figures().items():
        data = figure.data(view)
        if len(data):
            drawn[name] = DrawnFigure(name, figure, data, figure.draw(view, data))
    return drawn


def write_figures(figures: dict[str, DrawnFigure], folder: Path, facts: dict) -> None:
    """Replace `folder` by ``{id}.csv`` and ``{id}.svg`` of every figure and a receipt with `facts`."""
    with replaced_folder(folder) as temporary:
        for name, figure in figures.items():
            (temporary / f"{name}.csv").write_text(figure.csv, encoding="utf-8", newline="")
            (temporary / f"{name}.svg").write_text(figure.svg, encoding="utf-8", newline="")
        write_receipt(temporary, facts)
