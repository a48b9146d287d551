"""The fingerprint of plain data is the SHA-256 of one text, the same in every version."""

import hashlib

import pytest

from stagewise.provenance.fingerprints import fingerprint


def test_a_fingerprint_is_the_checksum_of_sorted_compact_json_in_utf8():
    facts = {"b": [1, 2.5, None, True], "a": {"é": "日本 “x”\n", "A": ""}, "": 0}
    text = '{"":0,"a":{"A":"","é":"日本 “x”\\n"},"b":[1,2.5,null,true]}'
    assert fingerprint(facts) == hashlib.sha256(text.encode("utf-8")).hexdigest()
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_what_is_no_plain_data_has_no_fingerprint():
    with pytest.raises(TypeError):
        fingerprint({"a": {1, 2}})
