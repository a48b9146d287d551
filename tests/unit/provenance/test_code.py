"""A step's code: what counts, what does not, and how the parts that changed are named."""

import subprocess
import sys
import time

import pytest

from stagewise.errors import InputError
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.code import ProjectCode, code_packages
from tests.helpers.project_copy import ROOT

METRICS = '''"""Compute."""
from stagewise.metrics.build import build

def main():
    return build()
'''
BUILD = """import os
from . import bootstrap
from ..errors import InputError

def build():
    return 1
"""
FILES = {
    "scripts/__init__.py": "",
    "scripts/metrics.py": METRICS,
    "scripts/report.py": "def main():\n    from stagewise.report import page\n    return page\n",
    "stagewise/__init__.py": "",
    "stagewise/errors.py": "class InputError(Exception):\n    pass\n",
    "stagewise/metrics/__init__.py": "",
    "stagewise/metrics/build.py": BUILD,
    "stagewise/metrics/bootstrap.py": "import stagewise.metrics.weights\n",
    "stagewise/metrics/weights.py": "DRAWS = 1000\n",
    "stagewise/metrics/unused.py": "import stagewise.training.run\n",
    "stagewise/report/__init__.py": "",
    "stagewise/report/page.py": "import numpy\n",
    "stagewise/report/templates/page.html.j2": "<p>",
    "stagewise/report/templates/page.css": "p {}",
    "stagewise/report/figures/__init__.py": "",
    "stagewise/report/figures/bars.py": "WIDTH = 3\n",
    "stagewise/training/__init__.py": "",
    "stagewise/training/run.py": "STEPS = 3\n",
}


def changed_code(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Name what was changed, added or removed, sorted."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


@pytest.fixture
def project(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def code(project, **options):
    return ProjectCode(path=project / "code.json", root=project, **options)


def edit(project, name, old, new):
    path = project / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_step_is_made_of_what_it_imports_at_any_depth(project):
    assert list(code(project).modules("scripts.metrics")) == [
        "scripts/__init__.py",
        "scripts/metrics.py",
        "stagewise/__init__.py",
        "stagewise/errors.py",
        "stagewise/metrics/__init__.py",
        "stagewise/metrics/bootstrap.py",
        "stagewise/metrics/build.py",
        "stagewise/metrics/weights.py",
    ]
    assert list(code(project).packages("scripts.metrics")) == ["scripts", "stagewise", "stagewise.metrics"]


def test_imports_in_functions_count_and_templates_of_the_package_too(project):
    files = code(project).modules("scripts.report")
    assert "stagewise/report/page.py" in files
    assert "stagewise/report/templates/page.html.j2" in files and "stagewise/report/templates/page.css" in files
    assert "stagewise/report/figures/bars.py" not in files and "stagewise/metrics/build.py" not in files


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("scripts/metrics.py", "import build\n", "import build  # the chain\n"),
        ("scripts/metrics.py", "\ndef", "\n\n\n# A comment.\ndef"),
        ("scripts/metrics.py", '"""Compute."""', '"""Compute, with other words."""'),
        ("scripts/metrics.py", "def main():\n", 'def main():\n    """Run."""\n'),
        ("scripts/metrics.py", "return build()", "return (build())"),
        ("stagewise/errors.py", "    pass", '    """Bad input."""\n    pass'),
        ("stagewise/metrics/weights.py", "DRAWS = 1000\n", 'DRAWS = 1_000\n"""Of the bootstrap."""\n'),
        ("stagewise/metrics/unused.py", "import", "# not of this step\nVALUE = 3\nimport"),
        ("stagewise/training/run.py", "3", "4"),
        ("stagewise/report/templates/page.css", "p", "q"),
    ],
)
def test_what_cannot_change_a_step_does_not_count(project, name, old, new):
    before = code(project).fingerprint("scripts.metrics")
    edit(project, name, old, new)
    assert code(project).fingerprint("scripts.metrics") == before


@pytest.mark.parametrize(
    ("name", "package", "old", "new"),
    [
        ("scripts/metrics.py", "scripts", "return build()", "return not build()"),
        ("stagewise/metrics/weights.py", "stagewise.metrics", "1000", "1001"),
        ("stagewise/metrics/weights.py", "stagewise.metrics", "1000", "'1000'"),
        ("stagewise/metrics/build.py", "stagewise.metrics", "return 1", "return 1.0"),
        ("stagewise/metrics/__init__.py", "stagewise.metrics", "", "import sys"),
        ("stagewise/errors.py", "stagewise", "Exception", "ValueError"),
    ],
)
def test_any_other_edit_counts_and_is_named(project, name, package, old, new):
    modules, packages = code(project).modules("scripts.metrics"), code(project).packages("scripts.metrics")
    fingerprint = code(project).fingerprint("scripts.metrics")
    edit(project, name, old, new)
    assert changed_code(modules, code(project).modules("scripts.metrics")) == [name]
    assert changed_code(packages, code(project).packages("scripts.metrics")) == [package]
    assert code(project).fingerprint("scripts.metrics") != fingerprint


def test_a_template_counts(project):
    before = code(project).packages("scripts.report")
    edit(project, "stagewise/report/templates/page.html.j2", "p", "q")
    assert changed_code(before, code(project).packages("scripts.report")) == ["stagewise.report"]


def test_a_new_import_brings_its_module(project):
    before = code(project).modules("scripts.metrics")
    edit(project, "stagewise/metrics/weights.py", "DRAWS", "from stagewise.training import run\nDRAWS")
    assert changed_code(before, code(project).modules("scripts.metrics")) == [
        "stagewise/metrics/weights.py",
        "stagewise/training/__init__.py",
        "stagewise/training/run.py",
    ]


def test_a_module_that_imports_by_computed_names_stands_for_its_package(project):
    edit(project, "stagewise/report/page.py", "import numpy", "from importlib import import_module\nimport_module(x)")
    assert "stagewise/report/figures/bars.py" in code(project).modules("scripts.report")


def test_a_remedy_counts_but_not_what_only_its_training_needs(project):
    remedies = project / "stagewise" / "remedies"
    remedies.mkdir()
    (remedies / "__init__.py").write_text("")
    (remedies / "ewc.py").write_text("import stagewise.errors\ndef act():\n    import stagewise.training.run\n")
    edit(project, "stagewise/report/page.py", "numpy", "stagewise.remedies.ewc")
    files = code(project).modules("scripts.report")
    assert "stagewise/remedies/ewc.py" in files and "stagewise/errors.py" in files
    assert "stagewise/training/run.py" not in files


def test_editors_leavings_do_not_count(project):
    before = code(project).modules("scripts.report")
    for name in (".page.j2.swp", "page.html.j2~"):
        (project / "stagewise/report/templates" / name).write_text("x")
    (project / "stagewise/report/__pycache__").mkdir()
    (project / "stagewise/report/__pycache__/page.pyc").write_text("x")
    assert code(project).modules("scripts.report") == before


def test_what_was_parsed_is_remembered_by_content(project, monkeypatch):
    first = code(project)
    modules = first.modules("scripts.metrics")
    first.save()
    monkeypatch.setattr("stagewise.provenance.code._parse", lambda path, checksum: pytest.fail(f"parsed {path}"))
    assert code(project).modules("scripts.metrics") == modules
    (project / "code.json").write_text("{")
    with pytest.raises(pytest.fail.Exception, match="parsed"):
        code(project).modules("scripts.metrics")


def test_unknown_steps_and_broken_modules_are_named(project):
    with pytest.raises(InputError, match="scripts.nothing: no module of this project"):
        code(project).modules("scripts.nothing")
    (project / "stagewise/metrics/weights.py").write_text("def (:")
    with pytest.raises(InputError, match="weights.py: cannot be read as Python"):
        code(project).modules("scripts.metrics")


@pytest.mark.parametrize("step", ["make_splits", "metrics", "report"])
def test_every_module_that_a_step_has_loaded_is_one_of_its_files(step):
    """The imports as Python makes them when the script is imported."""
    program = (
        f"import sys, scripts.{step}\n"
        "for name, module in sys.modules.items():\n"
        "    if name.split('.')[0] in ('stagewise', 'scripts'): print(module.__file__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {line.removeprefix(f"{ROOT}/") for line in done.stdout.split()}
    assert len(loaded) > 10 and loaded <= set(ProjectCode().modules(f"scripts.{step}"))


def test_each_step_has_the_phases_that_its_work_needs():
    assert {"stagewise.data", "stagewise.config"} <= set(code_packages("scripts.make_splits"))
    assert not {"stagewise.report", "stagewise.training"} & set(code_packages("scripts.metrics"))
    assert not {"stagewise.metrics", "stagewise.report", "stagewise.training"} & set(
        code_packages("scripts.make_splits")
    )
    assert ProjectCode().fingerprint("scripts.metrics") != ProjectCode().fingerprint("scripts.report")


def test_a_plan_pays_little_for_code_that_did_not_change(tmp_path):
    def cost():
        started = time.process_time()
        memory = ChecksumMemory(tmp_path / "checksums.json")
        current = ProjectCode(memory, tmp_path / "code.json")
        for step in ("make_splits", "metrics", "report"):
            current.packages(f"scripts.{step}")
        current.save()
        memory.save()
        return time.process_time() - started

    cost()
    assert min(cost() for _ in range(3)) < 0.06
