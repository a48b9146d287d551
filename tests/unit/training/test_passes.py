"""However a step is split into forward passes, it is the same step; and what does not fit into memory is split more."""

import shutil

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from scripts import train_adapter
from stagewise.remedies.base import Remedy
from stagewise.remedies.registry import builtin_remedies, find_remedy
from tests.helpers.contradicting_tasks import AdapterFolder, task_settings, write_data

# Sums in another order: rounding of float32 weights of about 0.1 that three dozen steps have gone over.
TOLERANCE = 1e-5
SPLITS = {"one pass": (12, "off"), "uneven passes": (5, "off"), "single items, checkpointed": (1, "on")}
# Every remedy of training at once, and the other forms of some.
REMEDIES = {
    "none": {},
    "all": {
        "rehearsal": {"share": 0.25},
        "anchor": {},
        "ewc": {"items": 4},
        "distill": {"strength": 0.5},
        "balanced": {"by": "weights"},
        "orthogonal": {},
    },
    "other forms": {
        "anchor": {"of": "factors"},
        "balanced": {"by": "sampling"},
        "distill": {"inputs": "rehearsal", "share": 0.5},
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
    assert of_training == set(REMEDIES["all"])


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
        assert said in capsys.readouterr().err.splitlines()[0]
        logs[split], ends[split] = training_log(adapters, "child"), weights(adapters, "child")
    first, *others = SPLITS
    assert {"loss", "grad_norm", "entropy", "mean_token_accuracy", "num_tokens"} <= {m for _, m in logs[first].index}
    for split in others:
        assert (logs[split].index == logs[first].index).all() and (logs[split].epoch == logs[first].epoch).all()
        assert abs(logs[split].value - logs[first].value).max() < 1e-4, split
        apart = abs(ends[split] - ends[first]).max()
        print(f"{remedies}, {split}: weights up to {abs(ends[first]).max():.3g}, at most {apart:.2g} apart")
        assert apart < TOLERANCE
