"""A model is its files: one that was changed, added or removed is named."""

import shutil

import pytest

from stagewise.models.receipts import (
    changed_model_files,
    current_fingerprint,
    model_folder_checksums,
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
