"""Files for training, validation and test, by name."""

import pytest

from stagewise.errors import InputError
from stagewise.onboarding.parts import assign_roles, task_name


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["reviews.csv"], {"items": "reviews.csv"}),
        (["test.csv", "train.csv"], {"train": "train.csv", "test": "test.csv"}),
        (
            ["x_dev.csv", "x-train.csv", "x.test.csv"],
            {"train": "x-train.csv", "validation": "x_dev.csv", "test": "x.test.csv"},
        ),
        (["train=a.csv", "test=b.csv"], {"train": "a.csv", "test": "b.csv"}),
        (["dev.json", "test.json"], {"train": "dev.json", "test": "test.json"}),
        (["train.json", "valid.json"], {"train": "train.json", "test": "valid.json"}),
    ],
)
def test_roles(names, files):
    assert assign_roles(names).files == files


def test_a_missing_role_is_noted():
    assert "no file is for training: dev.json is" in assign_roles(["dev.json", "test.json"]).note
    assert "no file is for test: dev.json is" in assign_roles(["dev.json", "train.json"]).note


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a.csv", "b.csv"], "a.csv: is it for training, validation or test"),
        (["train_test.csv", "test.csv"], "train_test.csv: is it for training"),
        (["train.csv", "train2.csv", "train-b.csv"], "is for train already|is it for"),
    ],
)
def test_unclear_roles_are_refused(names, sentence):
    with pytest.raises(InputError, match=sentence):
        assign_roles(names)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Reviews 2024.csv", "reviews-2024"),
        ("banking77/train.csv", "banking77"),
        ("data/emotions_train.jsonl", "emotions"),
        ("/train.csv", "task"),
    ],
)
def test_names_of_tasks(path, name):
    assert task_name(path) == name
