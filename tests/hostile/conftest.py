"""What the commands of the catalogue work on: made once, read only; a test that damages something copies it first."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import fake_results, tiny_llama, toy_task
from tests.helpers.prediction_step import PredictionStep


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory) -> Path:
    """Splits of the toy task."""
    return toy_task.write_toy_split(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture(scope="session")
def toy_recipe(tmp_path_factory, tiny_model, toy_data) -> Path:
    """Folder of a recipe for the tiny model and the toy task."""
    folder = tmp_path_factory.mktemp("recipe") / "recipe"
    toy_task.write_toy_recipe(folder, tiny_model, toy_data)
    return folder


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, tiny_model) -> Path:
    """Folder of an adapter for the tiny model."""
    return tiny_llama.build_adapter(tmp_path_factory.mktemp("adapters") / "adapter", tiny_model)


@pytest.fixture(scope="session")
def predictions(tmp_path_factory, tiny_model) -> PredictionStep:
    """Splits and settings of a prediction step."""
    return PredictionStep(tmp_path_factory.mktemp("step"), tiny_model)


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """Folder that holds ``config.json`` and the ``results`` of that experiment."""
    folder = tmp_path_factory.mktemp("finished")
    config = fake_results.config()
    (folder / "config.json").write_text(config.model_dump_json())
    fake_results.write_results(folder / "results", config, sizes={"train": 40, "validation": 20, "test": 30})
    return folder


@pytest.fixture
def damaged(tmp_path) -> Callable[..., Path]:
    """Copy a folder and damage a file of the copy: new bytes, or none for a file that is gone."""

    def damage(folder: Path, name: str, content: bytes | str | None) -> Path:
        copy = tmp_path / "damaged" / folder.name
        shutil.copytree(folder, copy)
        if content is None:
            (copy / name).unlink()
        else:
            (copy / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return copy

    return damage
