"""The made-up experiment that the report's tests share."""

import pytest

from tests.helpers import report_experiments
from tests.helpers.report_experiments import Page, render


@pytest.fixture
def values():
    return report_experiments.metrics("small")


@pytest.fixture(scope="module")
def metrics():
    return report_experiments.metrics("small")


@pytest.fixture(scope="module")
def results():
    return report_experiments.experiment("small")


@pytest.fixture(scope="module")
def html():
    return render(report_experiments.metrics("small"), report_experiments.experiment("small"))


@pytest.fixture(scope="module")
def shown(html):
    return Page(html)
