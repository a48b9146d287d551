"""A receipt says which of its files is missing or damaged."""

import json
import re

import pytest

from stagewise.errors import InputError
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.receipts import RECEIPT, damaged_files, read_receipt, write_receipt


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "adapter"
    (folder / "inner").mkdir(parents=True)
    for name in ("weights.safetensors", "config.json", "inner/log.csv"):
        (folder / name).write_text(name)
    write_receipt(folder, {"fingerprint": "f"})
    return folder


def test_an_unchanged_folder_is_read(folder, tmp_path):
    receipt = read_receipt(folder, "the adapter")
    assert receipt["fingerprint"] == "f"
    assert list(receipt["files"]) == ["config.json", "inner/log.csv", "weights.safetensors"]
    assert damaged_files(folder, receipt) == damaged_files(folder, receipt, ChecksumMemory(tmp_path / "m.json")) == []


def test_damaged_and_missing_files_are_named(folder, tmp_path):
    receipt = read_receipt(folder, "the adapter")
    (folder / "weights.safetensors").write_text("other")
    (folder / "inner/log.csv").unlink()
    assert damaged_files(folder, receipt) == ["inner/log.csv", "weights.safetensors"]
    assert damaged_files(folder, receipt, optional=("inner/log.csv", "weights.safetensors")) == ["weights.safetensors"]
    with pytest.raises(InputError, match=r"inner/log.csv: the adapter is incomplete, this file is missing"):
        read_receipt(folder, "the adapter")
    (folder / "inner/log.csv").write_text("inner/log.csv")
    with pytest.raises(InputError, match=r"weights.safetensors: the adapter does not match its receipt \(damaged\?\)"):
        read_receipt(folder, "the adapter", checksum=ChecksumMemory(tmp_path / "m.json"))
    assert read_receipt(folder, "the adapter", verify=False) == receipt


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "is not an object with keys"),
        ("text", "is not an object with keys"),
        ({}, "is damaged"),
        ({"files": None}, "is damaged"),
    ],
)
def test_a_receipt_without_files_is_damaged(folder, content, says):
    (folder / RECEIPT).write_text(json.dumps(content))
    with pytest.raises(InputError, match=re.escape(f"{folder / RECEIPT}: the receipt of the adapter {says}")):
        read_receipt(folder, "the adapter", verify=False)
