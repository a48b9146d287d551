"""Licences as a model card names them."""

import pytest

from stagewise.models.licences import licence_metadata


@pytest.mark.parametrize(
    ("text", "metadata"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("CC BY-NC 4.0", {"license": "cc-by-nc-4.0"}),
        ("Llama 3.2 Community License, gated", {"license": "llama3.2"}),
        ("MIT, written for us", {"license": "other", "license_name": "mit-written-for-us"}),
        ("unknown; research use alone", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_the_hub_knows_a_licence_by_an_identifier_or_as_another_one(text, metadata):
    assert licence_metadata(text) == metadata
