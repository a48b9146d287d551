"""The notebook of the docs runs from its own folder, as Jupyter would run it, with and without results of the user."""

import ast
import builtins
import json

import pytest

from stagewise.results.load import Results
from tests.helpers import report_experiments
from tests.helpers.project_copy import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run_cell(code: str, names: dict):
    """Run a cell and return the value of its last line if that is an expression, which Jupyter displays."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), names)
    return last and eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


@pytest.mark.parametrize("own_results", [False, True], ids=["examples alone", "results of the user"])
def test_the_notebook_runs(tmp_path, monkeypatch, own_results):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "example-reports").symlink_to(ROOT / "docs" / "example-reports")
    if own_results:
        (tmp_path / "results").symlink_to(report_experiments.experiment("small"))
    monkeypatch.chdir(docs)
    displayed, names = [], {}
    monkeypatch.setattr(builtins, "display", displayed.append, raising=False)
    shown = [value for code in code_cells() if (value := run_cell(code, names)) is not None]
    assert isinstance(shown[0], Results) and isinstance(names["mine"], Results | None)
    assert len(displayed) == 3 * own_results
    assert all(len(value) for value in [*shown, *displayed] if hasattr(value, "__len__"))
    assert sum(hasattr(value, "_repr_svg_") for value in shown) == 1


def test_the_notebook_is_kept_without_outputs():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    for cell in notebook["cells"]:
        assert set(cell) - {"outputs", "execution_count"} == {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None and cell["metadata"] == {}
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
