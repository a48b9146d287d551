"""Verdicts by content become file times, and nothing else does."""

import os

import pytest

from stagewise.pipeline.freshness import STALE, Output, settle


def write(path, time):
    path.write_text(path.name)
    os.utime(path, (time, time))
    return path


def times(*paths):
    return [path.stat().st_mtime for path in paths]


@pytest.fixture
def files(tmp_path):
    """An input that is newer than the two files made from it."""
    return write(tmp_path / "input", 3000), write(tmp_path / "one", 1000), write(tmp_path / "two", 4000)


def test_current_files_become_no_older_than_their_inputs(files):
    given, one, two = files
    assert settle([Output([one, two], [given], lambda: True)]) == 0
    assert times(given, one, two) == [3000, 3000, 4000]


def test_stale_files_become_older_than_any_input(files):
    given, one, two = files
    assert settle([Output([one, two], [given], lambda: False)]) == 1
    assert times(given, one, two) == [3000, STALE, STALE]


def test_a_verdict_that_cannot_be_reached_is_stale(files):
    given, one, two = files

    def damaged():
        raise KeyError("made_from")

    assert settle([Output([one, two], [given], damaged)]) == 1


def test_an_incomplete_output_is_stale_unless_what_is_missing_may_be(files, tmp_path):
    given, one, two = files
    gone = tmp_path / "gone"
    assert settle([Output([one, gone], [given], lambda: True)]) == 1
    assert settle([Output([two, gone], [given], lambda: True, spare=(gone,))]) == 0
    assert not gone.exists()


def test_nothing_is_judged_where_nothing_is(tmp_path):
    assert settle([Output([tmp_path / "gone"], [], lambda: 1 / 0)]) == 0


def test_verdicts_run_down_a_chain(files):
    given, one, two = files
    settle([Output([one], [given], lambda: True), Output([two], [one], lambda: True)])
    assert times(given, one, two) == [3000, 3000, 4000]
    write(two, 500)
    settle([Output([one], [given], lambda: True), Output([two], [one], lambda: True)])
    assert times(two) == [3000]


def test_links_and_what_they_name_tell_the_same(files, tmp_path):
    given, one, _ = files
    link = tmp_path / "link"
    link.symlink_to(one)
    settle([Output([link], [given], lambda: False)])
    assert link.lstat().st_mtime == one.stat().st_mtime == STALE
    settle([Output([link], [given], lambda: True)])
    assert link.lstat().st_mtime == one.stat().st_mtime == 3000


def test_what_is_current_is_kept(files):
    given, one, two = files
    kept = []
    settle([Output([one], [given], lambda: True, lambda: kept.append("one")), Output([two], [], lambda: False)])
    assert kept == ["one"]
