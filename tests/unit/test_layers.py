"""The package's layers: a module imports from its own layer or from those below it, and there is no circle."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.helpers.project_copy import ROOT

# From the ground to the roof; those of one set do not import each other.
LAYERS = [
    {"answer_texts", "counts", "task_kinds"},
    {"errors", "imports", "measures"},
    {"provenance"},
    {"config", "remedies"},  # a remedy's settings live with the remedy; see REMEDIES
    {"lineage", "recipe", "cli"},
    {"data", "models"},
    {"inference"},
    {"training", "predictions"},
    {"probes"},
    {"metrics"},
    {"report"},
    {"pipeline", "results", "onboarding"},
    {"comparison"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The two that share a layer: settings of a stage name the remedies, and remedies are settings.
REMEDIES = {("config", "remedies"), ("remedies", "config"), ("lineage", "recipe"), ("cli", "lineage")}


def module_name(path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted((ROOT / "stagewise").rglob("*.py"))}
SCRIPTS = {module_name(path): path for path in sorted((ROOT / "scripts").glob("*.py"))}


def imports(module: str, lazy: bool = True) -> set[str]:
    """Names of this project's modules that a module imports; without `lazy`, those that importing it imports."""
    tree = ast.parse((MODULES | SCRIPTS)[module].read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    modules = {name for name in names if name in MODULES | SCRIPTS}
    # `from package import module` needs the module; the package's own file only where nothing else is taken from it.
    return {name for name in modules if not any(other.startswith(f"{name}.") for other in modules)} - {module}


def layer(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("module", [name for name in MODULES if "." in name])
def test_a_module_imports_from_below(module):
    lazy = layer(module) != "remedies"  # while a stage is trained, a remedy works on the model
    for name in imports(module, lazy):
        if "." not in name or layer(name) == layer(module):
            continue
        pair = (layer(module), layer(name))
        assert LEVEL[pair[1]] < LEVEL[pair[0]] or pair in REMEDIES, f"{module} imports {name}"


def test_remedies_import_nothing_but_the_base_of_settings():
    for module in MODULES:
        if module.startswith("stagewise.remedies."):
            outside = {name for name in imports(module, lazy=False) if layer(name) != "remedies"}
            assert outside <= {"stagewise.config.base", "stagewise.errors", "stagewise.task_kinds"}, module


def test_there_is_no_circle():
    graph = {module: imports(module, lazy=layer(module) != "remedies") for module in MODULES if "." in module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_step_imports_another():
    for module in SCRIPTS:
        assert not imports(module) & set(SCRIPTS), module


NO_TORCH = ("metrics", "report", "pipeline", "results", "comparison", "onboarding")


def test_metrics_and_report_import_no_torch():
    modules = [name for name in MODULES if "." in name and layer(name) in NO_TORCH]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_report_reads_metrics_by_their_schema_alone():
    for module in MODULES:
        if module.startswith("stagewise.report."):
            read = {name for name in imports(module) if name.startswith("stagewise.metrics.")}
            assert all(name.startswith("stagewise.metrics.schema") for name in read), (module, read)
