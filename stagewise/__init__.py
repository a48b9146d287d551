"""Fine-tune a small language model in stages, and measure what it forgets.

In a notebook, ``stagewise.load("results")`` reads a finished experiment as DataFrames and figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from stagewise.results.load import Results

__version__ = "0.1.0"


def load(path: str | os.PathLike = "results") -> Results:
    """Read a finished experiment: its scores, changes, claims, costs and curves as DataFrames, and its figures.

    Nothing is written, and nothing that it reads is heavy: torch is not imported.

    Parameters
    ----------
    path
        A results folder, or a ``report_metrics.json`` alone.

    Raises
    ------
    stagewise.errors.InputError
        If there are no finished results, or they are of another version, or edited.
    """
    from stagewise.results.load import load_results

    return load_results(path)
