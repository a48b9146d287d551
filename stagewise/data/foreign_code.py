"""Code of formats from outside the package, which is part of the identity of splits. Every plan imports this module."""

from importlib.util import find_spec

from stagewise.config.tasks import Task
from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file


def foreign_code(tasks: dict[str, Task]) -> dict[str, str]:
    """Compute the SHA-256 of the module of each ``reader.format: package.module:function``, by that name.

    Raises
    ------
    InputError
        If Python does not find a module.
    """
    names = {task.sources[task.source].reader.format for task in tasks.values()}
    return {name: sha256_file(_module_file(name)) for name in sorted(names) if ":" in name}


def _module_file(name: str) -> str:
    module_name = name.partition(":")[0]
    try:
        spec = find_spec(module_name)
    except (ImportError, ValueError):  # a module that is running has no specification
        spec = None
    if spec is None or not spec.has_location:
        raise InputError(
            f"the reader.format '{name}' cannot be imported (there is no module '{module_name}'); is its folder on "
            "PYTHONPATH?"
        )
    return spec.origin
