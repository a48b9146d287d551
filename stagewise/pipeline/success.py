"""Lines for the terminal on what a successful run has made."""

from collections import Counter
from collections.abc import Iterable

# By rule: what it has made, `{n}` of it, below the results folder `{results}`. Those that only prepare are left out.
_MADE = {
    "fetch_data": "Raw files fetched into data/raw: {n}.",
    "fetch_model": "Models fetched into models: {n}.",
    "fetch_adapter": "Adapters fetched into adapters: {n}.",
    "make_splits": "The splits are in {results}/data.",
    "train_adapter": "Adapters trained, below {results}/base: {n}.",
    "adopt_adapter": "Adapters taken from elsewhere, below {results}/base: {n}.",
    "adopt_model": "Fully fine-tuned models taken from elsewhere, below {results}/base: {n}.",
    "merge_adapters": "Adapters merged, below {results}/base: {n}.",
    "predict": "Models scored, below {results}/base: {n}.",
    "probe": "Models probed, below {results}/base: {n}.",
    "metrics": "All figures are in {results}/report_metrics.json.",
}


def success_lines(results: str, made: Iterable[str], asked: Iterable[str]) -> list[str]:
    """Say where the result of a run is.

    Parameters
    ----------
    results
        The results folder.
    made
        Rule of each job that this run has run.
    asked
        Rules of all jobs that its targets depend on, those of finished ones too.

    Returns
    -------
    Where the report is, if the targets include it; otherwise what the run has made.
    """
    if "report" in set(asked):
        return [f"The report is {results}/report.html"]
    counts = Counter(made)
    return [text.format(n=counts[rule], results=results) for rule, text in _MADE.items() if counts[rule]]
