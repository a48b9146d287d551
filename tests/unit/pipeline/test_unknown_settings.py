"""A setting that nobody thought of yet is part of every identity that it could belong to.

In a copy of the project each settings class gets one more setting, `brand_new`. A finished experiment is then planned
with that setting changed in one class at a time.
"""

import ast
import json
import shutil
import sys

import pytest

from tests.helpers.project_copy import ROOT, ProjectCopy

# Outputs that become stale when a class's unknown setting changes. `report_metrics.json` always does: it holds the
# whole configuration. A class that has nothing else is on the list below, with its reason.
REACHED = {
    "Column": {"data"},
    "Duplicates": {"data"},
    "Evaluation": {"predictions"},
    "File": {"data"},
    "FilesSplit": {"data"},
    "IdsSplit": {"data"},
    "Label": {"data", "predictions"},
    "Limit": {"data"},
    "Lora": {"adapters"},
    "Model": {"model"},
    "Prompting": {"adapters", "predictions"},
    "RandomSplit": {"data"},
    "Reader": {"data"},
    "Rehearsal": {"adapters"},
    "Source": {"data"},
    "Task": {"data", "predictions"},
    "Training": {"adapters"},
}
METRICS_ALONE = {
    "Arm": "the lineage tree reads it; what it gives is in the recipes",
    "Config": "a training reads its recipe alone and a prediction its own settings, so it reaches neither",
    "Logging": "says what a training writes down",
    "Probes": "the steps that score read their parts of it",
    "Stage": "the lineage tree reads it; what it gives is in the recipes",
    "Statistics": "says how figures are computed",
}
SCRIPT = '''
import json, sys
from pathlib import Path
from benchmarks.stub_experiment import write_stubs
from stagewise.config.base import Settings
from stagewise.config.load_config import check
from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.experiment import Experiment

def instances(value, path=()):
    """Every group of settings and its path; one of each class is enough."""
    if isinstance(value, Settings):
        yield type(value).__name__, path
        value = {name: getattr(value, name) for name in type(value).model_fields}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, inner in pairs:
        yield from instances(inner, (*path, key))

config = check(read_yaml("config.yaml") | {"dtype": "float32"}, ["config.yaml"])
values = config.model_dump(mode="json", exclude_none=True)
# A third task, so that every kind of split is in use, and no other split than those.
values["tasks"]["third"] = json.loads(json.dumps(values["tasks"]["pubmedqa"]))
values["arms"]["sequential"]["stages"].append({"task": "third"})
for name, split in (("pubmedqa", "published"), ("dreaddit", "official"), ("third", "sample")):
    task = values["tasks"][name]
    task |= {"split": split, "splits": {split: task["splits"][split]}}
config = check(values, [])
write_stubs(config)
reached = {}
for name, path in instances(config):
    if name in ("Remedies", "TrainingOverrides", "LoraOverrides"):  # names of remedies; the keys of others once more
        continue
    changed = json.loads(json.dumps(values))
    group = changed
    for key in path:
        group = group.setdefault(key, {}) if isinstance(group, dict) else group[key]
    group["brand_new"] = 1
    experiment = Experiment(check(changed, []))
    for artifact in declared_artifacts(experiment):
        try:
            stale = artifact.reasons()
        except InputError:  # another base model
            stale = True
        if stale:
            reached.setdefault(name, set()).add(artifact.label)
print(json.dumps({name: sorted(labels) for name, labels in reached.items()}))
'''


def settings_classes(trees: dict) -> set[str]:
    """Names of all classes that are settings, by their bases."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    names, before = {"Settings", "Base"}, set()
    while names != before:
        before = set(names)
        names |= {name for name, above in bases.items() if above & names}
    return names - {"Settings", "Base"}


def add_setting(path, tree, names) -> None:
    lines = path.read_text().splitlines(keepends=True)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name in names]
    for node in sorted(classes, key=lambda node: -node.lineno):
        has_docstring = isinstance(node.body[0], ast.Expr)
        lines.insert(node.body[0].end_lineno if has_docstring else node.lineno, "\n    brand_new: int = 0\n")
    path.write_text("".join(lines))


@pytest.fixture(scope="module")
def reached(tmp_path_factory) -> dict[str, set[str]]:
    """Kinds of stale outputs by class."""
    space = ProjectCopy(tmp_path_factory.mktemp("unknown") / "project")
    paths = [*(space.path / "stagewise/config").glob("*.py"), *(space.path / "stagewise/remedies").glob("*.py")]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    names = settings_classes(trees) - {"_Remedies", "Remedy", "Merge"}
    # Settings of single steps are made of these; a recipe refuses what it does not know.
    del trees[space.path / "stagewise/config/step_settings.py"]
    assert len(names) > 25
    for path, tree in trees.items():
        add_setting(path, tree, names)
    (space.path / "benchmarks").mkdir()
    for name in ("__init__.py", "stub_experiment.py"):
        shutil.copy(ROOT / "benchmarks" / name, space.path / "benchmarks")
    done = space.run(sys.executable, "-c", SCRIPT)
    labels = json.loads(done.stdout.splitlines()[-1])
    return {name: {kind(label) for label in found} for name, found in labels.items()}


def kind(label: str) -> str:
    if label.startswith("models/"):
        return "model"
    if label.startswith("base"):
        return "predictions" if label.endswith("/predictions") else "adapters"
    return label


def test_every_class_is_known(reached):
    assert set(reached) == set(REACHED) | set(METRICS_ALONE)


@pytest.mark.parametrize("name", REACHED)
def test_an_unknown_setting_makes_stale_what_it_could_change(reached, name):
    assert REACHED[name] | {"report_metrics.json"} <= reached[name]


@pytest.mark.parametrize("name", METRICS_ALONE)
def test_what_reaches_the_figures_alone_is_listed_with_its_reason(reached, name):
    assert reached[name] == {"report_metrics.json"}
