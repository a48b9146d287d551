"""A local GGUF file as the base model: converted once, known by its checksum, and refused where it cannot be read."""

import json
import shutil

import pytest

from scripts import fetch_model
from stagewise.config.base_model import Model
from stagewise.models.gguf import PRE_TOKENIZERS, check_tokenizer, restore_pre_tokenizer
from stagewise.models.load import load_base, load_tokenizer
from stagewise.pipeline.planned_model import PlannedModel
from stagewise.provenance.files import sha256_file
from stagewise.provenance.receipts import read_receipt
from tests.helpers import branched_hub
from tests.helpers.refusals import check_refusal
from tests.helpers.steps_on_hub import run_steps
from tests.helpers.tiny_gguf import write_gguf
from tests.helpers.tiny_llama import build_tokenizer

TEXT = "In 2024, he's 37% better"


def fetch(output, path) -> int:
    return fetch_model.main(["--settings", json.dumps({"path": str(path)}), "--name", "mine", "--output", str(output)])


def test_a_file_is_converted_once_and_scores_as_the_model_that_it_holds(tmp_path, monkeypatch, capsys):
    import torch

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "user" / "tiny.gguf"
    path.parent.mkdir()
    original = write_gguf(path)
    folder = tmp_path / "models" / "mine"
    assert fetch(folder, path) == 0
    receipt = read_receipt(folder, "the model")
    assert receipt["origin"] == {"path": "(local)", "gguf_sha256": sha256_file(path)}
    assert str(tmp_path) not in (folder / "receipt.json").read_text()
    tokens = torch.tensor([[5, 200, 17, 301, 42]])
    with torch.no_grad():
        converted = load_base(folder, "none", "float32")(tokens).logits
        original.load_state_dict({name: w.to(torch.bfloat16).float() for name, w in original.state_dict().items()})
        expected = original(tokens).logits
    assert torch.allclose(converted, expected, atol=1e-5)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.decode(tokenizer(TEXT, add_special_tokens=False)["input_ids"]) == TEXT

    assert fetch(folder, path) == 0
    assert "up to date" in capsys.readouterr().err
    settings = Model(path=str(path))
    assert PlannedModel("mine", settings, sha256_file).changes == []
    moved = Model(path=str(tmp_path / "elsewhere.gguf"))
    assert PlannedModel("mine", moved, sha256_file).changes == [], "the file may be gone once it is converted"
    shutil.copy(path, moved.path)
    assert PlannedModel("mine", moved, sha256_file).changes == [], "the same file elsewhere"
    with path.open("ab") as handle:
        handle.write(b"\0")
    assert "gguf_sha256" in PlannedModel("mine", settings, sha256_file).changes[0]


@pytest.mark.parametrize("kind", PRE_TOKENIZERS)
def test_every_known_pre_tokenizer_splits_digits_as_its_model_does(tmp_path, kind):

    tokenizer = build_tokenizer()
    restore_pre_tokenizer(tokenizer, kind, "tiny.gguf")
    check_tokenizer(tokenizer, "tiny.gguf")
    parts = [text for text, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("year 12345")]
    digits = {"smollm": list("12345"), "qwen2": list("12345"), "llama-bpe": ["123", "45"], "gpt-2": ["12345"]}[kind]
    assert [part for part in parts if part.isdigit()] in (digits, digits[1:]), parts


def test_what_cannot_be_converted_is_refused(tmp_path, capsys):
    output = tmp_path / "models" / "mine"
    cases = []
    write_gguf(tmp_path / "rwkv.gguf", architecture="rwkv6")
    cases.append((tmp_path / "rwkv.gguf", "its architecture is 'rwkv6', and", "llama", "safetensors"))
    write_gguf(tmp_path / "deepseek.gguf", pre_tokenizer="deepseek-llm")
    cases.append((tmp_path / "deepseek.gguf", "its pre-tokenizer is 'deepseek-llm', and smollm, gpt-2"))
    cases.append((tmp_path / "none.gguf", "there is no such file; correct 'path'"))
    (tmp_path / "empty.gguf").write_bytes(b"")
    cases.append((tmp_path / "empty.gguf", "not a GGUF file"))
    cases.append((tmp_path, "it holds GGUF files; name one of them in 'path', such as", "deepseek.gguf"))
    for path, *words in cases:
        check_refusal(fetch(output, path), capsys.readouterr().err, *words)
        assert not output.exists()


def test_a_repository_of_gguf_files_alone_says_what_to_do(tmp_path):
    with branched_hub.serve() as hub:
        files = {"config.json": b"{}", "tiny-Q4_K_M.gguf": b"GGUF", "README.md": b"x"}
        commit = hub.push("models", "me/tiny-gguf", files)
        settings = [json.dumps({"hub": "me/tiny-gguf", "revision": revision}) for revision in (commit, "main")]
        steps = [("scripts.fetch_model", ["--settings", text, "--output", "out"]) for text in settings]
        alone, named = run_steps(tmp_path, hub.address, steps)
    check_refusal(alone.code, alone.error, "me/tiny-gguf: it holds GGUF files alone", "tiny-Q4_K_M.gguf", "'path'")
    check_refusal(named.code, named.error, "sources.lock does not say which commit 'main' is")
