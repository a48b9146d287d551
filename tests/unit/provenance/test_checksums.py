"""Checksums are remembered for files that nobody touched, and for no others."""

import json
import multiprocessing
import os
import random
import time

import pytest

from stagewise.provenance import checksums
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.files import sha256_file


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were read."""
    names = []
    monkeypatch.setattr(
        checksums, "sha256_file", lambda path: names.append(os.path.basename(path)) or sha256_file(path)
    )
    return names


@pytest.fixture
def later(monkeypatch):
    """Let the clock run a minute ahead, so that no file looks as if it had just been written."""
    clock = time.time_ns
    monkeypatch.setattr(checksums.time, "time_ns", lambda: clock() + 60 * 10**9)


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".snakemake" / "memory.json"


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("one")
    return file


def plan(path, *files) -> list[str]:
    """Checksums as one plan gets them, which saves its memory at the end."""
    memory = ChecksumMemory(path)
    sums = [memory(file) for file in files]
    memory.save()
    return sums


def test_a_second_plan_reads_no_unchanged_file(tmp_path, path, read, later):
    files = [tmp_path / f"{i}.txt" for i in range(20)]
    for file in files:
        file.write_text(file.name)
    first = plan(path, *files)
    assert first == list(map(sha256_file, files)) and len(read) == 20
    assert plan(path, *files) == first and len(read) == 20
    files[7].write_text("other")
    assert plan(path, *files) == list(map(sha256_file, files)) and read[20:] == ["7.txt"]


def test_an_edit_is_noticed_if_its_time_is_set_back(file, path, later):
    plan(path, file)
    before = file.stat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns and file.stat().st_size == before.st_size
    assert plan(path, file) == [sha256_file(file)]


def test_another_file_of_the_same_size_and_time_is_noticed(file, path, tmp_path, later):
    plan(path, file)
    other = tmp_path / "other.txt"
    other.write_text("two")
    os.utime(other, ns=(1, file.stat().st_mtime_ns))
    other.replace(file)
    assert plan(path, file) == [sha256_file(file)]


def test_a_file_that_has_just_been_written_is_read_again_by_the_next_plan(file, path, read):
    plan(path, file)
    # The clock of the file system need not have moved between the plan and an edit.
    plan(path, file)
    assert read == ["file.txt"] * 2
    memory = ChecksumMemory(path)
    assert memory(file) == memory(file)
    assert read == ["file.txt"] * 3


def test_a_time_set_by_the_plan_keeps_the_checksum(file, path, read, later):
    memory = ChecksumMemory(path)
    memory(file)
    memory.set_time(file, 10**9)
    memory.save()
    assert file.stat().st_mtime_ns == 10**9
    assert plan(path, file) == [sha256_file(file)] and read == ["file.txt"]
    os.utime(file, ns=(5, 5))  # by someone else: it may have been edited before
    assert plan(path, file) == [sha256_file(file)] and read == ["file.txt"] * 2


def test_setting_a_time_does_not_hide_an_edit(file, path, later):
    plan(path, file)
    file.write_text("two")
    memory = ChecksumMemory(path)
    memory.set_time(file, 10**9)
    assert memory(file) == sha256_file(file)


def test_setting_a_time_makes_no_fresh_checksum_lasting(file, path, read):
    memory = ChecksumMemory(path)
    memory(file)
    memory.set_time(file, 10**9)
    memory.save()
    plan(path, file)
    assert read == ["file.txt"] * 2


def test_a_link_gets_the_time_as_well_as_its_target(file, path, tmp_path, read, later):
    link = tmp_path / "link.txt"
    link.symlink_to(file)
    memory = ChecksumMemory(path)
    memory(link)
    memory.set_time(link, 10**9)
    assert link.lstat().st_mtime_ns == file.stat().st_mtime_ns == 10**9
    assert memory(link) == sha256_file(file) and read == ["link.txt"]


def test_a_hard_link_made_by_the_plan_keeps_the_checksum(file, path, tmp_path, read, later):
    memory = ChecksumMemory(path)
    memory(file)
    time.sleep(0.02)  # so that the change time moves
    with memory.same_content(file):
        os.link(file, tmp_path / "second.txt")
    memory.save()
    plan(path, file)
    assert read == ["file.txt"]


def test_a_missing_file_is_an_error_as_ever(tmp_path, path):
    with pytest.raises(FileNotFoundError):
        ChecksumMemory(path)(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        ChecksumMemory(path)(tmp_path)


def test_vanished_files_are_forgotten(file, path, tmp_path, later):
    other = tmp_path / "other.txt"
    other.write_text("other")
    plan(path, file, other)
    other.unlink()
    file.write_text("two")
    plan(path, file)
    assert list(json.loads(path.read_text())["entries"]) == [str(file)]


def test_a_relative_path_and_its_absolute_one_are_one_file(file, path, read, monkeypatch, later):
    monkeypatch.chdir(file.parent)
    assert plan(path, "file.txt", file, "./file.txt") == [sha256_file(file)] * 3 and len(read) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'{"version": "stagewise-checksums-1", "entries": [',
        b'{"version": "another", "entries": {}}',
        b'{"version": "stagewise-checksums-1", "entries": 5}',
        b'{"version": "stagewise-checksums-1", "entries": {"FILE": "x"}}',
        b'{"version": "stagewise-checksums-1", "entries": {"FILE": [1, 2]}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_or_foreign_memory_is_an_empty_one(file, path, content):
    path.parent.mkdir()
    path.write_bytes(content.replace(b"FILE", str(file).encode()))
    assert plan(path, file) == [sha256_file(file)]
    assert json.loads(path.read_text())["version"] == "stagewise-checksums-1"


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(file, tmp_path):
    (tmp_path / "blocked").write_text("a file where the folder would be")
    assert plan(tmp_path / "blocked" / "memory.json", file) == [sha256_file(file)]


def test_nothing_is_written_if_nothing_changed(file, path, later):
    plan(path, file)
    before = path.stat()
    plan(path, file)
    assert path.stat().st_ino == before.st_ino


def _plans(path, files, count):
    for _ in range(count):
        assert plan(path, *files) == list(map(sha256_file, files))


def test_two_plans_at_once_leave_a_whole_memory(tmp_path, path):
    sets = [[tmp_path / f"{letter}{i}" for i in range(50)] for letter in "ab"]
    for file in sum(sets, []):
        file.write_text(file.name)
        os.utime(file, ns=(1, 1))
    time.sleep(2.1)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_plans, args=(path, files, 30)) for files in sets]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        if path.exists():
            json.loads(path.read_text())
    for process in processes:
        process.join()
        assert process.exitcode == 0


@pytest.mark.parametrize("seed", range(5))
def test_after_any_edits_the_checksums_are_those_of_the_files(tmp_path, path, seed, later):
    """Edits, replaced files, times set by the plan or by others, in any order, with plans in between."""
    chance = random.Random(seed)
    files = [tmp_path / f"{i}.txt" for i in range(4)]
    for file in files:
        file.write_text("0")

    def rewrite(file, memory):
        file.write_text(str(chance.randrange(3)))

    def rewrite_quietly(file, memory):
        before = file.stat().st_mtime_ns
        file.write_text(str(chance.randrange(3)))
        os.utime(file, ns=(before, before))

    def replace(file, memory):
        (tmp_path / "new").write_text(str(chance.randrange(3)))
        (tmp_path / "new").replace(file)

    def touch(file, memory):
        os.utime(file, ns=(chance.randrange(3), chance.randrange(3)))

    def set_time(file, memory):
        memory.set_time(file, chance.randrange(3))

    memory = ChecksumMemory(path)
    for _ in range(60):
        time.sleep(0.005)  # more than a tick of the kernel's clock
        chance.choice([rewrite, rewrite_quietly, replace, touch, set_time])(chance.choice(files), memory)
        file = chance.choice(files)
        assert memory(file) == sha256_file(file)
        if chance.random() < 0.3:
            memory.save()
            memory = ChecksumMemory(path)
