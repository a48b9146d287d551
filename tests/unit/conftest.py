"""The made-up experiment that the report's tests share."""

import pytest

from tests import report_lab
from tests.report_lab import Page, render


@pytest.fixture
def values():
    return report_lab.metrics("small")


@pytest.fixture(scope="module")
def metrics():
    return report_lab.metrics("small")


@pytest.fixture(scope="module")
def results():
    return report_lab.experiment("small")


@pytest.fixture(scope="module")
def html():
    return render(report_lab.metrics("small"), report_lab.experiment("small"))


@pytest.fixture(scope="module")
def shown(html):
    return Page(html)
