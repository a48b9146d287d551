"""Package versions, and results that different ones made."""

from importlib.metadata import version

import stagewise
from stagewise.provenance.packages import PACKAGES, mixed_versions, package_versions

A = {"torch": "2.12.0", "numpy": "2.1.0"}
B = {"torch": "2.13.0", "numpy": "2.1.0"}


def test_the_installed_versions_are_recorded():
    versions = package_versions()
    assert versions["numpy"] == version("numpy") and versions["stagewise"] == stagewise.__version__
    assert list(versions) == [name for name in PACKAGES if name in versions]
    assert package_versions(["numpy", "no-such-package"]) == {"numpy": version("numpy")}


def test_results_of_another_version_than_the_environment_are_named():
    assert mixed_versions({"base/seed-0/a": A}, B) == ["torch 2.12.0 made base/seed-0/a, this environment has 2.13.0"]
    assert mixed_versions({"x": A, "y": A, "z": A, "w": B}, B) == [
        "torch 2.12.0 made x and 2 more, this environment has 2.13.0"
    ]
    assert mixed_versions({"x": A, "y": B}, {"torch": "2.14.0"}) == [
        "torch 2.12.0 made x; torch 2.13.0 made y, this environment has 2.14.0"
    ]


def test_results_are_compared_with_each_other():
    assert mixed_versions({"x": A, "y": B, "z": B}) == ["torch 2.12.0 made x; torch 2.13.0 made y and 1 more"]
    assert mixed_versions({"x": A, "y": A}) == []


def test_equal_versions_say_nothing_and_a_build_is_no_version():
    assert mixed_versions({"x": A}, A) == mixed_versions({}, A) == mixed_versions({}) == []
    assert mixed_versions({"x": {"torch": "2.13.0+cpu"}}, {"torch": "2.13.0+cu126"}) == []


def test_a_package_that_is_not_recorded_cannot_differ():
    assert mixed_versions({"x": {}}, B) == mixed_versions({"x": A}, {}) == []
