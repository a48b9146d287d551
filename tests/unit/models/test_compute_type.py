"""The compute type that `auto` stands for: by hardware, without torch, and the same as long as an experiment lasts."""

import subprocess
import sys

import pytest

from stagewise.config.load_config import load
from stagewise.errors import InputError
from stagewise.models import compute_type
from stagewise.models.compute_type import (
    check_compute_type,
    experiment_compute_type,
    lacks_bfloat16,
    resolve,
    with_compute_type,
)
from stagewise.provenance.sealed_json import write_sealed
from stagewise.recipe import Recipe
from tests.helpers.project_copy import ROOT


@pytest.fixture
def gpu(monkeypatch):
    """Sets the lowest capability of the GPUs that torch may use."""
    monkeypatch.setattr(compute_type, "gpu_capability", lambda: None)
    return lambda capability: monkeypatch.setattr(compute_type, "gpu_capability", lambda: capability)


def test_every_cpu_computes_in_float32(gpu):
    assert resolve("auto") == "float32"


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((7, 0), "float32"),
        ((7, 5), "float32"),
        ((8, 0), "bfloat16"),
        ((8, 9), "bfloat16"),
        ((9, 0), "bfloat16"),
        ((10, 0), "bfloat16"),
        ((12, 0), "bfloat16"),
    ],
)
def test_a_gpu_decides_by_its_capability(gpu, capability, expected):
    gpu(capability)
    assert resolve("auto") == expected
    assert lacks_bfloat16(capability) == (expected == "float32")
    check_compute_type("float32", capability)
    if expected == "float32":
        with pytest.raises(InputError, match=r"dtype: this GPU has compute capability 7\.\d .* Ampere or newer"):
            check_compute_type("bfloat16", capability)
    else:
        check_compute_type("bfloat16", capability)


def test_a_cpu_takes_both_types():
    check_compute_type("bfloat16", None)
    assert not lacks_bfloat16(None)


def test_a_type_that_is_given_stays(gpu):
    gpu((8, 0))
    assert (resolve("float32"), resolve("bfloat16")) == ("float32", "bfloat16")


def test_it_takes_no_torch_and_no_time():
    code = (
        "import sys, time; from stagewise.models.compute_type import resolve; start = time.perf_counter(); "
        "name = resolve('auto'); print(name, time.perf_counter() - start, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    name, seconds, torch = done.stdout.split()
    assert name in compute_type.COMPUTE_TYPES and float(seconds) < 0.05 and torch == "False"


@pytest.fixture
def auto():
    """The default experiment: its `dtype` is `auto`."""
    config = load(ROOT / "config.yaml")
    assert config.dtype == "auto"
    return config


@pytest.mark.parametrize("finished", ["float32", "bfloat16"])
@pytest.mark.parametrize("hardware", ["float32", "bfloat16"])
def test_auto_keeps_the_type_of_what_is_finished(auto, tmp_path, monkeypatch, finished, hardware):
    monkeypatch.setattr(compute_type, "resolve", lambda name: hardware)
    assert experiment_compute_type(auto, tmp_path) == hardware, "nothing is finished"
    write(tmp_path / "base/predictions/receipt.json", finished)
    assert experiment_compute_type(auto, tmp_path) == finished
    # An older version's recipe does not say it.
    write(tmp_path / "base/seed-0/pubmedqa/recipe.json", "auto")
    assert experiment_compute_type(auto, tmp_path) == finished
    (tmp_path / "base/predictions/receipt.json").write_text("damaged")
    assert experiment_compute_type(auto, tmp_path) == hardware
    recipe = tmp_path / "base/seed-0/pubmedqa/dreaddit/recipe.json"
    write(recipe, finished)
    assert experiment_compute_type(auto, tmp_path) == finished
    # One edited recipe does not decide for the whole experiment.
    recipe.write_text(recipe.read_text().replace(f'"{finished}"', f'"{hardware}"'))
    assert experiment_compute_type(auto, tmp_path) == hardware
    recipe.write_text(recipe.read_text().replace('"seed": 0', '"seed": 1'))
    assert experiment_compute_type(auto, tmp_path) == hardware


def test_jobs_with_gpus_decide_for_a_login_node_without(auto, tmp_path, gpu):
    assert experiment_compute_type(auto, tmp_path, gpu_jobs=True) == "bfloat16"
    gpu((7, 5))  # a login node's own counts for nothing
    assert experiment_compute_type(auto, tmp_path, gpu_jobs=True) == "bfloat16"
    write(tmp_path / "base/predictions/receipt.json", "float32")
    assert experiment_compute_type(auto, tmp_path, gpu_jobs=True) == "float32"
    given = auto.model_copy(update={"dtype": "float32"})
    assert experiment_compute_type(given, tmp_path / "none", gpu_jobs=True) == "float32"


def test_a_lineage_of_another_experiment_does_not_count(auto, tmp_path, monkeypatch):
    monkeypatch.setattr(compute_type, "resolve", lambda name: "float32")
    write(tmp_path / "base/seed-99/pubmedqa/recipe.json", "bfloat16")
    assert experiment_compute_type(auto, tmp_path) == "float32"


def test_a_configured_type_overrules_what_is_finished(auto, tmp_path):
    write(tmp_path / "base/predictions/receipt.json", "bfloat16")
    config = auto.model_copy(update={"dtype": "float32", "results": str(tmp_path)})
    assert with_compute_type(config).dtype == "float32"
    assert with_compute_type(auto.model_copy(update={"results": str(tmp_path)})).dtype == "bfloat16"


def write(path, dtype: str) -> None:
    """Write a recipe, or the predictions' receipt, as finished outputs of this type leave them."""
    if path.name == "receipt.json":
        write_sealed(path, {"dtype": dtype})
        return
    fields = {"lineage": "l", "stage": 1, "learns": [], "seed": 0, "tasks": {}, "quantization": "none"}
    fields |= {"max_length": 96, "training": None, "code": {}, "parents": [], "prompting": {}, "lora": {}}
    model = {"name": "tiny", "fingerprint": "a" * 64, "origin": {}}
    Recipe.build(**fields, dtype=dtype, model=model, remedies={}).write(path)
