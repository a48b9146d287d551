"""Fetching a base model from a hub, a small one on this machine: complete, checked, and the token stays a secret."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stagewise.models.load import load_base
from stagewise.models.receipts import LOCAL_FILES
from stagewise.provenance.receipts import read_receipt
from tests.helpers import fake_hub
from tests.helpers.refusals import check_refusal

ROOT = Path(__file__).resolve().parents[3]
REPOSITORY, REVISION = "someone/tiny-llama", "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_thisTokenMustNeverBeWrittenAnywhere"


@pytest.fixture(scope="module")
def files(tiny_model):
    """Files of a repository: the model, and others that must not be fetched."""
    model_files = {p.name: p.read_bytes() for p in tiny_model.iterdir() if p.name != "receipt.json"}
    model_files["LICENSE.txt"] = b"a licence"
    others = (
        "pytorch_model.bin",
        "model.pt",
        "modeling_own.py",
        "tokenizer.py",
        "consolidated.safetensors",
        "README.md",
    )
    return model_files | dict.fromkeys(others, b"no") | {"original/params.json": b"no"}


def run(folder: Path, endpoint: str, revision: str = REVISION, **environment) -> subprocess.CompletedProcess:
    """Fetch from the hub at `endpoint` into ``folder/models/tiny`` in a process of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home"), "HF_HUB_ETAG_TIMEOUT": "2"} | environment
    settings = json.dumps({"hub": REPOSITORY, "revision": revision})
    command = [sys.executable, "-m", "scripts.fetch_model", "--settings", settings, "--name", "tiny", "--output"]
    command.append(str(folder / "models" / "tiny"))
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def refusal(done: subprocess.CompletedProcess, *words) -> None:
    check_refusal(done.returncode, done.stderr, *words)


def test_a_gated_repository_with_the_right_token(tmp_path, files, tiny_model):
    """The token reaches the hub, and nothing else: no output, no file, no command line."""
    with fake_hub.serve(REPOSITORY, REVISION, files, gate=TOKEN) as (endpoint, requests):
        done = run(tmp_path, endpoint, HF_TOKEN=TOKEN)
        assert done.returncode == 0, done.stderr
        asked = {path for _, path, _ in requests}
        assert any(token == f"Bearer {TOKEN}" for _, _, token in requests)
        again = run(tmp_path, endpoint, HF_TOKEN=TOKEN)
        assert "up to date" in again.stderr
        assert {path for _, path, _ in requests} == asked
    for output in (done.stdout, done.stderr):
        assert TOKEN not in output
    for path in tmp_path.rglob("*"):
        assert TOKEN not in path.name
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
    model = tmp_path / "models" / "tiny"
    names = {p.name for p in tiny_model.iterdir()} - set(LOCAL_FILES) | {"LICENSE.txt"}
    assert {p.name for p in model.iterdir()} == names
    assert not any("README" in path or ".py" in path or ".bin" in path for path in asked)
    receipt = read_receipt(model, "the model")
    assert receipt["origin"] == {"hub": REPOSITORY, "revision": REVISION}
    assert set(receipt["files"]) == names - {"receipt.json"}
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["tiny"]
    assert load_base(model, "none", "float32").config.hidden_size == 64


def test_a_gated_repository_without_access(tmp_path, files):
    with fake_hub.serve(REPOSITORY, REVISION, files, gate="another") as (endpoint, _):
        refusal(run(tmp_path, endpoint, HF_TOKEN=TOKEN), REPOSITORY, "gated", "accept its licence", "403")
        refusal(run(tmp_path, endpoint), REPOSITORY, "hf auth login", "401")
    assert not (tmp_path / "models" / "tiny").exists()
    assert TOKEN not in str([p for p in tmp_path.rglob("*")])


def test_a_commit_that_is_not_there(tmp_path, files):
    with fake_hub.serve(REPOSITORY, "f" * 40, files) as (endpoint, _):
        refusal(run(tmp_path, endpoint), REVISION, "no commit")


def test_a_repository_that_is_not_there(tmp_path, files):
    with fake_hub.serve("someone/else", REVISION, files) as (endpoint, _):
        refusal(run(tmp_path, endpoint), REPOSITORY, "no such repository", "HF_TOKEN")


def test_no_network(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    refusal(run(tmp_path, endpoint), "could not be reached", "use 'path'")
    refusal(run(tmp_path, endpoint, HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE")
    assert not (tmp_path / "models" / "tiny").exists()


def test_a_file_that_arrives_damaged(tmp_path, files):
    with fake_hub.serve(REPOSITORY, REVISION, files, claim={"model.safetensors": "a" * 64}) as (endpoint, _):
        refusal(run(tmp_path, endpoint), "model.safetensors arrived damaged")
    # Nothing of it counts, and the next run fetches what is missing and goes on.
    with fake_hub.serve(REPOSITORY, REVISION, files) as (endpoint, requests):
        assert run(tmp_path, endpoint).returncode == 0
        fetched = {path.rpartition("/")[2] for method, path, _ in requests if method == "GET" and "/resolve/" in path}
    assert fetched == {"model.safetensors"}
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["tiny"]


def test_a_repository_with_pickles_only(tmp_path, files):
    pickled = {k: v for k, v in files.items() if not k.endswith(".safetensors")}
    with fake_hub.serve(REPOSITORY, REVISION, pickled) as (endpoint, _):
        refusal(run(tmp_path, endpoint), "no safetensors weights")
    assert not (tmp_path / "models" / "tiny").exists()
