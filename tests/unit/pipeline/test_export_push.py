"""Pushing to a hub, a small one on this machine: all files and a valid card arrive, the token stays a secret."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from huggingface_hub import ModelCard, constants
from huggingface_hub.utils import close_session as reset_sessions

from scripts import export
from stagewise.models.adapters import load_adapter
from stagewise.models.load import load_base, load_tokenizer
from tests.helpers import writable_hub
from tests.helpers.exported_study import SECOND, write_study
from tests.helpers.project_copy import ROOT
from tests.helpers.refusals import check_refusal, check_refused_command

NOT_PUBLISHED = ("receipt.json", "checksums")
BASE = "someone/tiny-llama"
TOKEN = "hf_thisTokenMustNeverBeWrittenAnywhere"

LOAD = """
import torch
from peft import AutoPeftModelForCausalLM
from huggingface_hub import ModelCard
from transformers import AutoTokenizer
model = AutoPeftModelForCausalLM.from_pretrained("me/adapter", dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained("me/adapter")
with torch.no_grad():
    print(repr(model(**tokenizer("Is the writer under stress?", return_tensors="pt")).logits.norm().item()))
ModelCard.load("me/adapter").validate()
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_model):
    """Results with a report; read only."""
    return write_study(tmp_path_factory.mktemp("study"), tiny_model)


@pytest.fixture
def hub(tiny_model):
    """A hub with the base model."""
    with writable_hub.serve(TOKEN) as hub:
        hub.add(BASE, {path.name: path.read_bytes() for path in tiny_model.iterdir() if path.name not in NOT_PUBLISHED})
        yield hub


@pytest.fixture
def here(hub, monkeypatch):
    """Let the hub library, which read its environment when it was imported, push from this process."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    reset_sessions()
    yield monkeypatch
    reset_sessions()


def python(folder, endpoint: str, *argv) -> subprocess.CompletedProcess:
    """Run Python in a process of its own, with the environment of a user who is logged in."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    command = [sys.executable, *map(str, argv)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def arguments(study, tiny_model, output, *options) -> list[str]:
    return [str(word) for word in (study / SECOND, "--model", tiny_model, "--output", output, *options)]


def test_a_pushed_adapter_arrives_with_a_valid_card_and_loads_from_there(study, hub, tmp_path, tiny_model):
    out = tmp_path / "out"
    options = ("--base", BASE, "--push", "me/adapter", "--private")
    done = python(tmp_path, hub.address, "-m", "scripts.export", *arguments(study, tiny_model, out, *options))
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["me/adapter"]
    assert repository.files == {path.name: path.read_bytes() for path in out.iterdir()}
    assert repository.private and repository.messages == ["Add a LoRA adapter"]
    assert done.stdout == f"{hub.address}/me/adapter/commit/{repository.commit('main')}\n"
    card = ModelCard(hub.validated[0])
    assert len(card.data.eval_results) == 8 and card.data.model_name == "adapter" and card.data.base_model == BASE
    assert hub.requests[-1][0] == "POST" and ("POST", "api/validate-yaml") in hub.requests
    assert 'from_pretrained("me/adapter")' in card.text
    for text in (done.stdout, done.stderr, *(p.read_text("latin1") for p in tmp_path.rglob("*") if p.is_file())):
        assert TOKEN not in text

    loaded = python(tmp_path, hub.address, "-c", LOAD)
    assert loaded.returncode == 0, loaded.stderr
    assert float(loaded.stdout) == pytest.approx(norm_of_ours(study, tiny_model), rel=1e-5)


def norm_of_ours(study, tiny_model) -> float:
    """The adapter's logits of the question in `LOAD`, as this project loads it."""
    model = load_adapter(load_base(tiny_model, "none", "float32"), study / SECOND)
    with torch.no_grad():
        logits = model(**load_tokenizer(tiny_model)("Is the writer under stress?", return_tensors="pt")).logits
    return logits.norm().item()


def test_merged_weights_are_pushed_by_the_process_that_merged_them(study, hub, tmp_path, tiny_model):
    """Torch's environment keeps the hub library off the network, unless it is imported before."""
    argv = arguments(study, tiny_model, tmp_path / "out", "--merge", "--push", "me/merged")
    done = python(tmp_path, hub.address, "-m", "scripts.export", *argv)
    assert done.returncode == 0, done.stderr
    assert {"model.safetensors", "config.json", "README.md"} <= set(hub.repositories["me/merged"].files)


def test_a_branch_of_a_repository_that_is_there(study, hub, here, tmp_path, tiny_model):
    hub.add("me/adapter", {"notes.txt": b"mine"})
    options = ("--base", BASE, "--push", "me/adapter", "--revision", "seed-0")
    assert export.main(arguments(study, tiny_model, tmp_path / "out", *options)) == 0
    repository = hub.repositories["me/adapter"]
    assert repository.files == {"notes.txt": b"mine"} and not repository.private
    assert {"adapter_model.safetensors", "README.md", "notes.txt"} <= set(repository.branches["seed-0"])


def test_merged_weights_are_not_pushed_without_a_licence(study, hub, here, tmp_path, tiny_model, capsys):
    settings = tmp_path / "settings.yaml"
    text = (ROOT / "config.yaml").read_text()
    settings.write_text(text.replace("    redistribute: true\n  llama", "    redistribute: false\n  llama"))
    argv = arguments(study, tiny_model, tmp_path / "out", "--merge", "--push", "me/merged", "--settings", settings)
    check_refused_command(export.main, argv, capsys, tmp_path, "publish the weights.*Apache-2.0.*--may-redistribute")
    assert not hub.requests
    assert export.main([*argv, "--may-redistribute"]) == 0
    assert "me/merged" in hub.repositories


def test_refusals_before_any_work(study, hub, here, tmp_path, tiny_model, capsys):
    def refuse(pattern: str, *options):
        argv = arguments(study, tiny_model, tmp_path / "out", "--push", "me/adapter", *options)
        check_refused_command(export.main, argv, capsys, tmp_path, pattern)

    refuse("no name on the hub.*--base owner/name.*--merge")
    here.setattr(constants, "HF_HUB_OFFLINE", True)
    refuse("HF_HUB_OFFLINE is set", "--base", BASE)
    here.setattr(constants, "HF_HUB_OFFLINE", False)
    here.delenv("HF_TOKEN")
    here.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    refuse("no token.*HF_TOKEN.*hf auth login", "--base", BASE)
    assert not hub.requests


def refusal_of_the_hub(study, tmp_path, tiny_model, capsys) -> str:
    """The sentence of a push that the hub, or the network, ends; what was exported stays."""
    argv = arguments(study, tiny_model, tmp_path / "out", "--base", BASE, "--push", "me/adapter")
    code = export.main(argv)
    assert (tmp_path / "out" / "README.md").is_file()
    return check_refusal(code, capsys.readouterr().err, "me/adapter", "the exported folder stays")


def test_a_token_that_may_not_write(study, hub, here, tmp_path, tiny_model, capsys):
    here.setenv("HF_TOKEN", "hf_wrong")
    line = refusal_of_the_hub(study, tmp_path, tiny_model, capsys)
    assert "it answered 401" in line and "may write there" in line and "hf_wrong" not in line
    assert "me/adapter" not in hub.repositories


def test_a_hub_that_is_not_there(study, here, tmp_path, tiny_model, capsys):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        here.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert "could not be reached" in refusal_of_the_hub(study, tmp_path, tiny_model, capsys)


def test_a_card_that_the_hub_finds_invalid(study, hub, here, tmp_path, tiny_model, capsys):
    here.setattr(writable_hub, "card_problems", lambda content: ['"license" must be one of these'])
    assert '"license" must be one of these' in refusal_of_the_hub(study, tmp_path, tiny_model, capsys)
    assert "me/adapter" not in hub.repositories
