"""Conversion to GGUF: how the converter is called and found, and what it may do wrong; a stand-in takes its place."""

import gguf
import pytest

from scripts import export
from stagewise.errors import NETWORK_VARIABLES
from stagewise.pipeline.export_gguf import ADAPTER_CONVERTER, LLAMA_CPP_VARIABLE, MODEL_CONVERTER
from tests.helpers.refusals import check_refused_command
from tests.helpers.tiny_llama import build_adapter

# Writes its arguments and what it sees of logins into a GGUF file.
STAND_IN = f"""
import os, sys
from gguf import GGUFWriter
arguments = dict(zip(sys.argv[2::2], sys.argv[3::2]))
writer = GGUFWriter(arguments["--outfile"], "llama")
writer.add_string("stand.outtype", arguments["--outtype"])
writer.add_string("stand.base", arguments.get("--base", "none"))
writer.add_string("stand.files", ",".join(sorted(os.listdir(sys.argv[1]))))
writer.add_string("stand.logins", ",".join(sorted(set(os.environ) & set({NETWORK_VARIABLES!r}))) or "none")
writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.close()
"""


@pytest.fixture
def adapter(tmp_path, tiny_model):
    return build_adapter(tmp_path / "adapter", tiny_model)


def llama_cpp(folder, model: str = STAND_IN, adapter: str = STAND_IN):
    """A folder with both converters."""
    folder.mkdir()
    (folder / MODEL_CONVERTER).write_text(model)
    (folder / ADAPTER_CONVERTER).write_text(adapter)
    return folder


def values(path) -> dict[str, str]:
    fields = gguf.GGUFReader(path).fields
    return {name.removeprefix("stand."): str(field.contents()) for name, field in fields.items() if "stand." in name}


def arguments(adapter, output, tiny_model, *options) -> list[str]:
    return [str(word) for word in (adapter, "--output", output, "--model", tiny_model, "--gguf", *options)]


def test_an_adapter_is_converted_with_its_base_model(adapter, tmp_path, tiny_model, monkeypatch):
    """As float32 if nothing else is said: `auto` fails in the adapters' converter."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    llama = llama_cpp(tmp_path / "llama.cpp")
    assert export.main(arguments(adapter, tmp_path / "out", tiny_model, "--converter", llama)) == 0
    seen = values(tmp_path / "out" / "adapter.gguf")
    assert (seen["outtype"], seen["base"], seen["logins"]) == ("f32", str(tiny_model.resolve()), "none")
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= set(seen["files"].split(","))


def test_a_merged_model_is_converted_alone(adapter, tmp_path, tiny_model, monkeypatch):
    monkeypatch.setenv(LLAMA_CPP_VARIABLE, str(llama_cpp(tmp_path / "llama.cpp")))
    assert export.main(arguments(adapter, tmp_path / "out", tiny_model, "q8_0", "--merge")) == 0
    seen = values(tmp_path / "out" / "model.gguf")
    assert (seen["outtype"], seen["base"]) == ("q8_0", "none")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(seen["files"].split(","))


def test_the_converter_is_found_on_the_path(adapter, tmp_path, tiny_model, monkeypatch):
    llama = llama_cpp(tmp_path / "llama.cpp")
    (llama / ADAPTER_CONVERTER).chmod(0o755)
    monkeypatch.delenv(LLAMA_CPP_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(llama))
    assert export.main(arguments(adapter, tmp_path / "out", tiny_model)) == 0
    assert (tmp_path / "out" / "adapter.gguf").is_file()


def test_a_missing_converter_is_said_before_any_work(adapter, tmp_path, tiny_model, monkeypatch, capsys):
    monkeypatch.delenv(LLAMA_CPP_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    pattern = f"{ADAPTER_CONVERTER} is not there; get it with `git clone .*--converter or {LLAMA_CPP_VARIABLE}"
    check_refused_command(export.main, arguments(adapter, tmp_path / "out", tiny_model), capsys, tmp_path, pattern)
    argv = arguments(adapter, tmp_path / "out", tiny_model, "--converter", tmp_path / "nowhere")
    check_refused_command(export.main, argv, capsys, tmp_path, f"nowhere: llama.cpp's {ADAPTER_CONVERTER} is not there")


@pytest.mark.parametrize(
    ("code", "pattern"),
    [
        ("import sys; sys.exit('Model Foo is not supported')", "code 1: Model Foo is not supported; a newer llama.cpp"),
        ("import no_such_package", "install no_such_package beside"),
        ("pass", "left no GGUF file"),
        ("import sys; open(sys.argv[3], 'w').write('HTML')", "left no GGUF file"),
    ],
)
def test_a_converter_that_fails_leaves_nothing(adapter, tmp_path, tiny_model, capsys, code, pattern):
    llama = llama_cpp(tmp_path / "llama.cpp", adapter=code)
    argv = arguments(adapter, tmp_path / "out", tiny_model, "--converter", llama)
    check_refused_command(export.main, argv, capsys, tmp_path, pattern)
