"""Data sets of the hub, as `datasets` loads them."""

import datasets
import huggingface_hub
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from stagewise.config.load_config import load
from stagewise.config.sources import File
from stagewise.errors import InputError
from stagewise.onboarding import hub as hub_module
from stagewise.onboarding.hub import is_hub_name, read_hub
from stagewise.provenance.hub import repository_commit

CLASSES = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "very_good"])})


def split(prefix: str, count: int = 30, label=None, features=CLASSES) -> Dataset:
    labels = [n % 2 if label is None else label for n in range(count)]
    return Dataset.from_dict({"text": [f"{prefix} {n}" for n in range(count)], "label": labels}, features=features)


@pytest.fixture
def hub(monkeypatch):
    """Data sets by name; `datasets` finds no others."""
    known_sets: dict[str, DatasetDict] = {}

    def load(name, config=None, revision=None):
        if name not in known_sets:
            raise FileNotFoundError(f"Dataset '{name}' doesn't exist\non the Hub.")
        return known_sets[name]

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(hub_module, "repository_commit", lambda *_: "0" * 40)
    return known_sets


def test_names():
    assert is_hub_name("owner/name@main") and is_hub_name("owner/name:part@refs/convert/parquet")
    assert not is_hub_name("data/train.csv") and not is_hub_name("owner/name")


def test_splits_have_roles_and_classes_have_names(hub):
    hub["owner/name"] = DatasetDict({"train": split("a"), "unsupervised": split("b"), "test": split("c")})
    table, roles = read_hub("owner/name:part@v1")
    assert roles.files == {"train": "train", "test": "test"}
    assert table.parts["test"].entry == {
        "dataset": "owner/name",
        "config": "part",
        "split": "test",
        "revision": "v1",
    }
    assert table.parts["train"].rows[1] == {"text": "a 1", "label": "very_good"}


def test_classes_of_lists_have_names_too(hub):
    """The step that fetches the data writes them so, too."""
    features = Features({"text": Value("string"), "labels": List(CLASSES["label"])})
    rows = {"text": [f"a {n}" for n in range(30)], "labels": [[0, 1][: 1 + n % 2] for n in range(30)]}
    hub["owner/name"] = DatasetDict({"train": Dataset.from_dict(rows, features=features), "test": split("c")})
    table, _ = read_hub("owner/name@main")
    assert table.parts["train"].rows[1]["labels"] == ["bad", "very_good"]


def test_a_test_split_with_hidden_classes_is_none(hub):
    hub["glue/x"] = DatasetDict({"train": split("a"), "validation": split("b"), "test": split("c", label=-1)})
    _, roles = read_hub("glue/x@main")
    assert roles.files == {"train": "train", "test": "validation"} and "no file is for test" in roles.note


def test_without_a_network_the_hub_is_asked_once(hub, monkeypatch):
    """`datasets` would try each of its requests five times, with longer and longer pauses."""
    asked = []

    def ask(self, *args, **options):
        asked.append(options["timeout"])
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_module, "repository_commit", repository_commit)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", ask)
    hub["owner/name"] = DatasetDict({"train": split("a"), "test": split("b")})
    with pytest.raises(InputError, match=r"owner/name at main: the hub could not be reached"):
        read_hub("owner/name@main")
    assert asked == [hub_module.SECONDS]
    # With HF_HUB_OFFLINE the copy that `datasets` keeps is taken.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert set(read_hub("owner/name@main")[0].parts) == {"train", "test"} and len(asked) == 1


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        ({}, r"owner/name@main: it cannot be loaded \(Dataset 'owner/name' doesn't exist on the Hub\)"),
        ({"part1": split("a")}, "none of its splits \\(part1\\) is for training"),
    ],
)
def test_refusals(hub, splits, sentence):
    if splits:
        hub["owner/name"] = DatasetDict(splits)
    with pytest.raises(InputError, match=sentence):
        read_hub("owner/name@main")


def test_images_are_refused(hub):
    features = Features({"image": datasets.Image(), "label": Value("int64")})
    images = Dataset.from_dict({"image": [None] * 3, "label": [0, 1, 0]}, features=features)
    hub["owner/pictures"] = DatasetDict({"train": images})
    with pytest.raises(InputError, match="the column 'image' holds images or sound; texts alone can be learnt"):
        read_hub("owner/pictures@main")


def test_another_name_beside_a_data_set_is_refused(files, capsys):
    assert files.init("owner/name@main", "other.csv") == 2
    assert "name a data set of the hub alone" in capsys.readouterr().err


@pytest.mark.skipif("dataset" not in File.model_fields, reason="sources cannot name data sets of the hub yet")
def test_an_overlay_names_data_set_and_revision(files, hub):
    hub["owner/Big_Reviews"] = DatasetDict({"train": split("a"), "test": split("c")})
    assert files.init("owner/Big_Reviews@v1", "--output", "mine.yaml") == 0
    task = load("config.yaml", "mine.yaml").tasks["big_reviews"]
    source = task.sources["original"]
    assert source.files["test"] == File(dataset="owner/Big_Reviews", split="test", revision="v1")
    assert [(label.value, label.word) for label in task.labels] == [("bad", "bad"), ("very_good", "very good")]
