"""Read configuration files strictly, and merge them as Snakemake does."""

import yaml

from stagewise.errors import InputError


class _UniqueKeyLoader(yaml.SafeLoader):
    """A YAML loader that refuses repeated keys; of those, YAML would silently use the last."""


def _construct_mapping(loader, node, deep=False):
    seen = set()
    for key_node, _ in node.value:
        key = key_node.value
        if key in seen and key != "<<":
            raise InputError(
                f"{key_node.start_mark.name}: line {key_node.start_mark.line + 1}: the key '{key}' is given twice; "
                "keep one"
            )
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def read_yaml(path) -> dict:
    """Read a YAML file that must hold a mapping without repeated keys."""
    try:
        with open(path, encoding="utf-8") as handle:
            values = yaml.load(handle, _UniqueKeyLoader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such configuration file") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: a configuration is a mapping of settings, not {type(values).__name__}")
    return values


def merge(base: dict, overlay: dict) -> dict:
    """Merge deeply, as Snakemake merges `--configfile`: mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        mappings = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if mappings else value
    return merged
