"""Hidden states on disk: shared, checked, and bounded."""

import os

import pytest
import torch

from stagewise.models import state_files
from stagewise.models.state_files import StateFiles


@pytest.fixture
def tensors():
    return {f"key {n}": torch.arange(10.0) + n for n in range(4)}


def files_in(folder) -> list:
    return sorted(folder.glob("*.safetensors"))


def test_what_one_process_writes_another_reads(tmp_path, tensors):
    one = StateFiles(tmp_path / "a", 10**6)
    for key, tensor in tensors.items():
        one.add(key, tensor)
        assert torch.equal(one.get(key), tensor)
    assert not (tmp_path / "a").exists()
    one.flush()
    one.flush()
    assert len(files_in(tmp_path / "a")) == 1
    for files in (one, StateFiles(tmp_path / "a", 10**6)):
        assert all(torch.equal(files.get(key), tensor) for key, tensor in tensors.items())
        assert files.get("another") is None


def test_two_processes_that_write_the_same_leave_it_once(tmp_path, tensors):
    one, two = StateFiles(tmp_path / "a", 10**6), StateFiles(tmp_path / "a", 10**6)
    for files in (one, two):
        for key, tensor in tensors.items():
            files.add(key, tensor)
        files.flush()
    assert len(files_in(tmp_path / "a")) == 1


def test_many_states_are_written_as_they_come(tmp_path, tensors, monkeypatch):
    monkeypatch.setattr(state_files, "_BYTES_PER_FILE", 80)
    files = StateFiles(tmp_path / "a", 10**6)
    for key, tensor in tensors.items():
        files.add(key, tensor)
    assert len(files_in(tmp_path / "a")) == 2


@pytest.mark.parametrize("damage", ["content", "cut", "header"])
def test_a_damaged_file_is_removed_and_not_believed(tmp_path, tensors, damage):
    files = StateFiles(tmp_path / "a", 10**6)
    for key, tensor in tensors.items():
        files.add(key, tensor)
    files.flush()
    (path,) = files_in(tmp_path / "a")
    content = bytearray(path.read_bytes())
    offset = {"content": -3, "header": 12}.get(damage)
    if offset:
        content[offset] ^= 1
    path.write_bytes(content if offset else content[:-8])
    read = StateFiles(tmp_path / "a", 10**6)
    assert read.get("key 0") is None and read.get("key 0") is None
    read.add("key 0", tensors["key 0"])
    read.flush()
    assert torch.equal(StateFiles(tmp_path / "a", 10**6).get("key 0"), tensors["key 0"])


def test_beyond_the_bound_those_go_that_were_not_used_for_longest(tmp_path, tensors):
    size = None
    for n, (key, tensor) in enumerate(tensors.items()):
        files = StateFiles(tmp_path / f"model {n % 2}", 10**6)
        files.add(key, tensor)
        files.flush()
        (path,) = (p for p in files_in(files.folder) if p.stat().st_mtime > 10**6)
        size = path.stat().st_size
        os.utime(path, (1000 + n, 1000 + n))
    used = StateFiles(tmp_path / "model 0", 10**6)
    used.get("key 0")
    files = StateFiles(tmp_path / "model 2", 3 * size)
    files.add("new", torch.arange(10.0))
    files.flush()
    names = [f"key {n}" for n in range(4)]
    left = [key for key in names if any(StateFiles(tmp_path / f"model {m}", 1).get(key) is not None for m in (0, 1))]
    assert left == ["key 0", "key 3"] and files.get("new") is not None
    assert torch.equal(used.get("key 0"), tensors["key 0"])


def test_a_disk_that_takes_nothing_costs_no_result(tmp_path, tensors, capsys):
    (tmp_path / "a").write_text("in the way")
    files = StateFiles(tmp_path / "a", 10**6)
    files.add("key 0", tensors["key 0"])
    files.flush()
    assert "hidden states are not kept (" in capsys.readouterr().err
    assert files.get("key 0") is None
