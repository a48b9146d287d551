"""Several trainings in one process: each leaves the bytes that it would leave in a process of its own."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from unittest.mock import Mock

import pytest

from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file, write_json
from stagewise.provenance.lock import locked
from stagewise.provenance.receipts import write_receipt
from stagewise.training import siblings, time_limit
from stagewise.training.job import AdapterJob
from tests.helpers.contradicting_tasks import AdapterFolder, write_data
from tests.helpers.project_copy import ROOT

WEIGHTS = "adapter_model.safetensors"
DROPOUT = {"lora": {"r": 4, "alpha": 8, "dropout": 0.1}}
# In the order of the file of siblings; the first one's job trains them all.
CHILDREN = {
    "plain": DROPOUT,
    "ewc": DROPOUT | {"remedies": {"ewc": {"items": 4}}},
    "orthogonal": {"remedies": {"orthogonal": {}}},
    "checkpointed": {"gradient_checkpointing": True, "best_metric": "loss", "eval_every": 1},
    "distill": DROPOUT | {"remedies": {"distill": {"inputs": "rehearsal", "share": 0.5}}},
}
CLOCKS = ("seconds", "tokens_per_second", "peak_memory_bytes")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), {"yes": 4, "no": 4, "maybe": 2})


class Family(AdapterFolder):
    """A parent and its children; the children are planned, not trained."""

    def __init__(self, folder, model, data, quantization="none", children=CHILDREN):
        super().__init__(folder, model, data, quantization)
        self.children = list(children)
        self.train("parent", "first", epochs=1)
        for name, settings in children.items():
            self.plan(name, "second", "parent", ["first"], **{"epochs": 1} | settings)

    def run_together(self, name: str, trainings: int, *options: str) -> dict:
        """Run a child's job, which may train others too."""
        file = self.folder / "siblings.json"
        entries = [{"recipe": str(self.recipe_file(child)), "data": str(self.data)} for child in self.children]
        write_json(file, {"adapters": entries})
        return self.run(name, "parent", "--siblings", str(file), "--trainings", str(trainings), *options)

    def recipe_file(self, name: str):
        return self.folder / name / "recipe.json"

    def job(self, name: str) -> AdapterJob:
        """The job of a child."""
        parents = [self.adapter("parent")]
        return AdapterJob.open(
            self.recipe_file(name), self.model, self.data, parents, self.folder / "checkpoints", None
        )

    def cached(self, name: str):
        """The cache folder of a child, or None."""
        fingerprint = json.loads(self.recipe_file(name).read_text())["fingerprint"]
        folders = list((self.folder / "checkpoints" / fingerprint[:16]).glob("*/adapter"))
        return folders[0] if folders else None

    def trained(self) -> list[str]:
        return [name for name in self.children if self.cached(name)]


def content(folder) -> tuple:
    """Contents of an adapter's folder, without what a clock decides."""
    log = (folder / "training_log.csv").read_text().splitlines()
    log = [line for line in log if "runtime" not in line and "per_second" not in line]
    summary = json.loads((folder / "training.json").read_text())
    return sha256_file(folder / WEIGHTS), log, {key: value for key, value in summary.items() if key not in CLOCKS}


@pytest.fixture
def loads(monkeypatch):
    """One entry for each time that a base model was loaded."""
    from stagewise.models import load

    entries, original = [], load.load_base

    def load_base(*arguments):
        entries.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(load, "load_base", load_base)
    return entries


def test_siblings_get_the_bytes_of_trainings_alone(tmp_path, tiny_model, data, loads):
    together = Family(tmp_path / "together", tiny_model, data)
    loads.clear()
    together.run_together("plain", trainings=9)
    assert len(loads) == 1 and together.trained() == list(CHILDREN)
    assert not together.adapter("ewc").exists()  # its own job puts it there
    together.run("ewc", "parent")
    assert len(loads) == 1

    alone = Family(tmp_path / "alone", tiny_model, data)
    for name in ("ewc", "orthogonal", "checkpointed"):
        alone.run(name, "parent")
        assert content(together.cached(name)) == content(alone.adapter(name)), name
    # And one in a process of its own.
    argv = [*alone._argv("distill"), "--parent", alone.adapter("parent"), "--report-to"]
    subprocess.run([sys.executable, "-m", "scripts.train_adapter", *map(str, argv)], cwd=ROOT, check=True)
    assert content(together.cached("distill")) == content(alone.adapter("distill"))


def test_a_quantized_base_model_is_shared_too(tmp_path, tiny_model, data):
    children = {name: CHILDREN[name] for name in ("plain", "ewc")}
    together = Family(tmp_path / "together", tiny_model, data, "nf4", children)
    together.run_together("plain", trainings=9)
    alone = Family(tmp_path / "alone", tiny_model, data, "nf4", children)
    alone.run("ewc", "parent")
    assert content(together.cached("ewc")) == content(alone.adapter("ewc"))


FEW = {name: CHILDREN[name] for name in ("plain", "ewc", "orthogonal")}


@pytest.fixture(scope="module")
def parent(tmp_path_factory, tiny_model, data):
    """A family none of whose children is trained; read only."""
    return Family(tmp_path_factory.mktemp("family"), tiny_model, data, children=FEW)


@pytest.fixture
def family(parent, tmp_path, monkeypatch):
    """A copy of it, whose trainings only leave the parent's adapter under the child's name."""
    family = copy.copy(parent)
    family.folder = tmp_path / "family"
    shutil.copytree(parent.folder, family.folder)
    family.stages = []

    def train_stage(job, options, base, cached):
        family.stages.append(job.recipe.lineage.rpartition("/")[2])
        if act := family.acts.get(family.stages[-1]):
            act()
        shutil.copytree(family.adapter("parent"), cached / "adapter")
        write_receipt(cached / "adapter", {"inputs": job.inputs, "image": job.image})

    family.acts = {}
    monkeypatch.setattr("stagewise.training.run.train_stage", train_stage)
    return family


def test_a_process_trains_no_more_than_it_may(family):
    family.run_together("ewc", trainings=2)
    assert family.stages == ["ewc", "orthogonal"]  # first its own, then the next ones


def test_an_adapter_that_is_in_the_cache_lets_nothing_begin(family):
    family.run_together("plain", trainings=1)
    family.run_together("plain", trainings=9)
    assert family.stages == ["plain"]


def test_a_sibling_that_another_process_trains_is_left_to_it(family):
    with locked(family.job("ewc").cached, "the adapter"):
        family.run_together("plain", trainings=9)
    assert family.stages == ["plain", "orthogonal"]


def test_a_job_whose_adapter_another_process_trains_takes_siblings_meanwhile(family):
    """Two jobs side by side never train the same adapter, and none waits while there is work."""
    job = family.job("plain")
    free = threading.Event()

    def hold():
        with locked(job.cached, "the adapter"):
            free.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    family.acts["orthogonal"] = free.set
    family.run_together("plain", trainings=9)
    holder.join()
    assert family.stages == ["ewc", "orthogonal", "plain"]


@pytest.mark.parametrize("error", [InputError("it diverged"), RuntimeError("CUDA error")])
def test_a_sibling_that_fails_is_left_to_its_own_job(family, error, capsys):
    family.acts["ewc"] = Mock(side_effect=error)
    family.run_together("plain", trainings=9)
    # After an error that the program has not foreseen, the process is in no state to go on.
    assert family.trained() == (["plain", "orthogonal"] if isinstance(error, InputError) else ["plain"])
    assert f"base/seed-0/ewc: not trained here, but by its own job ({error})" in capsys.readouterr().err


def test_recipes_that_are_not_there_yet_or_outdated_are_skipped(family):
    family.recipe_file("ewc").unlink()
    os.utime(family.recipe_file("orthogonal"), (1, 1))
    family.run_together("plain", trainings=9)
    assert family.stages == ["plain"]


def test_a_sibling_of_another_compute_type_is_skipped(family):
    family.recipe_file("ewc").unlink()
    family.quantization = "nf4"
    family.plan("ewc", "second", "parent", ["first"], epochs=1)
    family.run_together("plain", trainings=9)
    assert family.stages == ["plain", "orthogonal"]


@pytest.mark.parametrize(("outside", "stages"), [("ewc", ["plain", "orthogonal"]), ("plain", ["plain"])])
def test_code_from_outside_the_package_gets_a_process_of_its_own(family, monkeypatch, outside, stages):
    """It may leave anything behind."""
    opened, fingerprint = AdapterJob.open, family.job(outside).recipe.fingerprint

    def open_with_code(*arguments):
        job = opened(*arguments)
        code = {"lab:Own": "0" * 64} if job.recipe.fingerprint == fingerprint else {}
        return replace(job, recipe=job.recipe.model_copy(update={"code": code}))

    monkeypatch.setattr(AdapterJob, "open", open_with_code)
    family.run_together("plain", trainings=9)
    assert family.stages == stages


def test_a_tracker_that_takes_a_process_for_a_training_gets_one(family):
    family.run_together("plain", 9, "--report-to", "wandb")
    assert family.stages == ["plain"]


def test_no_sibling_is_begun_without_the_time_for_it(family, monkeypatch):
    now = time_limit.time.time()
    clock = [now]
    monkeypatch.setattr(time_limit.time, "time", lambda: clock[0])
    monkeypatch.setattr(siblings.time, "monotonic", lambda: clock[0])

    def take_four_minutes():
        clock[0] += 240

    family.acts = dict.fromkeys(FEW, take_four_minutes)
    family.run_together("plain", 9, "--time-limit", "10")
    assert family.stages == ["plain", "ewc"]


def test_a_termination_within_a_sibling_fails_nothing(family):
    family.acts["ewc"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    family.run_together("plain", trainings=9)
    assert family.stages == ["plain", "ewc"]
