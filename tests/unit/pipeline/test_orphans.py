"""Steps that a killed run left: those that are wanted are waited for, the others end."""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from stagewise.errors import InputError
from stagewise.pipeline.orphans import (
    RUN_VARIABLE,
    PlannedStep,
    find_orphans,
    planned_steps,
    settle_orphans,
    settle_slurm_jobs,
    step_words,
)
from stagewise.pipeline.run_claims import Run

WORDS = ("scripts.train_adapter", "--output", "out/a b/adapter")
COMMAND = f"python -m {shlex.join(WORDS)} 2>&1 | tee logs/x.log"


@pytest.fixture
def killed():
    """A run that is dead."""
    return replace(Run.of_this_process(), pid=2**22 - 1, started="1")


@pytest.fixture
def step(killed):
    """Start a step of the killed run that takes some seconds, as a shell starts it."""
    started = []

    def start(seconds: float = 30, words=WORDS, **variables: str) -> subprocess.Popen:
        python = [sys.executable, "-c", f"import time; time.sleep({seconds})", "-m", *words]
        command = f"{shlex.join(python)} 2>&1 | cat"
        started.append(
            subprocess.Popen(
                ["bash", "-c", command], env=os.environ | {RUN_VARIABLE: killed.id} | variables, start_new_session=True
            )
        )
        end = time.monotonic() + 10
        # The pipe's two ends and the shell.
        while time.monotonic() < end and sum(len(o.processes) for o in find_orphans([killed])) < 3 * len(started):
            time.sleep(0.02)
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_steps_words_are_those_after_its_name():
    assert step_words(shlex.split(COMMAND)) == WORDS
    assert step_words(shlex.split("apptainer exec x.sif bash -c ls")) == ()


class Job(SimpleNamespace):
    """A job of Snakemake's plan."""

    __hash__ = object.__hash__

    def is_group(self):
        return hasattr(self, "jobs")


def plan_of_three(group_of=lambda job: None):
    first = Job(name="train_adapter", wildcards=["base/seed-0"], is_shell=True, shellcmd=COMMAND)
    second = Job(name="predict", wildcards=["base/seed-0"], is_shell=True, shellcmd="python -m scripts.predict")
    target = Job(name="all", wildcards=[], is_shell=False)
    return Job(
        needrun_jobs=lambda: [first, second, target],
        needrun=lambda job: True,
        dependencies={first: {}, second: {first: set()}, target: {second: set()}},
        get_job_group=group_of,
    )


def test_only_steps_whose_inputs_are_there_can_start_at_once():
    assert planned_steps(plan_of_three()) == [PlannedStep("rule_train_adapter_wildcards_base_seed-0", WORDS)]


def test_a_step_that_only_the_preflight_is_before_can_start_at_once():
    plan = plan_of_three()
    train, _, _ = plan.needrun_jobs()
    plan.dependencies[train] = {Job(name="run_preflight", wildcards=[], is_shell=True): set()}
    assert [step.words for step in planned_steps(plan)] == [WORDS]


def test_a_group_of_steps_can_start_if_it_waits_for_none_outside():
    """The Slurm executor names the job after the group."""
    group = Job(name="adapter_base_seed-0_predict_train_adapter")
    plan = plan_of_three(lambda job: None if job.name == "all" else group)
    train, predict, _ = plan.needrun_jobs()
    group.jobs = {train, predict}
    comment = "rule_adapter_base_seed-0_predict_train_adapter"
    assert planned_steps(plan) == [PlannedStep(comment, WORDS), PlannedStep(comment, ())]
    earlier = Job(name="write_recipe", wildcards=["base/seed-0"], is_shell=True)
    plan.dependencies[train] = {earlier: set()}
    assert planned_steps(plan) == []


def test_a_step_of_another_run_is_no_orphan(killed, step):
    step()
    (orphan,) = find_orphans([killed])
    assert orphan.words == WORDS and len(orphan.processes) == 3
    assert str(orphan).startswith("train_adapter out/a b/adapter (process ")
    assert find_orphans([replace(killed, id="another")]) == []
    # The run's own Slurm jobs are Slurm's, also on this machine.
    assert find_orphans([replace(killed, slurm_job="5")]) == []


def test_a_wanted_step_is_waited_for(killed, step, capfd):
    process = step(1)
    assert settle_orphans([killed], [PlannedStep("", WORDS)])
    assert process.wait(5) == 0
    assert "waiting for its result" in capfd.readouterr().err


@pytest.mark.parametrize("wanted", [(), WORDS[:1], (*WORDS, "--log-steps", "1")])
def test_a_step_that_would_write_something_else_is_ended(killed, step, wanted, capfd):
    process = step()
    started = time.monotonic()
    assert settle_orphans([killed], [PlannedStep("", wanted)])
    assert process.wait(5) != 0 and time.monotonic() - started < 20
    assert find_orphans([killed]) == [] and "ended, since" in capfd.readouterr().err


def test_a_stopped_step_is_not_waited_for(killed, step):
    process = step()
    os.killpg(process.pid, signal.SIGSTOP)
    assert settle_orphans([killed], [PlannedStep("", WORDS)])
    assert process.wait(5) != 0


def test_no_orphan_no_word(killed, capfd):
    assert not settle_orphans([killed], [PlannedStep("", WORDS)])
    assert capfd.readouterr().err == ""


def test_steps_on_another_machine_are_pointed_at(killed, capfd):
    assert not settle_orphans([replace(killed, host="node7", machine="node7 boot")], [])
    assert "on node7, process" in capfd.readouterr().err


SQUEUE = """#!/bin/sh
test -e broken && exit 1
grep -v "^#" jobs
# A running job ends while it is waited for.
sed -i '/RUNNING/d' jobs
exit 0
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A queue in the file ``jobs``; ``cancelled`` has what was cancelled."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"squeue": SQUEUE, "scancel": '#!/bin/sh\necho $@ >> cancelled\nsed -i "/^$1|/d" jobs\n'}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def test_slurm_jobs_that_wait_or_that_nobody_wants_are_cancelled(slurm, killed, capfd):
    (slurm / "jobs").write_text("5|PENDING|rule_a\n6|RUNNING|rule_b_wildcards_x|y\n7|RUNNING|rule_a\n")
    run = replace(killed, slurm_run="stagewise_1")
    assert settle_slurm_jobs(run, {"rule_a"}, every=0.05)
    assert (slurm / "cancelled").read_text().split() == ["5", "6"]
    said = capfd.readouterr().err
    assert "cancelled, left by an interrupted run: Slurm job 5 (rule_a), Slurm job 6" in said
    assert "Slurm job 7 (rule_a): waiting" in said
    assert not settle_slurm_jobs(run, {"rule_a"})


def test_slurm_without_an_answer_is_no_licence_to_write(slurm, killed):
    (slurm / "jobs").write_text("")
    (slurm / "broken").touch()
    with pytest.raises(InputError, match="Slurm does not answer.*squeue --name stagewise_1"):
        settle_slurm_jobs(replace(killed, slurm_run="stagewise_1"), set())
