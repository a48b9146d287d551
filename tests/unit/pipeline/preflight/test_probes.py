"""Probes: texts that are here and long enough, and tasks that the harness has."""

import pytest

from stagewise.probes import harness_package
from tests.helpers.harness_tasks import write_harness_tasks
from tests.helpers.probe_step import TEXT


def probe_problems(experiment, **probes) -> list[tuple[str, str]]:
    return [problem for problem in experiment.problems(probes=probes) if "probes" in problem[1]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "config: probes.texts.prose.path: there is no file 'prose.txt'; correct it"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"A calm day.", "config: probes.texts.prose: the text has 1 segment of 32 tokens and an interval needs two"),
    ],
)
def test_texts_that_cannot_be_scored_fail(tiny_experiment, content, says):
    if content is not None:
        (tiny_experiment.folder / "prose.txt").write_bytes(content)
    problems = probe_problems(tiny_experiment, texts={"prose": {"path": "prose.txt", "segment_tokens": 32}})
    assert problems and problems[0][0] == "failure" and says in problems[0][1]


def test_few_segments_are_a_warning_and_many_are_none(tiny_experiment):
    (tiny_experiment.folder / "prose.txt").write_text(TEXT, encoding="utf-8")
    (warning,) = probe_problems(tiny_experiment, texts={"prose": {"path": "prose.txt", "segment_tokens": 128}})
    assert warning[0] == "warning" and "lower segment_tokens (128), or take a longer text" in warning[1]
    assert not probe_problems(tiny_experiment, texts={"prose": {"path": "prose.txt", "segment_tokens": 16}})


def test_segments_beyond_the_positions_of_the_model_fail(tiny_experiment):
    (tiny_experiment.folder / "prose.txt").write_text(TEXT * 9, encoding="utf-8")
    (problem,) = probe_problems(tiny_experiment, texts={"prose": {"path": "prose.txt", "segment_tokens": 512}})
    assert problem[0] == "failure" and "lower it to 511 or less" in problem[1]


def test_a_missing_harness_names_the_command_that_installs_it(tiny_experiment, monkeypatch):
    monkeypatch.setattr(harness_package, "harness_version", lambda: None)
    (problem,) = probe_problems(tiny_experiment, harness=["arc_easy"])
    assert problem[0] == "failure" and "`pip install --no-deps --require-hashes -r envs/harness.txt`" in problem[1]


def test_tasks_are_looked_up_by_name(tiny_experiment, monkeypatch):
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (make harness)")
    from lm_eval.tasks import TaskManager

    from stagewise.probes.harness_tasks import TaskLoader

    folder = write_harness_tasks(tiny_experiment.folder / "mine")
    own = TaskManager(include_path=str(folder), include_defaults=False)
    monkeypatch.setattr(TaskLoader, "_all", own)
    several = ["arc_easy", "hellaswag", "ifeval", "mmlu", "ai2_arc", "animals", "toys", "things"]
    assert not probe_problems(tiny_experiment, harness={"tasks": several, "include": "mine"})
    (problem,) = probe_problems(tiny_experiment, harness={"tasks": ["anmials"], "include": "mine"})
    assert problem[0] == "failure" and "did you mean animals?" in problem[1]
    (problem,) = probe_problems(tiny_experiment, harness={"tasks": ["animals"], "include": "yours"})
    assert "probes.harness.include: there is no folder 'yours'" in problem[1]
