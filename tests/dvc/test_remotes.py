"""Results in remotes: push, pull, damage, and texts that must not be pushed."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.dvc.conftest import FIRST, SECOND, Project, sha256


def objects(folder: Path) -> dict[str, Path]:
    """List the files of a DVC remote by MD5."""
    return {path.parent.name + path.name: path for path in folder.rglob("*") if path.is_file()}


def md5(path: Path) -> str:
    import hashlib

    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def pushed(built, tmp_path_factory) -> tuple[Project, Path]:
    """A copy of the project, and the folder to which it pushed."""
    folder = tmp_path_factory.mktemp("remote")
    project = built.copy(tmp_path_factory.mktemp("pushed") / "project")
    project.dvc("remote", "add", "--default", "store", str(folder))
    project.commit("A remote")
    project.dvc("push")
    return project, folder


def test_texts_without_a_licence_stay_at_home(pushed):
    project, folder = pushed
    there = objects(folder)
    splits = {
        task: [md5(path) for path in (project.path / "out/data" / task).glob("*.jsonl")]
        for task in ("colours", "warmth")
    }
    assert all(digest in there for digest in splits["colours"])
    assert not any(digest in there for digest in splits["warmth"])
    assert md5(project.path / SECOND / "adapter/adapter_model.safetensors") in there
    texts = [json.loads(line)["fields"]["note"] for line in (project.path / "out/data/warmth/test.jsonl").open()]
    for path in there.values():
        content = path.read_bytes()
        assert not any(text.encode() in content for text in texts), path


def test_a_clone_that_pulled_has_nothing_to_do(pushed, tmp_path):
    project, _ = pushed
    clone = project.clone(tmp_path / "clone")
    pull = clone.dvc("pull", check=False)
    assert (clone.path / SECOND / "adapter/adapter_model.safetensors").is_file(), pull.stderr
    assert not (clone.path / "out/data/warmth").exists()
    assert clone.planned() == {}
    assert clone.learning_rate() == project.learning_rate()

    # After a changed hyperparameter the missing texts are made again, but current adapters are not trained again.
    arms = {"sequential": {"stages": [{"task": "colours"}, {"task": "warmth", "training": {"epochs": 2}}]}}
    clone.change(arms=arms)
    clone.forget_logs()
    clone.dvc("repro")
    assert clone.trained() == {"warmth"}
    first = f"{FIRST}/adapter/adapter_model.safetensors"
    assert sha256(clone.path / first) == sha256(project.path / first)
    assert clone.planned() == {}


def test_a_damaged_or_missing_object_is_named(pushed, tmp_path):
    project, folder = pushed
    weights = SECOND + "/adapter/adapter_model.safetensors"
    digest = md5(project.path / weights)
    for damage in ("missing", "damaged"):
        remote = tmp_path / f"remote-{damage}"
        shutil.copytree(folder, remote)
        there = objects(remote)[digest]
        if damage == "missing":
            there.unlink()
        else:
            there.chmod(0o644)
            there.write_bytes(there.read_bytes()[:-1] + b"?")
        clone = project.clone(tmp_path / damage)
        clone.dvc("remote", "modify", "--local", "store", "url", str(remote))
        clone.dvc("remote", "modify", "--local", "store", "verify", "true")
        pull = clone.dvc("pull", check=False)
        assert pull.returncode != 0
        assert "adapter" in pull.stdout + pull.stderr or digest in pull.stdout + pull.stderr
        assert not (clone.path / weights).is_file()
        assert clone.planned()["train_adapter"] >= 1


def test_damage_that_dvc_did_not_see_is_named_and_made_again(copy):
    weights = copy.path / FIRST / "adapter/adapter_model.safetensors"
    intact = weights.read_bytes()
    weights.write_bytes(intact[:-1] + b"?")
    shutil.rmtree(copy.path / "out/checkpoints")
    run = copy.snakemake()
    assert "base/seed-0/colours: damaged: adapter_model.safetensors" in run.stderr
    assert weights.read_bytes() == intact


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """Start an S3 server on loopback; yield its address."""
    server = Path(sys.executable).with_name("moto_server")
    if not server.is_file():
        server = Path(__file__).resolve().parents[2] / ".venv-s3/bin/moto_server"
    if not server.is_file():
        pytest.fail(f"{server}: no S3 server; `make dvc-test` installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [server, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        urllib.request.urlopen(urllib.request.Request(f"{address}/results", method="PUT"), timeout=10)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def test_push_and_pull_over_s3(built, s3, tmp_path):
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    project = built.copy(tmp_path / "project")
    project.dvc("remote", "add", "--default", "bucket", "s3://results/stagewise")
    project.commit("A bucket")
    project.dvc("remote", "modify", "--local", "bucket", "endpointurl", s3)
    project.dvc("push", **keys)
    clone = project.clone(tmp_path / "clone")
    clone.dvc("remote", "modify", "--local", "bucket", "endpointurl", s3)
    clone.dvc("pull", check=False, **keys)
    assert clone.planned() == {}
    there, here = clone.results(), built.results()
    assert there == {name: digest for name, digest in here.items() if name in there}
    at_home = {name for name in here if name not in there}
    assert at_home and all("data/warmth/" in name or name == "out/items.html" for name in at_home)
    print(f"{len(there)} results came back over S3 byte for byte; {len(at_home)} stayed at home")
