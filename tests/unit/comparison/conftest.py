"""Made-up experiments that the tests of comparisons share; read only."""

import pytest

from tests.helpers.compared_experiments import write_both


@pytest.fixture(scope="session")
def one_run(tmp_path_factory):
    """Two experiments over the same items, one run each; the other guesses dreaddit."""
    return write_both(tmp_path_factory.mktemp("one"), guessed="dreaddit")


@pytest.fixture(scope="session")
def two_seeds(tmp_path_factory):
    """The same with two arms and two seeds; nobody guesses."""
    stages = [{"task": "pubmedqa"}, {"task": "dreaddit"}]
    arms = {"sequential": {"stages": stages}, "isolated": {"adapters": "per_task", "stages": stages}}
    return write_both(tmp_path_factory.mktemp("two"), seeds=[0, 1], arms=arms)
