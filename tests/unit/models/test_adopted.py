"""Adapters from elsewhere: fetched by checksum from a folder or a hub, and refused where they cannot be taken."""

import os
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file

from scripts import fetch_adapter
from stagewise.config.adopted import AdoptedAdapter
from stagewise.models.adopted import ADOPTED_FILES, changed_files, lora_settings
from stagewise.provenance.files import sha256_file
from stagewise.provenance.receipts import read_receipt
from tests.helpers import fake_hub
from tests.helpers.adapters_from_elsewhere import save_adapter
from tests.helpers.project_copy import ROOT
from tests.helpers.refusals import check_refusal

COMMIT, REPOSITORY = "0123456789abcdef0123456789abcdef01234567", "someone/medical"
CARD = "---\nbase_model: owner/base\nlicense: apache-2.0\n---\n# Medical\nlicense: none of it\n"


@pytest.fixture(scope="module")
def mine(tmp_path_factory, tiny_model):
    return save_adapter(tmp_path_factory.mktemp("runs") / "mine", tiny_model)


@pytest.fixture
def copy(tmp_path, mine):
    return shutil.copytree(mine, tmp_path / "mine")


def fetch(source, output) -> int:
    return fetch_adapter.main(["--source", str(source), "--output", str(output)])


def checksums(folder) -> dict[str, str]:
    return {name: sha256_file(folder / name) for name in ADOPTED_FILES}


def test_a_local_adapter_is_copied_with_a_receipt(tmp_path, copy, capsys):
    (copy / "README.md").write_text(CARD, encoding="utf-8")
    (copy / "optimizer.pt").write_bytes(b"stays where it is")
    assert fetch(copy, tmp_path / "out") == 0
    receipt = read_receipt(tmp_path / "out", "the adapter")
    assert receipt["files"] == checksums(copy) and receipt["licence"] == "apache-2.0"
    assert receipt["origin"] == {"path": "(local)"}  # the folder's name stays on this machine
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*ADOPTED_FILES, "receipt.json"}
    assert fetch(copy, tmp_path / "out") == 0 and "up to date" in capsys.readouterr().err


def test_a_folder_that_was_trained_on_is_fetched_again_and_says_which_file_changed(tmp_path, copy, mine, tiny_model):
    adopted = AdoptedAdapter(source=str(copy))
    fetch(copy, tmp_path / "out")
    receipt = read_receipt(tmp_path / "out", "the adapter")
    assert changed_files(adopted, receipt) == []
    save_adapter(copy, tiny_model, seed=1)
    assert changed_files(adopted, receipt) == ["adapter file adapter_model.safetensors changed"]
    fetch(copy, tmp_path / "out")
    assert read_receipt(tmp_path / "out", "the adapter")["files"] == checksums(copy) != checksums(mine)
    shutil.rmtree(copy)  # what was made of it may be here without it
    assert changed_files(adopted, receipt) == []


def diverge(path) -> None:
    tensors = load_file(path)
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: shutil.rmtree(path), "there is no such folder"),
        (lambda path: (path / "adapter_config.json").unlink(), "adapter_config.json is missing"),
        (lambda path: (path / "adapter_config.json").rename(path / "config.json"), "a stage with 'model'"),
        (lambda path: (path / "adapter_model.safetensors").unlink(), "are missing; get it again"),
        (
            lambda path: (path / "adapter_model.safetensors").rename(path / "adapter_model.bin"),
            "only adapter_model.bin, which can run code",
        ),
        (lambda path: (path / "adapter_config.json").write_text('{"peft_type": "IA3"}'), "peft_type 'IA3'"),
        (lambda path: (path / "adapter_model.safetensors").write_text("cut"), "is no safetensors file, or is damaged"),
        (lambda path: diverge(path / "adapter_model.safetensors"), "are not finite (NaN or infinite), as a training"),
    ],
)
def test_what_is_no_lora_adapter_in_safetensors_is_refused(tmp_path, copy, damage, says, capsys):
    damage(copy)
    code = fetch(copy, tmp_path / "out")
    check_refusal(code, capsys.readouterr().err, says)
    assert not (tmp_path / "out").exists()


def test_another_folder_is_not_replaced(tmp_path, copy, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    assert fetch(copy, tmp_path / "out") == 2 and "holds something else" in capsys.readouterr().err
    assert (tmp_path / "out" / "thesis.tex").exists()


def run_with_hub(endpoint, output, home, revision=COMMIT) -> subprocess.CompletedProcess:
    """Fetch from the hub at `endpoint`: its library reads the address when it is imported."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_ETAG_TIMEOUT": "2"}
    command = [sys.executable, "-m", "scripts.fetch_adapter", "--source", f"{REPOSITORY}@{revision}", "--output"]
    return subprocess.run([*command, str(output)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def test_a_hub_adapter_is_fetched_at_its_commit(tmp_path, mine):
    files = {name: (mine / name).read_bytes() for name in ADOPTED_FILES}
    others = {"README.md": CARD.encode(), "adapter_model.bin": b"no", "optimizer.pt": b"no", "run.py": b"no"}
    with fake_hub.serve(REPOSITORY, COMMIT, files | others) as (endpoint, requests):
        done = run_with_hub(endpoint, tmp_path / "out", tmp_path / "home")
    assert done.returncode == 0, done.stderr
    receipt = read_receipt(tmp_path / "out", "the adapter")
    assert receipt["files"] == checksums(mine) and receipt["licence"] == "apache-2.0"
    assert receipt["origin"] == {"hub": REPOSITORY, "revision": COMMIT}
    fetched = {path.rpartition("/")[2] for _, path, _ in requests if "/resolve/" in path}
    assert fetched == {*ADOPTED_FILES, "README.md"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_hub_adapter_of_pickles_alone_is_refused(tmp_path, mine):
    files = {"adapter_config.json": (mine / "adapter_config.json").read_bytes(), "adapter_model.bin": b"no"}
    with fake_hub.serve(REPOSITORY, COMMIT, files) as (endpoint, requests):
        done = run_with_hub(endpoint, tmp_path / "out", tmp_path / "home")
    check_refusal(done.returncode, done.stderr, REPOSITORY, "only adapter_model.bin, which can run code")
    assert not any("/resolve/" in path for _, path, _ in requests)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"r": 3, "alpha": 6, "dropout": 0.0, "target_modules": ["q_proj", "v_proj"]}),
        ({"r": 5, "lora_alpha": 7.5, "lora_dropout": 0.1}, {"r": 5, "alpha": 8, "dropout": 0.1}),
        ({"target_modules": r".*layers\.1\.mlp\.(up|down)_proj"}, {"target_modules": ["down_proj", "up_proj"]}),
    ],
)
def test_settings_are_described_from_the_adapters_own(tmp_path, tiny_model, settings, expected):
    lora = lora_settings(save_adapter(tmp_path / "mine", tiny_model, **settings))
    assert expected.items() <= lora.model_dump().items()
