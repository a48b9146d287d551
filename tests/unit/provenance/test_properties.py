"""Properties of fingerprints, sealed documents and receipts: what changes is noticed, and nothing else."""

import copy
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stagewise.errors import InputError
from stagewise.provenance.differences import differences
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.receipts import RECEIPT, damaged_files, read_receipt, write_receipt
from stagewise.provenance.sealed_json import is_sealed, read_sealed, seal, write_sealed
from tests.helpers import properties  # noqa: F401

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
keys = st.text(max_size=5)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
facts = st.dictionaries(keys, trees, min_size=1, max_size=4)


def canonical(values) -> str:
    return json.dumps(values, sort_keys=True)


def reordered(values, order):
    """The same data with the keys of every dictionary in another order."""
    if isinstance(values, dict):
        return {key: reordered(values[key], order) for key in order.sample(list(values), len(values))}
    return [reordered(value, order) for value in values] if isinstance(values, list) else values


def paths(values, path=()):
    yield path
    children = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, child in children:
        yield from paths(child, (*path, key))


def replaced(values, path, new):
    if not path:
        return new
    values = copy.copy(values)
    values[path[0]] = replaced(values[path[0]], path[1:], new)
    return values


@given(values=facts, new=trees, data=st.data(), order=st.randoms(use_true_random=False))
def test_a_fingerprint_changes_with_any_value_and_with_no_order_of_keys(values, new, data, order):
    assert fingerprint(reordered(values, order)) == fingerprint(values)
    assert fingerprint(json.loads(json.dumps(values))) == fingerprint(values)
    path = data.draw(st.sampled_from(list(paths(values))[1:]))
    changed = replaced(values, path, new)
    same = canonical(changed) == canonical(values)
    assert (fingerprint(changed) == fingerprint(values)) == same
    assert (differences(values, changed) == []) == same, "what changes a fingerprint can be named"


@given(values=facts, data=st.data())
def test_an_edited_byte_of_a_sealed_document_is_noticed(tmp_path_factory, values, data):
    path = tmp_path_factory.mktemp("sealed") / "document.json"
    write_sealed(path, values)
    sealed = read_sealed(path, "the document")
    assert canonical({key: sealed[key] for key in values if key != "checksum"}) == canonical(
        {key: value for key, value in values.items() if key != "checksum"}
    )
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        found = read_sealed(path, "the document")
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        # White space, or another way of writing the very same value.
        assert canonical(found) == canonical(sealed)


@given(values=facts, new=trees, data=st.data())
def test_a_changed_value_breaks_the_seal(values, new, data):
    sealed = seal(values)
    path = data.draw(st.sampled_from(list(paths(sealed))[1:]))
    changed = replaced(sealed, path, new)
    assert is_sealed(changed) == (canonical(changed) == canonical(sealed))
    assert not is_sealed({key: value for key, value in sealed.items() if key != path[0]})


names = st.lists(st.sampled_from(["a", "b", "c.json", "d/a", "d/b", "d/e/a"]), max_size=4, unique=True)


@given(names=names, contents=st.lists(st.binary(max_size=9), min_size=4, max_size=4), data=st.data())
def test_a_receipt_names_every_file_that_changed(tmp_path_factory, names, contents, data):
    folder = tmp_path_factory.mktemp("folder") / "made"
    folder.mkdir()
    files = dict(zip(names, contents, strict=False))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assume(files)
    receipt = write_receipt(folder, {"inputs": {"a": 1}})
    assert read_receipt(folder, "what was made") == receipt and is_sealed(receipt)
    assert damaged_files(folder, receipt) == [] and set(receipt["files"]) == set(files)
    name = data.draw(st.sampled_from(sorted(files)))
    new = data.draw(st.one_of(st.none(), st.binary(max_size=9)))
    if new is None:
        (folder / name).unlink()
        assert damaged_files(folder, receipt, optional=[name]) == []
    else:
        (folder / name).write_bytes(new)
    changed = new != files[name]
    assert damaged_files(folder, receipt) == ([name] if changed else [])
    if changed:
        with pytest.raises(InputError) as error:
            read_receipt(folder, "what was made")
        assert str(error.value).startswith(f"{folder / name}: what was made ")
    assert (folder / RECEIPT).is_file()
