"""Code of formats from outside the package, which is part of the identity of splits. Every plan imports this module."""

from importlib.util import find_spec
from pathlib import Path

from stagewise.config.tasks import Task
from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file
from stagewise.provenance.fingerprints import fingerprint
from stagewise.remedies.source_files import source_files


def foreign_code(tasks: dict[str, Task]) -> dict[str, str]:
    """Fingerprint the code of each ``reader.format: package.module:function``, by that name.

    The code is the function's module and, unless that is installed, the modules beside it that it imports.

    Raises
    ------
    InputError
        If Python does not find a module.
    """
    sources = [task.sources[task.source] for task in tasks.values()]
    readers = [reader for source in sources for reader in (source.reader, *(join.reader for join in source.joins))]
    names = {reader.format for reader in readers if reader}
    return {name: _fingerprint_module(name.partition(":")[0], name) for name in sorted(names) if ":" in name}


def _fingerprint_module(module: str, name: str) -> str:
    path = _module_file(name)
    files = {module: path} if "site-packages" in path.parts else source_files(module, path)
    return fingerprint({part: sha256_file(file) for part, file in files.items()})


def _module_file(name: str) -> Path:
    module_name = name.partition(":")[0]
    try:
        spec = find_spec(module_name)
    except (Exception, SystemExit):  # looking for it runs the packages that it is in
        spec = None
    if spec is None or not spec.has_location:
        raise InputError(
            f"the reader.format '{name}' cannot be imported (there is no module '{module_name}'); is its folder on "
            "PYTHONPATH?"
        )
    return Path(spec.origin)
