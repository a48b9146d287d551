"""Several processes train the adapter that one would: the same items in every step, the same loss, the same weights."""

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.numpy import load_file

from scripts import train_adapter
from stagewise.errors import InputError
from stagewise.models import gpu_lock
from stagewise.training import distributed
from stagewise.training.sampling import GroupedByLength, StepPasses
from tests.helpers.contradicting_tasks import AdapterFolder, write_data

ROOT = Path(__file__).resolve().parents[3]
# Sums in another order: rounding of float32 weights of about 0.1 that a few dozen steps have gone over.
TOLERANCE = 1e-5


def passes(items: int, step: int, micro_batch: int, count: int, epoch: int = 1) -> list[StepPasses]:
    """The passes of every process."""
    shared = []
    for index in range(count):
        sampler = GroupedByLength([7 + 3 * (i % 5) for i in range(items)], step, seed=3)
        shared.append(StepPasses(sampler, distributed.StepShare(step, micro_batch, count, index)))
        shared[-1].set_epoch(epoch)
    return shared


@pytest.mark.parametrize("items", [1, 8, 17, 24, 31])
@pytest.mark.parametrize(("step", "micro_batch", "count"), [(8, 3, 1), (4, 1, 1), (8, 2, 2), (12, 5, 2), (10, 2, 4)])
def test_every_step_has_the_items_that_one_pass_of_one_process_would_have(items, step, micro_batch, count):
    steps = list(passes(items, step, step, 1)[0])
    several = passes(items, step, micro_batch, count)
    parts = [list(shared) for shared in several]
    assert {len(part) for part in parts} == {len(shared) for shared in several}  # as many in every process
    assert max(len(one) for part in parts for one in part) <= micro_batch
    size = several[0].share.passes
    assert math.ceil(len(parts[0]) / size) == len(steps) == math.ceil(items / step)
    for number, wanted in enumerate(steps):
        mine = [one for part in parts for one in part[number * size : (number + 1) * size]]
        assert sorted(i for one in mine for i in one) == sorted(wanted)


def test_epochs_have_orders_of_their_own():
    first, second = (passes(24, 4, 2, 2, epoch)[0] for epoch in (0, 1))
    assert list(first) != list(second)


def test_more_processes_than_items_of_a_step_are_refused_before_anything_starts(tmp_path, tiny_model, capsys):
    distributed.check_processes(4, 3)
    adapters = AdapterFolder(tmp_path, tiny_model, write_data(tmp_path / "data"))
    adapters.recipe("first", [], learns=["first"], tasks=task("first", adapters))
    assert train_adapter.main([*adapters._argv("first"), "--processes", "5"]) == 2
    error = capsys.readouterr().err
    assert "5 processes cannot share an optimizer step of 4 items" in error and error.count("\n") == 1
    assert train_adapter.main([*adapters._argv("first"), "--processes", "0"]) == 2
    assert not adapters.adapter("first").exists()


def test_several_processes_do_not_share_the_cpu_by_accident(monkeypatch):
    monkeypatch.setattr(gpu_lock, "visible_gpus", lambda: [])
    monkeypatch.setenv("STAGEWISE_DEVICE", "auto")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(InputError, match="4 processes need 4 GPUs, but this job sees none; .* STAGEWISE_DEVICE=cpu"):
        distributed.launch_processes(4, "scripts.train_adapter", [], "a training")


def test_processes_wait_as_long_for_each_other_with_nccl_as_with_gloo(monkeypatch):
    """transformers' own value comes too late: the process group exists by then."""
    given = {}
    monkeypatch.setattr("accelerate.PartialState", lambda **arguments: given.update(arguments))
    distributed.init_distributed()
    assert given["timeout"] == torch.distributed.constants.default_pg_timeout


def test_the_launcher_heeds_no_gpus_of_the_users_own_configuration(monkeypatch, tmp_path):
    """A ``gpu_ids: 0`` there would end it."""
    started = []
    monkeypatch.setattr(distributed.os, "execv", lambda program, command: started.append(command))
    monkeypatch.setenv("STAGEWISE_DEVICE", "cpu")
    distributed.launch_processes(2, "scripts.train_adapter", ["--recipe", "r"], "a training")
    from accelerate.commands import launch

    path = tmp_path / "default_config.yaml"
    path.write_text("compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\ngpu_ids: '0'\nnum_processes: 1\n")
    monkeypatch.setattr(launch, "default_config_file", str(path))
    monkeypatch.setattr("accelerate.commands.config.config_args.default_config_file", str(path))
    words = started[0][started[0].index("accelerate.commands.launch") + 1 :]
    args, *_ = launch._validate_launch_command(launch.launch_command_parser().parse_args(words))
    assert (args.gpu_ids, args.num_processes, args.multi_gpu) == ("all", 2, True)


def task(name: str, adapters: AdapterFolder) -> dict:
    from tests.helpers.contradicting_tasks import task_settings

    return {name: task_settings(adapters.data, name)}


def arguments(adapters: AdapterFolder, name: str, parent: str | None, count: int) -> list[str]:
    argv = [*adapters._argv(name), "--report-to", "--processes", str(count), "--micro-batch", str(8 // count)]
    return argv + (["--parent", str(adapters.adapter(parent))] if parent else [])


def prepare(
    adapters: AdapterFolder, name: str, learns: str, parent: str | None = None, remedies=None, **training
) -> None:
    tasks = [*(["first"] if parent else []), learns]
    adapters.recipe(
        name,
        [parent] if parent else [],
        learns=[learns],
        tasks={key: value for one in tasks for key, value in task(one, adapters).items()},
        remedies=remedies or {},
        lora={"r": 4, "alpha": 8, "dropout": 0},  # what is dropped out is another draw in every process
        training={"epochs": 3, "learning_rate": 5e-3} | training,
    )


def train(adapters: AdapterFolder, name: str, parent: str | None = None, count: int = 2) -> None:
    """Train in this process, or through accelerate's launcher in several."""
    if count == 1:
        assert train_adapter.main(arguments(adapters, name, parent, count)) == 0
        return
    command = [sys.executable, "-m", "scripts.train_adapter", *arguments(adapters, name, parent, count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def compare(one: AdapterFolder, two: AdapterFolder, name: str, tasks: list[str]) -> None:
    """The same adapter, told from the same work, by one process and by two."""
    alone, together = one.summary(name), two.summary(name)
    assert (alone["processes"], together["processes"]) == (1, 2) and together["device"].startswith("2 × ")
    for key in ("fingerprint", "steps", "tokens", "extra_tokens", "items", "rehearsed", "best_step"):
        assert alone[key] == together[key], key
    assert together["final_loss"] == pytest.approx(alone["final_loss"], abs=1e-4)
    assert together["best_eval_loss"] == pytest.approx(alone["best_eval_loss"], abs=1e-4)
    mine, theirs = (load_file(adapters.adapter(name) / "adapter_model.safetensors") for adapters in (one, two))
    apart = max(float(abs(mine[key] - theirs[key]).max()) for key in mine)
    print(f"{name}: weights up to {max(abs(w).max() for w in mine.values()):.3g}, at most {apart:.2g} apart")
    assert mine.keys() == theirs.keys() and apart < TOLERANCE
    for one_task in tasks:
        scores, gold = one.logprobs(name, one_task)
        others, _ = two.logprobs(name, one_task)
        assert abs(scores - others).max() < 1e-3 and (scores.argmax(1) == others.argmax(1)).all() and len(gold) > 10


# Every remedy that acts on the loss or after a step, at once.
REMEDIES = {
    "rehearsal": {"share": 0.25},
    "anchor": {},
    "ewc": {"items": 8},
    "distill": {"strength": 0.5},
    "kl": {},
    "balanced": {"by": "weights"},
    "orthogonal": {},
}


@pytest.fixture
def adapter_folders(tmp_path, tiny_model) -> tuple[AdapterFolder, AdapterFolder]:
    # 29 items of the first task and 32 of the second: the last steps of an epoch come out uneven.
    data = write_data(tmp_path / "data", {"yes": 12, "no": 10, "maybe": 7})
    return AdapterFolder(tmp_path / "one", tiny_model, data), AdapterFolder(tmp_path / "two", tiny_model, data)


@pytest.mark.slow
def test_two_processes_train_the_adapter_that_one_would(adapter_folders):
    for adapters, count in zip(adapter_folders, (1, 2), strict=True):
        prepare(adapters, "first", "first")
        train(adapters, "first", count=count)
    compare(*adapter_folders, "first", ["first"])
    checkpoint = max((adapter_folders[1].folder / "checkpoints").glob("*/*/checkpoint-*"))
    assert {"rng_state_0.pth", "rng_state_1.pth", "trained_tokens"} <= {path.name for path in checkpoint.iterdir()}


@pytest.mark.slow
def test_remedies_do_in_two_processes_what_they_do_in_one(adapter_folders):
    one, two = adapter_folders
    prepare(one, "first", "first")
    train(one, "first", count=1)
    for adapters, count in zip(adapter_folders, (1, 2), strict=True):
        if adapters is two:  # the very same parent
            shutil.copytree(one.folder / "first", two.folder / "first")
        prepare(adapters, "second", "second", "first", REMEDIES, batch_size=11, best_metric="macro_f1")
        train(adapters, "second", "first", count=count)  # eight and three items, or in each process four and two or one
    compare(one, two, "second", ["first", "second"])
    assert two.summary("second")["rehearsed"] > 0 and two.summary("second")["extra_tokens"] > 0


@pytest.mark.slow
def test_one_of_two_processes_writes_the_items_that_both_train_on(adapter_folders):
    one, two = adapter_folders
    prepare(one, "first", "first", epochs=1)
    train(one, "first", count=1)
    shutil.copytree(one.folder / "first", two.folder / "first")
    remedies = {"self_replay": {"items": 8, "max_tokens": 4}, "ema": {}}
    for adapters, count in zip(adapter_folders, (1, 2), strict=True):
        prepare(adapters, "second", "second", "first", remedies, epochs=1)
        train(adapters, "second", "first", count=count)
    compare(one, two, "second", ["first", "second"])
    written = [next(a.folder.glob("checkpoints/*/*/pseudo_items/*/first.jsonl")).read_bytes() for a in adapter_folders]
    assert written[0] == written[1] and one.summary("second")["rehearsed"] == 8


STOPS = '''
import os, time
from pathlib import Path

from stagewise.remedies.base import Remedy, TrainingHook


class Stops(Remedy):
    """Does nothing, and waits long enough for a signal after the fifth step of a first training."""

    def hook(self, context):
        return Waits()


class Waits(TrainingHook):
    steps = 0

    def after_step(self):
        self.steps += 1
        seen = Path(os.environ["STOPPED_AT"]) if os.environ.get("STOPPED_AT") else None
        if seen and self.steps == 5:
            seen.touch()
            time.sleep(10)
'''


@pytest.mark.slow
def test_a_terminated_training_goes_on_with_another_number_of_processes(adapter_folders, tmp_path, monkeypatch):
    uninterrupted, cut = adapter_folders
    (tmp_path / "stops.py").write_text(STOPS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for adapters in adapter_folders:
        prepare(adapters, "first", "first", remedies={"stops:Stops": {}}, eval_every=2, best_metric="last")
    train(uninterrupted, "first", count=1)

    stopped = tmp_path / "stopped"
    started = subprocess.Popen(
        [sys.executable, "-m", "scripts.train_adapter", *arguments(cut, "first", None, 2)],
        cwd=ROOT,
        env=os.environ | {"STOPPED_AT": str(stopped)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        waited = time.monotonic()
        while not stopped.exists() and time.monotonic() - waited < 300:
            assert started.poll() is None
            time.sleep(0.2)
        workers = psutil.Process(started.pid).children(recursive=True)
        assert len(workers) >= 2
        started.send_signal(signal.SIGTERM)
        # All of them save the step that they are in, and stop.
        assert "stopped after step 5 of 24, asked to (SIGTERM)" in started.communicate(timeout=60)[1]
        assert started.returncode != 0
        assert not psutil.wait_procs(workers, timeout=30)[1]  # nothing is left behind
    finally:
        started.kill()
    assert not cut.adapter("first").exists()

    train(cut, "first", count=1)
    summary = cut.summary("first")
    assert summary["resumed_from_step"] == 5 and summary["processes"] == 1
    reference = uninterrupted.summary("first")
    assert (summary["tokens"], summary["steps"]) == (reference["tokens"], reference["steps"])
    mine, theirs = (load_file(adapters.adapter("first") / "adapter_model.safetensors") for adapters in adapter_folders)
    assert max(float(abs(mine[key] - theirs[key]).max()) for key in mine) < TOLERANCE
