"""A remedy's own code: its module and the helper modules that it imports, however it imports them."""

import importlib
import sys

import pytest

from stagewise.recipe import code_fingerprints
from stagewise.remedies.registry import Remedies, find_remedy
from stagewise.remedies.source_files import source_files

REMEDY = """
import json
import numpy
import helper_outside
from stagewise.remedies.base import Remedy
from lab_tools import losses
from . import nearby
from .deep.inner import thing


class Mine(Remedy):
    def hook(self, context):
        import torch.nn
        from lazy_outside import now
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A package of a user's, with helpers beside and inside it, importable."""
    files = {
        "lab_package/__init__.py": "",
        "lab_package/remedies.py": REMEDY,
        "lab_package/nearby.py": "from .deep import other",
        "lab_package/deep/__init__.py": "",
        "lab_package/deep/inner.py": "thing = 1",
        "lab_package/deep/other.py": "import lab_package.remedies",
        "lab_package/unrelated.py": "",
        "lab_tools/losses.py": "import helper_twice",  # no __init__.py
        "helper_outside.py": "import helper_twice",
        "helper_twice.py": "",
        "lazy_outside.py": "now = 1",
        "never_imported.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    find_remedy.cache_clear()
    importlib.invalidate_caches()
    for module in [name for name in sys.modules if name.partition(".")[0] in TOP]:
        del sys.modules[module]


EXPECTED = {
    "helper_outside",
    "helper_twice",
    "lab_package",
    "lab_package.deep",
    "lab_package.deep.inner",
    "lab_package.deep.other",
    "lab_package.nearby",
    "lab_package.remedies",
    "lab_tools.losses",
    "lazy_outside",
}

TOP = {module.partition(".")[0] for module in EXPECTED}


def test_helpers_are_found_and_libraries_left_out(lab):
    files = source_files("lab_package.remedies", lab / "lab_package/remedies.py")
    assert set(files) == EXPECTED
    for module, path in files.items():
        path = path.relative_to(lab).with_suffix("")
        assert ".".join(path.parts).removesuffix(".__init__") == module


@pytest.mark.parametrize("module", sorted(EXPECTED))
def test_a_change_in_any_of_them_is_another_code(lab, module):
    remedies = Remedies(**{"lab_package.remedies:Mine": {}})
    before = code_fingerprints(remedies)
    assert set(before) == {"lab_package.remedies:Mine"}
    path = remedies.modules["lab_package.remedies:Mine"][module]
    path.write_text(path.read_text() + "\n# changed\n")
    assert code_fingerprints(remedies) != before


def test_another_module_changes_nothing(lab):
    remedies = Remedies(**{"lab_package.remedies:Mine": {}})
    before = code_fingerprints(remedies)
    (lab / "never_imported.py").write_text("changed = 1")
    (lab / "lab_package/unrelated.py").write_text("changed = 1")
    assert code_fingerprints(remedies) == before


def test_an_import_that_is_added_counts_at_once(lab):
    remedies = Remedies(**{"lab_package.remedies:Mine": {}})
    before = code_fingerprints(remedies)
    path = lab / "lab_package/nearby.py"
    path.write_text("import never_imported\n")
    assert "never_imported" in remedies.modules["lab_package.remedies:Mine"]
    assert code_fingerprints(remedies) != before


def test_remedies_of_this_project_have_versions_instead():
    remedies = Remedies(rehearsal={}, anchor={})
    assert remedies.modules == {} and code_fingerprints(remedies) == {}
    assert remedies.behaviour == {"rehearsal": 1, "anchor": 1}
