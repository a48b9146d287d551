"""A document that holds its own checksum: edits are noticed, a new indentation is not one."""

import copy
import json
import re

import pytest

from stagewise.errors import InputError
from stagewise.provenance.sealed_json import content_checksum, is_sealed, read_sealed, seal, write_sealed

VALUES = {"accuracy": 0.6286, "runs": [{"seed": 0, "f1": None}, {"seed": 1, "f1": 1.0}], "text": "naïve \n", "ok": True}


def leaves(values, path=()):
    if isinstance(values, dict | list):
        for key in values if isinstance(values, dict) else range(len(values)):
            yield from leaves(values[key], (*path, key))
    else:
        yield path


@pytest.mark.parametrize("path", list(leaves(VALUES)), ids=str)
def test_any_edited_value_is_noticed(path):
    edited = copy.deepcopy(seal(VALUES))
    place = edited
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = 0.6287
    assert is_sealed(seal(VALUES)) and not is_sealed(edited)


def test_an_edited_digit_in_the_file_is_named(tmp_path):
    file = tmp_path / "metrics.json"
    write_sealed(file, VALUES)
    assert read_sealed(file, "metrics.json") == seal(VALUES)
    file.write_text(file.read_text().replace("0.6286", "0.7286"))
    with pytest.raises(InputError, match=re.escape(f"{file}: metrics.json does not match its own checksum (edited?)")):
        read_sealed(file, "metrics.json")


def test_an_added_or_removed_key_is_noticed():
    sealed = seal(VALUES)
    assert not is_sealed(sealed | {"more": 1})
    assert not is_sealed({key: value for key, value in sealed.items() if key != "ok"})
    assert not is_sealed(VALUES) and not is_sealed([]) and not is_sealed({"checksum": None})


@pytest.mark.parametrize(
    "style", [{"indent": 4}, {"separators": (",", ":")}, {"sort_keys": True}, {"ensure_ascii": True}]
)
def test_another_way_to_write_the_same_values_is_no_edit(tmp_path, style):
    file = tmp_path / "summary.json"
    file.write_text(json.dumps(seal(VALUES), **style))
    assert read_sealed(file, "the summary") == seal(VALUES)


def test_sealing_twice_changes_nothing():
    assert seal(seal(VALUES)) == seal(VALUES)


def test_values_count_as_json_would_return_them():
    values = {"counts": {1: (2, 3)}}
    assert content_checksum(values) == content_checksum(json.loads(json.dumps(values)))


@pytest.mark.parametrize("text", ["", "{", "[1]", "5", "null"])
def test_a_file_that_is_no_sealed_document_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match="a.json: the summary "):
        read_sealed(tmp_path / "a.json", "the summary")
