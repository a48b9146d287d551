"""However a step is split into forward passes, it is the same step; and what does not fit into memory is split more."""

import shutil
import weakref

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from scripts import train_adapter
from stagewise.errors import InputError
from stagewise.models.machine import Memory
from stagewise.models.memory_estimate import MemoryEstimate
from stagewise.remedies.base import Remedy
from stagewise.remedies.registry import builtin_remedies, find_remedy
from stagewise.training.passes import RECORD, Device, PassChoice, WishedPasses
from stagewise.training.trainer import StageTrainer
from tests.helpers.contradicting_tasks import AdapterFolder, task_settings, write_data
from tests.helpers.little_memory import limit_passes
from tests.helpers.toy_stage import acting_after_step

# Sums in another order: rounding of float32 weights of about 0.1 that three dozen steps have gone over.
TOLERANCE = 1e-5
SPLITS = {
    "one pass": (12, "off"),
    "three passes": (4, "off"),
    "uneven passes": (5, "off"),
    "single items, checkpointed": (1, "on"),
}
# Every remedy of training at once, and the other forms of some; a stage has one that makes a new LoRA.
REMEDIES = {
    "none": {},
    "all": {
        "rehearsal": {"share": 0.25},
        "anchor": {},
        "ewc": {"items": 4},
        "distill": {"strength": 0.5},
        "kl": {},
        "balanced": {"by": "weights"},
        "orthogonal": {},
        "self_replay": {"items": 6, "max_tokens": 3},
        "ema": {},
    },
    "minor": {"minor": {}},
    "other forms": {
        "gpm": {},
        "anchor": {"of": "factors"},
        "balanced": {"by": "sampling"},
        "distill": {"inputs": "rehearsal", "share": 0.5},
        "kl": {"direction": "reverse"},
        "ema": {"average": "uniform"},
    },
}
# Of the machine and not of the training.
MACHINE = ("runtime", "per_second", "flos")


@pytest.fixture(scope="module")
def parent(tmp_path_factory, tiny_model) -> AdapterFolder:
    # 29 items of the first task: the last step of an epoch has fewer than the others.
    root = tmp_path_factory.mktemp("passes")
    adapters = AdapterFolder(root, tiny_model, write_data(root / "data", {"yes": 12, "no": 10, "maybe": 7}))
    prepare(adapters, "parent", "second", {})
    assert train(adapters, "parent") == 0
    return adapters


def prepare(adapters: AdapterFolder, name: str, learns: str, remedies: dict, parent: str | None = None, **training):
    tasks = ["second", "first"] if parent else [learns]
    return adapters.recipe(
        name,
        [parent] if parent else [],
        learns=[learns],
        tasks={task: task_settings(adapters.data, task) for task in tasks},
        remedies=remedies,
        lora={"r": 4, "alpha": 8, "dropout": 0},  # what is dropped out is another draw in other passes
        training={"epochs": 2, "learning_rate": 5e-3, "batch_size": 3, "gradient_accumulation": 4} | training,
    )


def train(adapters: AdapterFolder, name: str, *options: str, parent: str | None = None) -> int:
    argv = [*adapters._argv(name), "--report-to", "--log-steps", "1", *options]
    return train_adapter.main(argv + (["--parent", str(adapters.adapter(parent))] if parent else []))


def training_log(adapters: AdapterFolder, name: str) -> pd.DataFrame:
    log = pd.read_csv(adapters.adapter(name) / "training_log.csv")
    log = log[(log.split == "train") & ~log.metric.str.contains("|".join(MACHINE))]
    return log.set_index(["step", "metric"])


def weights(adapters: AdapterFolder, name: str) -> np.ndarray:
    values = load_file(adapters.adapter(name) / "adapter_model.safetensors")
    return np.concatenate([values[key].ravel() for key in sorted(values)])


def test_the_remedies_below_are_all_there_are():
    of_training = {name for name in builtin_remedies() if issubclass(find_remedy(name).cls, Remedy)}
    assert of_training == {name for remedies in REMEDIES.values() for name in remedies}


@pytest.mark.parametrize("remedies", REMEDIES)
def test_every_split_of_a_step_trains_the_same_adapter(parent, remedies, tmp_path, capsys):
    logs, ends = {}, {}
    for split, (micro_batch, checkpointing) in SPLITS.items():
        adapters = AdapterFolder(tmp_path / split, parent.model, parent.data)
        shutil.copytree(parent.folder / "parent", adapters.folder / "parent")
        prepare(adapters, "child", "first", REMEDIES[remedies], "parent")
        options = ["--micro-batch", str(micro_batch), "--gradient-checkpointing", checkpointing]
        assert train(adapters, "child", *options, parent="parent") == 0
        summary = adapters.summary("child")
        assert (summary["micro_batch"], summary["gradient_checkpointing"]) == (micro_batch, checkpointing == "on")
        said = f"6 steps of 12 items, {micro_batch} item{'s' if micro_batch > 1 else ''} a pass"
        assert said in capsys.readouterr().err
        logs[split], ends[split] = training_log(adapters, "child"), weights(adapters, "child")
    first, *others = SPLITS
    assert {"loss", "grad_norm", "entropy", "mean_token_accuracy", "num_tokens"} <= {m for _, m in logs[first].index}
    for split in others:
        assert (logs[split].index == logs[first].index).all() and (logs[split].epoch == logs[first].epoch).all()
        assert abs(logs[split].value - logs[first].value).max() < 1e-4, split
        apart = abs(ends[split] - ends[first]).max()
        print(f"{remedies}, {split}: weights up to {abs(ends[first]).max():.3g}, at most {apart:.2g} apart")
        assert apart < TOLERANCE


def fresh(tmp_path, parent, name: str) -> AdapterFolder:
    adapters = AdapterFolder(tmp_path / name, parent.model, parent.data)
    prepare(adapters, "alone", "first", {}, best_metric="last", eval_every=2)
    return adapters


def trainers_left(monkeypatch) -> list[int]:
    """Number of earlier trainers that are still in memory whenever another one is built."""
    built, left, init = [], [], StageTrainer.__init__

    def counting(self, *args, **kwargs):
        left.append(sum(trainer() is not None for trainer in built))
        built.append(weakref.ref(self))
        init(self, *args, **kwargs)

    monkeypatch.setattr(StageTrainer, "__init__", counting)
    return left


def test_out_of_memory_halves_the_passes_and_goes_on(parent, tmp_path, monkeypatch, capsys):
    easy, hard = fresh(tmp_path, parent, "easy"), fresh(tmp_path, parent, "hard")
    assert train(easy, "alone") == 0
    with monkeypatch.context() as patch:
        tried = limit_passes(patch, 5)
        left = trainers_left(patch)
        capsys.readouterr()
        assert train(hard, "alone") == 0
    assert tried[:2] == [12, 6] and max(tried[2:]) == 3
    assert left == [0, 0, 0]  # the memory of an attempt is free when the next one begins
    said = [line for line in capsys.readouterr().err.splitlines() if "out of memory" in line]
    assert said == [
        "base/seed-0/alone: out of memory with 12 items a pass; it goes on with 6 items a pass",
        "base/seed-0/alone: out of memory with 6 items a pass; it goes on with 3 items a pass",
    ]
    assert hard.summary("alone")["micro_batch"] == 3
    assert abs(weights(hard, "alone") - weights(easy, "alone")).max() < TOLERANCE
    assert not list(hard.folder.rglob(RECORD))  # nothing is left of it


def test_it_goes_on_from_the_last_checkpoint(parent, tmp_path, monkeypatch):
    """A long item may come late."""
    easy, hard = fresh(tmp_path, parent, "easy"), fresh(tmp_path, parent, "hard")
    assert train(easy, "alone") == 0
    limit = []

    def late(trainer) -> None:
        if trainer.state.global_step == 3 and not limit:
            limit.append(limit_passes(monkeypatch, 6))

    with acting_after_step(monkeypatch, late):
        assert train(hard, "alone") == 0
    assert hard.summary("alone")["resumed_from_step"] == 2 and hard.summary("alone")["micro_batch"] == 6
    assert (training_log(hard, "alone").index == training_log(easy, "alone").index).all()
    assert abs(weights(hard, "alone") - weights(easy, "alone")).max() < TOLERANCE


def test_what_cannot_fit_is_one_sentence_and_is_not_tried_again(parent, tmp_path, monkeypatch, capsys):
    adapters = fresh(tmp_path, parent, "small")
    tried = limit_passes(monkeypatch, 0)
    assert train(adapters, "alone") == 2
    assert tried == [12, 6, 3, 1, 1]  # the last one with gradient checkpointing
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert "training 1 item a pass with gradient checkpointing of tiny, whose longest item has" in sentence
    assert "free for this process" in sentence and "lower training.max_length" in sentence
    assert "micro_batch" not in sentence  # there is nothing left to set
    assert train(adapters, "alone") == 2
    assert len(tried) == 5 and capsys.readouterr().err == sentence + "\n"


def test_a_set_number_of_items_is_not_changed(parent, tmp_path, monkeypatch, capsys):
    adapters = fresh(tmp_path, parent, "set")
    tried = limit_passes(monkeypatch, 3)
    options = ["--micro-batch", "4", "--gradient-checkpointing", "off"]
    assert train(adapters, "alone", *options) == 2
    assert "set the resource micro_batch of train_adapter to auto or less" in capsys.readouterr().err
    assert train(adapters, "alone", *options) == 2 and tried == [4]
    # An attempt on another machine, or a further one with smaller passes.
    with monkeypatch.context() as patch:
        patch.setattr("stagewise.training.audit.device_name", lambda: "another machine")
        assert train(adapters, "alone", *options) == 2 and tried == [4, 4]
    assert train(adapters, "alone", "--micro-batch", "3") == 0


def test_scoring_that_does_not_fit_takes_smaller_batches(parent, tmp_path, monkeypatch, capsys):
    easy, hard = fresh(tmp_path, parent, "easy"), fresh(tmp_path, parent, "hard")
    assert train(easy, "alone") == 0
    limit_passes(monkeypatch, 6, training=False)
    capsys.readouterr()
    assert train(hard, "alone") == 0
    assert "tokens a scoring batch" in capsys.readouterr().err
    mine, theirs = hard.summary("alone"), easy.summary("alone")
    assert mine["tokens_per_batch"] < theirs["tokens_per_batch"] == 4096
    assert mine["validation_answers"] == theirs["validation_answers"]


def choice(tmp_path, kind="cuda", free=100.0, items=16, checkpoints=True, **wished) -> PassChoice:
    """A training that takes 10 bytes and 10 an item, or 1 an item with gradient checkpointing."""

    def estimate(micro_batch: int, gradient_checkpointing: bool) -> MemoryEstimate:
        return MemoryEstimate(10, 10 + micro_batch * (1 if gradient_checkpointing else 10), 0)

    device = Device(kind, "a device", Memory(1000 if kind == "cuda" else free, free))
    wish = WishedPasses(**wished)
    return PassChoice("base/x", "tiny", tmp_path, wish, 4096, device, items, 100, estimate, checkpoints)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"free": 1000}, (16, False)),
        ({"free": 100}, (4, False)),  # 80 % of 100 are room for 7 items, and 7 is no divisor
        ({"free": 24}, (8, True)),  # not even one item fits without
        ({"free": 24, "checkpoints": False}, (1, False)),
        ({"free": 12}, (1, True)),  # too little by the estimate, which may be wrong
        ({"free": 100, "gradient_checkpointing": True}, (16, True)),
        ({"free": 24, "gradient_checkpointing": False}, (1, False)),
        ({"free": 100, "micro_batch": 6}, (6, False)),
        ({"free": 60, "micro_batch": 6}, (6, True)),
        ({"free": 1000, "micro_batch": 32}, (16, False)),
        ({"free": 1000, "batch_size": 4}, (16, False)),
        ({"kind": "cpu", "free": 1000, "batch_size": 4}, (4, False)),
        ({"kind": "cpu", "free": 1000}, (16, False)),
        ({"kind": "cpu", "free": 70, "batch_size": 4}, (2, False)),  # half of it is room
        ({"kind": "cpu", "free": 1000, "batch_size": 5}, (5, False)),
    ],
)
def test_the_largest_pass_that_fits_is_chosen(tmp_path, settings, expected):
    passes = choice(tmp_path, **settings).first()
    assert (passes.micro_batch, passes.gradient_checkpointing) == expected


def test_a_further_attempt_starts_smaller_unless_there_is_more_room(tmp_path):
    before = choice(tmp_path, free=1000)
    assert before.after(before.first(), scoring=False).micro_batch == 8
    assert choice(tmp_path, free=1000).first().micro_batch == 8
    assert choice(tmp_path, free=1200).first().micro_batch == 16
    before.finish()
    assert before.first().micro_batch == 16


def test_checkpointing_that_the_model_lacks_is_refused(tmp_path):
    with pytest.raises(InputError, match="--gradient-checkpointing on: tiny does not have it"):
        choice(tmp_path, checkpoints=False, gradient_checkpointing=True).first()
