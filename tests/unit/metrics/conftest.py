"""Made-up experiments and their metrics that the tests share; read only."""

import pytest

from tests.helpers import fake_results as made

SIZES = {"train": 60, "validation": 40, "test": 120}
SMALL = {"train": 40, "validation": 20, "test": 30}
FOLDS = {"folds": [3, 5], "tasks": {"pubmedqa": {"source": "original", "split": "official"}}}


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """One arm, one run: folder, results, metrics."""
    folder = tmp_path_factory.mktemp("small")
    return folder, *made.experiment(folder, SMALL, statistics={"bootstrap_samples": 100})


@pytest.fixture(scope="session")
def one(tmp_path_factory):
    """An arm of every kind, one run: results and metrics."""
    folder = tmp_path_factory.mktemp("one")
    return made.experiment(folder, SIZES, arms=made.ARMS, statistics={"bootstrap_samples": 1000})


@pytest.fixture(scope="session")
def three(tmp_path_factory):
    """An arm of every kind, three seeds: results and metrics."""
    folder = tmp_path_factory.mktemp("three")
    statistics = {"bootstrap_samples": 3000}
    return made.experiment(folder, SIZES, arms=made.ARMS, seeds=[0, 1, 2], statistics=statistics)


@pytest.fixture(scope="session")
def folded(tmp_path_factory):
    """Two folds: folder, results and metrics."""
    folder = tmp_path_factory.mktemp("folds")
    overlay = {"arms": made.ARMS, "statistics": {"bootstrap_samples": 200}, **FOLDS}
    return folder, *made.experiment(folder, SIZES, **overlay)
