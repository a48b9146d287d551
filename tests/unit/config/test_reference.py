"""Generated files are what the typed models say, and the schemas accept what the models accept."""

import json

import jsonschema
import pytest

from scripts import write_schemas
from stagewise.config.experiment import Config
from stagewise.config.reference import configuration_page
from stagewise.config.yaml_files import merge, read_yaml
from tests.helpers.fake_results import ROOT


def test_generated_files_are_current(capsys):
    assert write_schemas.main(["--check", "--root", str(ROOT)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", [str(path) for path in write_schemas.generated_files()])
def test_check_names_the_stale_file(tmp_path, capsys, name):
    (tmp_path / "stagewise").mkdir()
    assert write_schemas.main(["--root", str(tmp_path)]) == 0
    assert write_schemas.main(["--root", str(tmp_path), "--check"]) == 0
    (tmp_path / name).write_text("{}\n")
    capsys.readouterr()
    assert write_schemas.main(["--root", str(tmp_path), "--check"]) == 1
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1
    assert (tmp_path / name).read_text() == "{}\n"
    (tmp_path / name).unlink()
    assert write_schemas.main(["--root", str(tmp_path), "--check"]) == 1


def test_refuses_to_write_elsewhere(tmp_path, capsys):
    assert write_schemas.main(["--root", str(tmp_path)]) == 2
    assert "not the top of the project" in capsys.readouterr().err


def schema():
    return jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/config.schema.json").read_text()))


@pytest.mark.parametrize("overlay", [None, *sorted(path.name for path in (ROOT / "experiments").glob("*.yaml"))])
def test_schema_accepts_the_experiments(overlay):
    values = read_yaml(ROOT / "config.yaml")
    if overlay:
        values = merge(values, read_yaml(ROOT / "experiments" / overlay))
    Config.model_validate(values)
    schema().validate(values)


@pytest.mark.parametrize(
    "change",
    [
        {"trainning": {}},
        {"training": {"epochs": 0}},
        {"tasks": {"pubmedqa": {"fields": {"question": 3}}}},
        {"quantization": "int8"},
        {"seeds": []},
    ],
)
def test_schema_refuses_what_the_model_refuses(change):
    values = merge(read_yaml(ROOT / "config.yaml"), change)
    with pytest.raises(ValueError):
        Config.model_validate(values)
    assert not schema().is_valid(values)


def test_every_key_is_documented():
    text = configuration_page()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in row.replace("\\|", "").split("|")[1:-1]] for row in rows]
    assert all(len(row) == 4 and all(row) for row in cells)
    assert {row[0].strip("`") for row in cells} > set(Config.model_fields)


def test_editor_header_names_the_schema():
    first = (ROOT / "config.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=schemas/config.schema.json"


def numbers(schema: dict, path: str = ""):
    """Path and schema of every number below a schema, defaults and descriptions left out."""
    if schema.get("type") in ("integer", "number"):
        yield path, schema
    for key, inner in schema.items():
        for name, below in inner.items() if isinstance(inner, dict) and key in ("properties", "$defs") else ():
            yield from numbers(below, f"{path}.{name}")
        if key in ("items", "additionalProperties") and isinstance(inner, dict):
            yield from numbers(inner, f"{path}[]")
        for below in inner if key in ("anyOf", "oneOf") else ():
            yield from numbers(below, path)


def test_every_number_has_bounds():
    bounds = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
    # Texts that may be written as numbers, and a chat template's variables, which are any.
    others = (".Label.value", ".Label.word", "template[]")
    found = {path: number for path, number in numbers(schema().schema) if not path.endswith(others)}
    assert len(found) > 50
    assert [path for path, number in found.items() if not all(bound & set(number) for bound in bounds)] == []
