"""The same command again, after a run was killed: it ends well at once, with the results of an undisturbed run.

Five points always; all of them, drawn by KILL_SEED, with KILL_POINTS=all (``make kill-test``).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.kill.killed_run import kill_and_repeat
from tests.kill.points import all_points, draw

pytestmark = pytest.mark.workflow

# One of each kind: step, Snakemake alone, everybody, planning, loss of power.
ALWAYS = {
    "mid-epoch 2": ("step", 5),
    "checkpoint: optimizer.pt": ("snakemake", 2),
    "predict publishes": ("group", 1),
    "a job is marked": ("step", 1),
    "power lost after scoring": ("group", 1),
}


def chosen():
    if os.environ.get("KILL_POINTS") == "all":
        return draw(int(os.environ.get("KILL_SEED", "0")))
    points = {point.name: point for point in all_points()}
    return [
        replace(points[name], victim=victim, count=count, linger=4 if victim == "snakemake" else 0)
        for name, (victim, count) in ALWAYS.items()
    ]


POINTS = chosen()


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """Outcome of every point; two runs at a time, since a run rarely uses more than one core."""
    references = {
        point.tool: request.getfixturevalue("undisturbed_under_dvc" if point.tool == "dvc" else "undisturbed")
        for point in POINTS
    }

    def outcome(point, folder):
        outcome = kill_and_repeat(references[point.tool], folder / "project", point)
        print(outcome.row, flush=True)
        return outcome

    print("\npoint | killed command's exit code | exit codes of the same command again | results")
    folders = [tmp_path_factory.mktemp("killed") for _ in POINTS]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(POINTS, pool.map(outcome, POINTS, folders), strict=True))


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_the_same_command_again_ends_well_with_the_same_results(outcomes, point):
    outcome = outcomes[point]
    assert outcome.is_good, f"{outcome.row}\n{outcome.output[-6000:]}"
