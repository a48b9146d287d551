"""An image is known by its content; its gigabytes are read once."""

import time

import pytest

from stagewise.errors import InputError
from stagewise.provenance import checksums, container_image
from stagewise.provenance.files import sha256_file


@pytest.fixture
def image(tmp_path, monkeypatch):
    """An image in the working directory, written a while ago."""
    monkeypatch.chdir(tmp_path)
    now = time.time_ns()
    monkeypatch.setattr(checksums.time, "time_ns", lambda: now + 60 * 10**9)
    image = tmp_path / "cpu.sif"
    image.write_bytes(b"one")
    return image


@pytest.fixture
def read(monkeypatch):
    """Paths that were read."""
    paths = []
    monkeypatch.setattr(checksums, "sha256_file", lambda path: paths.append(path) or sha256_file(path))
    return paths


def test_an_image_is_its_checksum(image, read):
    first = container_image.checksum(image)
    assert first == sha256_file(image)
    assert container_image.checksum(image) == first and len(read) == 1
    image.write_bytes(b"two")
    assert container_image.checksum(image) == sha256_file(image) != first


def test_a_plan_that_remembers_checksums_shares_them(image, read, tmp_path):
    memory = checksums.ChecksumMemory(tmp_path / "memory.json")
    assert container_image.checksum(image, memory) == memory(image) and len(read) == 1
    assert not (tmp_path / ".snakemake").exists()


def test_a_missing_image_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cuda.sif: there is no such image; build it with `make containers`"):
        container_image.checksum("cuda.sif")
