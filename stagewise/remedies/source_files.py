"""Source files of a remedy from outside this package: its module and the helper modules that it imports."""

import ast
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def source_files(module: str, file: Path) -> dict[str, Path]:
    """Map a module and everything it imports, recursively, to their files.

    The standard library, installed packages and this project are left out: their versions are recorded elsewhere.
    Modules are found from the import statements, wherever in the file, without importing anything.
    """
    home = module.partition(".")[0]
    files, waiting = {}, _locate(module, home) | {module: file}
    while waiting:
        name, path = waiting.popitem()
        files[name] = path
        for imported in _imports(name, path, path.stat().st_mtime_ns):
            waiting |= {part: location for part, location in _locate(imported, home).items() if part not in files}
    return dict(sorted(files.items()))


@cache
def _imports(module: str, path: Path, changed: int) -> tuple[str, ...]:
    """Dotted names that a module may import: ``from a import b`` may mean the module ``a.b``."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):  # ValueError: NUL bytes
        return ()  # importing it fails, and says so better
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _locate(name: str, home: str) -> dict[str, Path]:
    """Files of a dotted name's packages and module; `home` is the top-level package that counts even if installed."""
    top, *rest = name.split(".")
    if top in sys.stdlib_module_names or top == __name__.partition(".")[0]:
        return {}
    try:
        spec = find_spec(top)  # a top-level name: this imports nothing
    except (ImportError, ValueError):
        return {}
    if spec is None or (top != home and _is_installed(spec)):
        return {}
    files = {top: Path(spec.origin)} if spec.has_location and spec.origin.endswith(".py") else {}
    folders = list(map(Path, spec.submodule_search_locations or ()))
    for depth, part in enumerate(rest, 2):
        candidates = [path for folder in folders for path in (folder / part / "__init__.py", folder / f"{part}.py")]
        file = next((path for path in candidates if path.is_file()), None)
        if file:
            files[".".join([top, *rest][:depth])] = file
        folders = [folder / part for folder in folders if (folder / part).is_dir()]
    return files


def _is_installed(spec) -> bool:
    places = map(Path, spec.submodule_search_locations or [spec.origin or ""])
    return any(folder in place.parts for place in places for folder in ("site-packages", "dist-packages"))
