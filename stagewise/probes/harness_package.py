"""lm-evaluation-harness as an installed package, without importing it."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from stagewise.config.probes import Harness
from stagewise.errors import InputError
from stagewise.probes.fingerprint import HARNESS_PACKAGE

INSTALL = "pip install --no-deps --require-hashes -r envs/harness.txt"


@lru_cache(maxsize=1)
def harness_version() -> str | None:
    """Installed version of lm-evaluation-harness; None if it is not installed."""
    try:
        return version(HARNESS_PACKAGE)
    except PackageNotFoundError:
        return None


def check_harness(harness: Harness) -> None:
    """Refuse harness tasks where lm-evaluation-harness is not installed.

    Raises
    ------
    InputError
        With the command that installs it.
    """
    if harness_version() is None:
        raise InputError(
            f"config: probes.harness names {harness.tasks[0]}, and lm-evaluation-harness is not installed; install it "
            f"with `{INSTALL}`, or take probes.harness out"
        )
