"""Fingerprints of the code that a step is made of.

A step is made of its script and of every module of this project that it imports, at the top or within a function,
together with the templates and style sheets in their packages. Comments, blank lines and docstrings do not count:
modules are compared by their syntax trees. Parsing is slow, so its results are remembered by a file's checksum.
"""

import ast
import hashlib
import os
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.memory import FOLDER, read_memory, write_memory

ROOT = Path(__file__).parents[2]
TOP_PACKAGES = ("stagewise", "scripts")
DATA_FILES = (".j2", ".css")
"""Endings of the files of a package that are part of a step, apart from modules: templates and style sheets."""
CODE = FOLDER / "stagewise-code.json"

_VERSION = "stagewise-code-1"
_MOST = 2000  # parsed files that are remembered, those of older code among them
# Functions that import modules by a name that is computed: every module of the caller's package may be meant.
_SEARCHES = {"import_module", "__import__", "iter_modules", "walk_packages"}
# Every step imports the remedies for their settings, but only a training calls them, which a behaviour version covers.
_TRAINING_ONLY = "stagewise.remedies."
# Every step imports the package itself, too, which imports nothing: its functions are for notebooks.
_PACKAGE = "stagewise"


class ProjectCode:
    """The project's modules, what they import, and a hash of each.

    Parameters
    ----------
    checksum
        SHA-256 of a file: `sha256_file`, or remembered checksums.
    path
        JSON file that holds the results of parsing between two plans.
    root
        Folder that holds the packages.
    """

    def __init__(self, checksum: Callable[..., str] = sha256_file, path=CODE, root: Path = ROOT):
        self._checksum, self._path, self._root = checksum, path, Path(root)
        self._parsed = read_memory(path, _VERSION)
        self._used: set[str] = set()
        self._changed = False
        self._modules: dict[str, tuple[str, set[str]]] = {}

    def modules(self, entry: str) -> dict[str, str]:
        """Hash every file that a step is made of, by path below the root.

        Parameters
        ----------
        entry
            The step's module, such as ``scripts.metrics``.
        """
        if entry not in self._sources:
            raise InputError(f"{entry}: no module of this project; a step's code is named as in `python -m`")
        closure, waiting = set(), [entry]
        while waiting:
            name = waiting.pop()
            if name in closure:
                continue
            closure.add(name)
            waiting += self._module(name)[1] - closure
        hashes = {self._sources[name]: self._module(name)[0] for name in closure}
        for package in closure & set(self._data):
            hashes |= {name: self._checksum(self._root / name) for name in self._data[package]}
        return dict(sorted(hashes.items()))

    def packages(self, entry: str) -> dict[str, str]:
        """Hash a step's code by package (``stagewise.metrics``): few lines that still say which phase changed."""
        packages: dict[str, dict[str, str]] = {}
        for path, value in self.modules(entry).items():
            packages.setdefault(_package(path), {})[path] = value
        return {name: fingerprint(files) for name, files in sorted(packages.items())}

    def fingerprint(self, entry: str) -> str:
        """Hash the whole code of a step."""
        return fingerprint(self.modules(entry))

    def save(self) -> None:
        """Remember the results of parsing for the next plan."""
        if self._changed:
            old = {} if len(self._parsed) > _MOST else self._parsed
            write_memory(self._path, _VERSION, old | {key: self._parsed[key] for key in self._used})
            self._changed = False

    @cached_property
    def _files(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        sources: dict[str, str] = {}
        data: dict[str, list[str]] = {}
        for top in TOP_PACKAGES:
            _scan(self._root / top, top, top, sources, data)
        return sources, data

    @property
    def _sources(self) -> dict[str, str]:
        """Paths of modules by dotted name."""
        return self._files[0]

    @property
    def _data(self) -> dict[str, list[str]]:
        """Paths of the other files of a package by its dotted name."""
        return self._files[1]

    def _module(self, name: str) -> tuple[str, set[str]]:
        """Hash of a module and the project's modules that importing it or calling its functions may import."""
        if name not in self._modules:
            path = self._root / self._sources[name]
            checksum = self._checksum(path)
            remembered = self._parsed.get(checksum)
            if not isinstance(remembered, list) or list(map(type, remembered)) != [str, list, list, bool]:
                self._parsed[checksum] = _parse(path, checksum)
                self._changed = True
            self._used.add(checksum)
            value, at_import, in_functions, searches = self._parsed[checksum]
            imported = at_import if name.startswith(_TRAINING_ONLY) else at_import + in_functions
            imported = [] if name == _PACKAGE else imported
            self._modules[name] = (value, self._resolve(name, imported, searches))
        return self._modules[name]

    def _resolve(self, name: str, imported: list[str], searches: bool) -> set[str]:
        package = name if self._sources[name].endswith("__init__.py") else name.rpartition(".")[0]
        modules = set(_parents(name))
        for target in imported:
            level = len(target) - len(target.lstrip("."))
            if level:
                base = package.rsplit(".", level - 1)[0] if level > 1 else package
                target = f"{base}.{target[level:]}".rstrip(".")
            modules |= {target, *_parents(target)}
        if searches:
            modules |= {other for other in self._sources if other.startswith(f"{package}.")}
        return modules & set(self._sources)


def code_packages(entry: str) -> dict[str, str]:
    """Hash a step's code by package, for the step's own record; uses what a plan remembered and writes nothing."""
    return ProjectCode().packages(entry)


def _package(path: str) -> str:
    """Phase of a file: ``stagewise.metrics`` for all below it, ``stagewise`` or ``scripts`` for those at the top."""
    parts = Path(path).parts
    return ".".join(parts[: 2 if len(parts) > 2 else 1])


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _scan(folder: Path, relative: str, package: str, sources: dict[str, str], data: dict[str, list[str]]) -> None:
    """Collect modules and other files below a folder; a folder without ``__init__.py`` belongs to the one above."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{relative}/{entry.name}"
        if entry.name.startswith(".") or entry.name == "__pycache__" or entry.name.endswith(("~", ".pyc")):
            continue
        if entry.is_dir():
            inner = f"{package}.{entry.name}" if os.path.exists(f"{entry.path}/__init__.py") else package
            _scan(Path(entry.path), path, inner, sources, data)
        elif entry.name == "__init__.py":
            sources[package] = path
        elif entry.name.endswith(".py"):
            sources[f"{package}.{entry.name[:-3]}"] = path
        elif entry.name.endswith(DATA_FILES):
            data.setdefault(package, []).append(path)


@lru_cache(maxsize=_MOST)  # a process may look at many experiments, each with a `ProjectCode`
def _parse(path: Path, checksum: str) -> list:
    """Parse a module, once for each of its contents.

    Returns
    -------
    Hash of its syntax tree, names imported with it, names imported when its functions run, and if it imports modules
    by computed names.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as Python ({error}); correct it") from None
    at_import: set[str] = set()
    in_functions: set[str] = set()
    searches = False
    waiting = [(tree, at_import)]
    while waiting:
        node, names = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            dot = "." if node.module else ""
            names |= {start, *(f"{start}{dot}{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
            searches = searches or name in _SEARCHES
        inner = in_functions if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else names
        waiting += [(child, inner) for child in ast.iter_child_nodes(node)]
    tokens: list[str] = []
    _flatten(tree, tokens)
    return [hashlib.sha256("\n".join(tokens).encode()).hexdigest(), sorted(at_import), sorted(in_functions), searches]


def _flatten(node, tokens: list[str]) -> None:
    """Write a syntax tree as a list of words, without positions, docstrings and empty fields.

    Not `ast.dump`: what that prints differs between versions of Python.
    """
    if isinstance(node, ast.AST):
        tokens.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != []:
                tokens.append(f".{name}")
                _flatten(value, tokens)
        tokens.append(")")
    elif isinstance(node, list):
        for item in node:
            # A string that stands alone does nothing: a docstring, or the description of a field.
            if not (isinstance(item, ast.Expr) and isinstance(getattr(item.value, "value", None), str)):
                _flatten(item, tokens)
        tokens.append("]")
    else:
        tokens.append(repr(node))
