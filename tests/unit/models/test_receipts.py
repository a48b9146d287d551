"""A model is its files: one that was changed, added or removed is named."""

import os
import shutil

import pytest

from stagewise.errors import InputError
from stagewise.models.receipts import (
    CHECKSUMS,
    changed_model_files,
    current_fingerprint,
    model_folder_checksums,
    model_receipt,
    write_model_receipt,
)
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.files import sha256_file

NAMES = ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.fixture
def directory(tmp_path):
    """A model of the user's own, with files beside it that are no part of a model."""
    directory = tmp_path / "mine"
    directory.mkdir()
    for name in [*NAMES, "pytorch_model.bin", "modeling.py", "notes.md", "receipt.json"]:
        (directory / name).write_text(name)
    (directory / "runs").mkdir()
    (directory / "runs" / "config.json").write_text("{}")
    return directory


@pytest.fixture
def receipt(directory, tmp_path):
    return write_model_receipt(tmp_path / "models" / "mine", "mine", {"path": "x"}, directory, NAMES)


@pytest.fixture
def changes(directory, receipt, tmp_path):
    return lambda checksum=sha256_file: changed_model_files(tmp_path / "models" / "mine", receipt, checksum)


def test_the_files_of_a_model_are_those_that_its_receipt_names(directory, receipt):
    assert (
        model_folder_checksums(directory) == receipt["files"] == {name: sha256_file(directory / name) for name in NAMES}
    )


def test_an_unchanged_model_has_no_changes(changes, directory):
    (directory / "notes.md").write_text("other")
    assert changes() == []


def test_changed_added_and_removed_files_are_named(changes, directory):
    (directory / "config.json").write_text("{}")
    (directory / "tokenizer.json").unlink()
    (directory / "chat_template.jinja").write_text("{{ x }}")
    assert changes() == [
        "model file chat_template.jinja added",
        "model file config.json changed",
        "model file tokenizer.json removed",
    ]


def test_the_fingerprint_of_a_changed_directory_is_that_of_a_receipt_written_now(directory, receipt, tmp_path):
    model_dir = tmp_path / "models" / "mine"
    assert current_fingerprint(model_dir, receipt) == receipt["fingerprint"]
    (directory / "config.json").write_text("{}")
    (directory / "chat_template.jinja").write_text("{{ x }}")
    (directory / "tokenizer.json").unlink()
    names = ["chat_template.jinja", "config.json", "model.safetensors"]
    again = write_model_receipt(tmp_path / "again", "mine", {"path": "x"}, directory, names)
    assert current_fingerprint(model_dir, receipt) == again["fingerprint"] != receipt["fingerprint"]


def test_no_file_is_read_twice(changes, directory, tmp_path, monkeypatch):
    memory = ChecksumMemory(tmp_path / "memory.json")
    assert changes(memory) == []
    monkeypatch.setattr("stagewise.provenance.checksums.sha256_file", lambda path: pytest.fail(f"read {path}"))
    assert changes(memory) == []


def test_a_directory_that_is_not_here_has_not_changed(changes, directory):
    shutil.rmtree(directory)
    assert changes() == []


def test_a_fetched_model_is_looked_at_where_its_receipt_lies(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name in [*NAMES, "special.bin"]:
        (folder / name).write_text(name)
    receipt = write_model_receipt(folder, "tiny", {"hub": "a/b"})
    assert changed_model_files(folder, receipt) == []
    (folder / "special.bin").write_text("other")
    assert changed_model_files(folder, receipt) == ["model file special.bin changed"]
    assert current_fingerprint(folder, receipt) == receipt["fingerprint"]  # it is fetched again
    for name in receipt["files"]:
        (folder / name).unlink()
    assert changed_model_files(folder, receipt) == []  # its receipt alone is here


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were read for their checksum; the clock's tick is over at once."""
    names = []

    def read(path) -> str:
        names.append(os.path.basename(path))
        return sha256_file(path)

    monkeypatch.setattr("stagewise.provenance.checksums.sha256_file", read)
    monkeypatch.setattr("stagewise.provenance.checksums.TICK", 0)
    return names


def test_a_start_reads_only_files_that_changed(directory, receipt, tmp_path, reads):
    model_dir = tmp_path / "models" / "mine"
    model_receipt(model_dir, verify=True)
    assert reads == NAMES
    model_receipt(model_dir, verify=True)
    assert reads == NAMES
    os.utime(directory / "config.json", ns=(1, 1))
    model_receipt(model_dir, verify=True)
    assert reads == [*NAMES, "config.json"]


def test_a_file_that_is_damaged_after_a_start_is_caught_under_its_old_time(directory, receipt, tmp_path, reads):
    model_dir, weights = tmp_path / "models" / "mine", directory / "model.safetensors"
    model_receipt(model_dir, verify=True)
    status = weights.stat()
    weights.write_bytes(weights.read_bytes()[::-1])
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert weights.stat().st_size == status.st_size
    for _ in range(2):  # what is damaged is not remembered as checked
        with pytest.raises(InputError, match=r"model\.safetensors: the base model does not match its receipt"):
            model_receipt(model_dir, verify=True)


def test_a_folder_that_cannot_be_written_is_read_each_time(directory, receipt, tmp_path, reads, monkeypatch):
    def refuse(path, private=False):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("stagewise.provenance.memory.atomic", refuse)
    for _ in range(2):
        model_receipt(tmp_path / "models" / "mine", verify=True)
    assert reads == [*NAMES, *NAMES]


def test_remembered_checksums_are_no_part_of_a_model(tmp_path, reads):
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
    receipt = write_model_receipt(folder, "tiny", {"hub": "a/b"})
    model_receipt(folder, verify=True)
    assert (folder / CHECKSUMS).is_file()
    assert write_model_receipt(folder, "tiny", {"hub": "a/b"})["files"] == receipt["files"]
    assert changed_model_files(folder, receipt) == []
