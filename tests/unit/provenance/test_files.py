"""Writes that leave the old content or the new one, and nothing of those that were killed."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from stagewise.provenance import files
from stagewise.provenance.files import atomic, publish_folder, replaced_folder, write_json
from tests.helpers.project_copy import ROOT


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_fails_leaves_the_old_content(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with replaced_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("old")
    with pytest.raises(KeyError), atomic(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise KeyError
    with pytest.raises(KeyError), replaced_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("half")
        raise KeyError
    assert names(tmp_path) == ["a.json", "folder"]
    assert (tmp_path / "a.json").read_text() == "1\n" and (tmp_path / "folder" / "a").read_text() == "old"


@pytest.mark.parametrize("swaps", [True, False])
def test_a_folder_is_replaced_whole(tmp_path, monkeypatch, swaps):
    """Also where the file system cannot swap two folders."""
    if not swaps:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for content in ("old", "new"):
        with replaced_folder(tmp_path / "folder") as folder:
            (folder / content).write_text(content)
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder") == ["new"]


def test_a_file_in_the_place_of_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").write_text("mine")
    with pytest.raises(NotADirectoryError), replaced_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "folder").read_text() == "mine" and names(tmp_path) == ["folder"]


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, rename, replace = os.fsync, os.rename, os.replace
    paths = {}

    def watch_open(path, *arguments, **options):
        descriptor = watch_open.original(path, *arguments, **options)
        paths[descriptor] = os.path.basename(path)
        return descriptor

    watch_open.original = os.open
    monkeypatch.setattr(os, "open", watch_open)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append(f"sync {paths[descriptor]}"), fsync(descriptor)))
    monkeypatch.setattr(os, "rename", lambda a, b: (calls.append("rename"), rename(a, b)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    with replaced_folder(tmp_path / "out") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "data").write_text("x")
    assert calls == ["sync data", "sync inner", "sync out", "rename", f"sync {tmp_path.name}"]
    calls.clear()
    with atomic(tmp_path / "file") as temporary:
        temporary.write_text("x")
    assert calls == [f"sync {temporary.name}", "rename", f"sync {tmp_path.name}"]


def replace_often(path, content: str, times: int) -> None:
    for _ in range(times):
        with replaced_folder(path) as folder:
            for name in ("a", "b"):
                (folder / name).write_text(content)


@pytest.mark.parametrize("swaps", [True, False])
def test_two_processes_that_replace_one_folder_both_end_well(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=replace_often, args=(tmp_path / "folder", content, 60)) for content in "xy"]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert names(tmp_path) == ["folder"]
    assert (tmp_path / "folder" / "a").read_text() == (tmp_path / "folder" / "b").read_text()


WRITES = """
import sys, time
from stagewise.provenance.files import atomic, replaced_folder
with replaced_folder(sys.argv[1] + "/folder") as folder, atomic(sys.argv[1] + "/file") as temporary:
    (folder / "half").write_text("half")
    print("there", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_has_left_is_cleared_and_a_living_ones_is_not(tmp_path):
    (tmp_path / ".folder.abcd1234").mkdir()  # as older versions left them
    (tmp_path / ".folder.notours").mkdir()
    process = subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout.readline() == b"there\n"
        left = [name for name in names(tmp_path) if name != ".folder.notours"]
        assert len(left) == 2 and ".folder.abcd1234" not in left
        replace_often(tmp_path / "folder", "x", 1)
        write_json(tmp_path / "file", 1)
        assert set(left) <= set(names(tmp_path))  # it lives
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    replace_often(tmp_path / "folder", "y", 1)
    write_json(tmp_path / "file", 2)
    assert names(tmp_path) == [".folder.notours", "file", "folder"]


def test_without_locks_nothing_is_cleared(tmp_path, monkeypatch):
    (tmp_path / ".a.json.abcd1234").write_text("another's, maybe")

    def no_locks(descriptor, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    write_json(tmp_path / "a.json", 1)
    assert names(tmp_path) == [".a.json.abcd1234", "a.json"]


def test_a_folder_moves_into_the_place_of_a_full_one_that_others_write(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    publish_folder(tmp_path / "one", tmp_path / "two")
    assert names(tmp_path / "two") == ["one"]
