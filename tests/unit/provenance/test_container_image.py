"""An image is known by its content; its gigabytes are read once."""

import pytest

from stagewise.errors import InputError
from stagewise.provenance import container_image
from stagewise.provenance.files import sha256_file


def test_an_image_is_its_checksum(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    image = tmp_path / "cpu.sif"
    image.write_bytes(b"one")
    read = []
    monkeypatch.setattr(container_image, "sha256_file", lambda path: read.append(path) or sha256_file(path))
    first = container_image.checksum(image)
    assert first == sha256_file(image)
    assert container_image.checksum(image) == first and len(read) == 1
    image.write_bytes(b"two")
    assert container_image.checksum(image) == sha256_file(image) != first


def test_a_missing_image_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cuda.sif: there is no such image; build it with `make containers`"):
        container_image.checksum("cuda.sif")
