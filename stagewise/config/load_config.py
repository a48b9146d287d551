"""Read and validate an experiment's configuration files."""

from pathlib import Path

from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.config.yaml_files import merge, read_yaml


def load(*paths: str | Path) -> Config:
    """Read and validate a configuration file and its overlays, later ones winning."""
    values: dict = {}
    for path in paths:
        values = merge(values, read_yaml(path))
    return check(values, paths)


def check(values: dict, files) -> Config:
    """Validate what Snakemake merged from its configuration files and ``--config``.

    `files` are read once more, strictly: a key given twice would otherwise be lost silently.
    """
    read = {str(path): read_yaml(path) for path in files}

    def where(loc) -> str:
        """The last file that holds the key, or the command line."""
        for path, content in reversed(read.items()):
            if _holds(content, loc):
                return path
        return "--config" if _holds(values, loc) else " + ".join(read)

    return validate(Config, _plain(values), where)


def _holds(content, loc) -> bool:
    """Whether the path `loc` stands in nested data; parts that name no key (a union's tag) are passed over."""
    for part in loc:
        if isinstance(content, dict) and part in content:
            content = content[part]
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        elif part == loc[-1]:
            return False
    return True


def _plain(value):
    """Snakemake's ordered mappings as plain ones."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
