"""Locked environments, and what an image of one is checked for."""

import importlib.util
import re

import pytest

from tests.helpers.project_copy import ROOT

TORCH_ALONE = re.compile(r"torch|triton|cuda-.*|nvidia-.*")


def lock_text(name: str) -> str:
    return (ROOT / "envs" / f"run-{name}.txt").read_text(encoding="utf-8")


def locked(name: str) -> dict[str, str]:
    """Versions by package."""
    return dict(re.findall(r"^([\w.\[\]-]+)==(\S+)", lock_text(name), re.MULTILINE))


@pytest.mark.parametrize("name", ["cpu", "cuda12"])
def test_the_environments_differ_in_torch_alone(name):
    versions, cuda = locked(name), locked("cuda")
    differing = {package for package, _ in versions.items() ^ cuda.items()}
    assert differing and all(TORCH_ALONE.fullmatch(package) for package in differing)


def test_the_older_environment_is_built_for_cuda_12():
    packages = locked("cuda12")
    assert packages["nvidia-cuda-runtime-cu12"].startswith("12.")
    assert not any("cu13" in package for package in packages)


@pytest.fixture
def check(monkeypatch):
    """The module containers/check.py, which an image runs by itself."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton comes with the CUDA packages (TORCH=cuda)")
    spec = importlib.util.spec_from_file_location("check", ROOT / "containers" / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("TRITON_CACHE_DIR", "")  # set by the check; put back after the test
    return module


def test_an_image_with_a_compiler_passes(check):
    check.check_triton("cpu")


def test_an_image_without_a_compiler_fails(check, monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssertionError, match="Triton needs a C compiler and Python.h: Failed to find C compiler"):
        check.check_triton("cpu")


def test_an_image_gets_the_compiler_only_with_triton():
    script = (ROOT / "containers" / "install.sh").read_text(encoding="utf-8")
    (condition,) = re.findall(
        r"if grep -q '(.*)' lock.txt; then\n.*\n\s+set -- .* gcc libc6-dev python3.11-dev", script
    )
    holding = {name for name in ("cpu", "cuda", "cuda12") if re.search(condition, lock_text(name), re.MULTILINE)}
    assert holding == {"cuda", "cuda12"}


def test_the_harness_is_installed_beside_the_other_environments():
    """With --no-deps: it has what they lack, and no package of theirs in another version."""
    text = (ROOT / "envs" / "harness.txt").read_text(encoding="utf-8")
    harness = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    assert harness["lm-eval"] and not harness.keys() & locked("cuda").keys()
    development = (ROOT / "envs" / "dev.txt").read_text(encoding="utf-8")
    shared = dict(re.findall(r"^([\w.-]+)==(\S+)", development, re.MULTILINE))
    assert all(shared.get(package, version) == version for package, version in harness.items())
