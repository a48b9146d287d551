"""Versions of the packages that decide figures, and sentences on results of different versions."""

from importlib.metadata import PackageNotFoundError, version

import stagewise

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "accelerate",
    "datasets",
    "numpy",
    "pandas",
    "scikit-learn",
    "stagewise",
)


def package_versions(names=PACKAGES) -> dict[str, str]:
    """Look up the installed versions of packages; those that are not installed are left out."""
    versions = {}
    for name in names:
        try:
            # A checkout runs without being installed, and an installation may be older than the code beside it.
            versions[name] = stagewise.__version__ if name == "stagewise" else version(name)
        except PackageNotFoundError:
            continue
    return versions


def mixed_versions(records: dict[str, dict[str, str]], environment: dict[str, str] | None = None) -> list[str]:
    """Say which packages' versions differ between results, one sentence a package.

    A build's label (``2.13.0+cpu``) is left out: which device computed a result is recorded with it. A package that
    a record or the environment does not name cannot differ there.

    Parameters
    ----------
    records
        Package versions by the result that they made.
    environment
        Versions that would make further results; if not given, the records are compared with each other.
    """
    sentences = []
    for name in dict.fromkeys(name for versions in records.values() for name in versions):
        made: dict[str, list[str]] = {}
        for result, versions in records.items():
            if name in versions:
                made.setdefault(_release(versions[name]), []).append(result)
        here = _release(environment[name]) if environment and name in environment else None
        if environment is None and len(made) > 1:
            sentences.append("; ".join(f"{name} {number} made {_some(results)}" for number, results in made.items()))
        elif here and set(made) - {here}:
            others = "; ".join(
                f"{name} {number} made {_some(results)}" for number, results in made.items() if number != here
            )
            sentences.append(f"{others}, this environment has {here}")
    return sentences


def _release(number: str) -> str:
    return number.partition("+")[0]


def _some(results: list[str]) -> str:
    return results[0] + (f" and {len(results) - 1} more" if len(results) > 1 else "")
