"""Verdicts by content become file times, and nothing else does."""

import os

import pytest

from stagewise.errors import InputError
from stagewise.pipeline.artifact import Artifact
from stagewise.pipeline.freshness import STALE, explain, settle


def write(path, time):
    path.write_text(path.name)
    os.utime(path, (time, time))
    return path


def artifact(outputs, inputs, reasons=lambda: [], label="thing", **more) -> Artifact:
    return Artifact("make", "phase", label, tuple(outputs), tuple(inputs), reasons, (), **more)


def stale(label="thing", **more):
    return {"reasons": lambda: ["seed 0 -> 1"], "label": label} | more


def judge(*artifacts) -> list[str]:
    """Settle and explain."""
    return explain(settle(artifacts, set_time))


def set_time(path, ns: int) -> None:
    os.utime(path, ns=(ns, ns))
    if path.is_symlink():
        os.utime(path, ns=(ns, ns), follow_symlinks=False)


def times(*paths):
    return [path.stat().st_mtime for path in paths]


@pytest.fixture
def files(tmp_path):
    """An input that is newer than the two files made from it."""
    return write(tmp_path / "input", 3000), write(tmp_path / "one", 1000), write(tmp_path / "two", 4000)


def test_current_files_become_no_older_than_their_inputs(files):
    given, one, two = files
    assert judge(artifact([one, two], [given])) == []
    assert times(given, one, two) == [3000, 3000, 4000]


def test_stale_files_become_older_than_any_input_and_say_why(files):
    given, one, two = files
    assert judge(artifact([one, two], [given], **stale())) == ["thing: seed 0 -> 1"]
    assert times(given, one, two) == [3000, STALE, STALE]


def test_what_is_of_use_of_stale_files_is_kept_before_snakemake_deletes_them(files):
    given, one, two = files
    kept = []
    current = {"keep": lambda: kept.append("all"), "keep_parts": lambda: kept.append("parts")}
    judge(artifact([one, two], [given], **current))
    judge(artifact([one, two], [given], **stale(**current)))
    settle([artifact([one, two], [given], **stale(**current))], None)  # a dry run
    assert kept == ["all", "parts"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KeyError("inputs"), "thing: incomplete, or written by another version"),
        (InputError("a.json: not valid JSON"), "thing: a.json: not valid JSON"),
    ],
)
def test_content_that_cannot_be_judged_is_stale(files, error, says):
    given, one, two = files

    def damaged():
        raise error

    assert judge(artifact([one, two], [given], damaged)) == [says]
    assert times(one) == [STALE]


def test_a_fault_of_our_own_is_not_taken_for_a_stale_output(files):
    given, one, _ = files
    with pytest.raises(ZeroDivisionError):
        judge(artifact([one], [given], lambda: 1 / 0))


def test_an_incomplete_output_is_stale_unless_what_is_missing_may_be(files, tmp_path):
    given, one, two = files
    gone = tmp_path / "gone"
    assert judge(artifact([one, gone], [given])) == ["thing: missing: gone"]
    assert judge(artifact([two, gone], [given], optional=(gone,))) == []
    assert not gone.exists()


def test_an_output_that_was_never_made_is_not_judged(tmp_path):
    assert judge(artifact([tmp_path / "gone"], [], lambda: 1 / 0)) == []


def test_verdicts_run_down_a_chain(files):
    given, one, two = files
    judge(artifact([one], [given]), artifact([two], [one]))
    assert times(given, one, two) == [3000, 3000, 4000]
    write(two, 500)
    judge(artifact([one], [given]), artifact([two], [one]))
    assert times(two) == [3000]


def test_what_is_made_from_a_stale_output_is_named_after_it(files):
    given, one, two = files
    lines = judge(artifact([one], [given], **stale("first")), artifact([two], [one], label="second"))
    assert lines == ["first: seed 0 -> 1", "made from these: second"]
    assert times(one, two) == [STALE, 4000]  # Snakemake makes it again after its input


def test_outputs_of_one_label_share_a_line_and_many_are_counted(files):
    given, one, two = files
    recipe, adapter = artifact([one], [given], **stale()), artifact([two], [one], lambda: ["recipe changed"])
    assert judge(recipe, adapter) == ["thing: seed 0 -> 1"]
    many = [artifact([one], [given], **stale(f"thing {n}")) for n in range(50)]
    lines = judge(*many)
    assert len(lines) == 41 and lines[-1] == "and 10 more stale outputs"


def test_links_and_what_they_name_tell_the_same(files, tmp_path):
    given, one, _ = files
    link = tmp_path / "link"
    link.symlink_to(one)
    judge(artifact([link], [given], **stale()))
    assert link.lstat().st_mtime == one.stat().st_mtime == STALE
    judge(artifact([link], [given]))
    assert link.lstat().st_mtime == one.stat().st_mtime == 3000


def test_what_is_current_is_kept(files):
    given, one, two = files
    kept = []
    judge(artifact([one], [given], keep=lambda: kept.append("one")), artifact([two], [], **stale()))
    assert kept == ["one"]


def test_a_file_of_somebody_else_is_refused_in_one_sentence(files):
    given, one, _ = files

    def refuse(path, ns):
        raise PermissionError

    with pytest.raises(InputError, match="belongs to someone else"):
        settle([artifact([one], [given])], refuse)


@pytest.mark.parametrize("dry_run", [False, True])
def test_times_that_are_not_written_are_handed_over(files, dry_run):
    """Somebody else's files, a read-only disk, or a dry run, which puts nothing into the cache either."""
    given, one, two = files
    kept, unwritten = [], {}

    def refuse(path, ns):
        raise PermissionError

    chain = [
        artifact([one], [given], keep=lambda: kept.append("one")),
        artifact([two], [one], **stale("two")),
    ]
    before = times(one, two)
    verdicts = settle(chain, None if dry_run else refuse, unwritten)
    assert explain(verdicts) == ["two: seed 0 -> 1"]
    assert times(one, two) == before
    assert unwritten == {one: 3000 * 10**9, two: STALE * 10**9}
    assert kept == ([] if dry_run else ["one"])


def test_a_file_that_may_not_be_read_is_named(files):
    def reasons():
        raise PermissionError(13, "Permission denied", "out/receipt.json")

    given, one, _ = files
    assert judge(artifact([one], [given], reasons)) == ["thing: out/receipt.json: this user may not read it"]
