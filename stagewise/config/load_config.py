"""Read and validate an experiment's configuration: files, and what the command line says on top of them."""

from collections.abc import Iterable
from pathlib import Path

from stagewise.config.base import validate
from stagewise.config.experiment import Config
from stagewise.config.inheritance import inherited_part, is_default
from stagewise.config.yaml_files import merge, read_arguments, read_yaml


def load(*paths: str | Path, arguments: Iterable[str] = ()) -> Config:
    """Read and validate a configuration file and its overlays; the last one that has a key wins.

    `arguments` are those of Snakemake's ``--config``, which win over all files. They are read here once more: Snakemake
    reads ``null``, lists and numbers inside them as texts.
    """
    return check(read_arguments(arguments), paths)


def check(values: dict, files: Iterable[str | Path] = ()) -> Config:
    """Validate the values of the command line on top of configuration files."""
    layers = [(str(path), read_yaml(path)) for path in files]
    names = " + ".join(name for name, _ in layers) or "--config"
    layers += [("--config", values)] if values else []
    if layers and is_default(layers[0]):
        # So that a setting that is not inherited is nowhere, neither in the settings nor in messages about them.
        layers[0] = (layers[0][0], inherited_part(layers[0][1], [content for _, content in layers[1:]]))
    merged: dict = {}
    for _, content in layers:
        merged = merge(merged, content)

    def source_of(path: tuple) -> str:
        """Name the last layer that has a setting or, for one that is missing, the group that it belongs in."""
        for length in range(len(path), 0, -1):
            for name, content in reversed(layers):
                if _has_path(content, path[:length]):
                    return name
        return names

    return validate(Config, merged, source_of)


def _has_path(content, path: tuple) -> bool:
    for part in path:
        if isinstance(content, dict) and part in content:
            content = content[part]
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            return False
    return True
