"""A receipt says which of its files is missing or damaged."""

import json
import re

import pytest

from stagewise.errors import InputError
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.files import sha256_file
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


def test_checksums_of_files_elsewhere_stay_beside_the_folders_own(tmp_path):
    (tmp_path / "a").write_text("1")
    receipt = write_receipt(tmp_path, {"files": {"data/b.csv": "0" * 64}, "note": 1})
    assert receipt["files"] == {"data/b.csv": "0" * 64, "a": sha256_file(tmp_path / "a")} and receipt["note"] == 1


def test_a_receipt_may_name_the_folder_that_its_files_are_in(tmp_path):
    for name in ("receipts", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "files" / "a").write_text("1")
    receipt = {"path": "../files", "files": {"a": sha256_file(tmp_path / "files" / "a"), "b": "0" * 64}}
    assert damaged_files(tmp_path / "receipts", receipt) == ["b"]


def test_remembered_checksums_are_used(tmp_path):
    (tmp_path / "a").write_text("1")
    write_receipt(tmp_path, {})
    with pytest.raises(InputError, match="does not match its receipt"):
        read_receipt(tmp_path, "what was made", checksum=lambda path: "0" * 64)
    assert read_receipt(tmp_path, "what was made", verify=False, checksum=lambda path: "0" * 64)
