"""Read and validate an experiment's configuration files."""

from pathlib import Path

from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.config.yaml_files import merge, read_yaml


def load(*paths: str | Path) -> Config:
    """Read and validate a configuration file and its overlays; the last file that has a key wins."""
    values: dict = {}
    for path in paths:
        values = merge(values, read_yaml(path))
    return check(values, paths)


def check(values: dict, files) -> Config:
    """Validate the values that Snakemake merged from its configuration files and ``--config``.

    `files` are read again, strictly, since a key that is given twice would otherwise be lost silently.
    """
    contents = {str(path): read_yaml(path) for path in files}

    def source_of(loc) -> str:
        """Name the last file that has the key, or the command line."""
        for path, content in reversed(contents.items()):
            if _has_key(content, loc):
                return path
        return "--config" if _has_key(values, loc) else " + ".join(contents)

    return validate(Config, _plain(values), source_of)


def _has_key(content, loc) -> bool:
    """Check that nested data has the key path `loc`; parts that are not keys (a union's tag) are skipped."""
    for part in loc:
        if isinstance(content, dict) and part in content:
            content = content[part]
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        elif part == loc[-1]:
            return False
    return True


def _plain(value):
    """Convert Snakemake's ordered mappings to plain ones."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
