"""Read configuration files strictly, and merge them as Snakemake does.

A plain scalar is what it looks like to a reader: null, true or false (also as yes, no, on and off), a number in plain
decimals (``3``, ``-0.5``, ``1e-4``), or else the text that is written. YAML 1.1 has more numbers, which are not what
is written: ``010`` is 8, ``1:30`` is 90, ``1_000`` is 1000, ``2020-01-01`` is a date. Here they stay texts: a setting
that is a text gets them as they are, and a setting that is a number refuses them. Keys are texts, too.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from stagewise.config.base import shown
from stagewise.errors import InputError

MAX_BYTES = 1 << 20
"""Size of the largest file that is read as a configuration; the largest of this project has 6 kB."""

MAX_NODES = 100_000
"""Values of the largest configuration, aliases written out: nine lines of aliases can stand for billions."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\0\0\xfe\xff": "UTF-32"}
_DIGITS = r"(?:0|[1-9][0-9]*)"
# Tag, pattern and first characters of each kind of plain scalar that is no text.
_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"(?:yes|no|true|false|on|off|Yes|No|True|False|On|Off|YES|NO|TRUE|FALSE|ON|OFF)", list("yYnNtTfFoO")),
    "int": (r"0|-?[1-9][0-9]{0,17}", list("-0123456789")),
    "float": (
        rf"-?(?:{_DIGITS}\.[0-9]*|\.[0-9]+|{_DIGITS}(?=[eE]))(?:[eE][-+]?[0-9]+)?",
        list("-.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}


class _Loader(yaml.SafeLoader):
    """A YAML loader that knows the scalars of `_PLAIN`, texts, lists and mappings, and nothing else."""

    yaml_implicit_resolvers: dict = {}
    yaml_constructors: dict = {}

    def construct_mapping(self, node, deep=False):
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep)  # which says what is wrong
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


def _construct_float(loader, node):
    text = loader.construct_scalar(node)
    # Python reads 1e999 as infinite; it stays the text that was written.
    return number if math.isfinite(number := float(text)) else text


for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _first)
for _name, _construct in {
    "null": yaml.SafeLoader.construct_yaml_null,
    "bool": yaml.SafeLoader.construct_yaml_bool,
    "int": lambda loader, node: int(loader.construct_scalar(node)),
    "float": _construct_float,
    "str": yaml.SafeLoader.construct_yaml_str,
    "seq": lambda loader, node: loader.construct_sequence(node, deep=True),
    "map": _Loader.construct_mapping,
}.items():
    _Loader.add_constructor(f"{_TAG}{_name}", _construct)
_Loader.add_constructor(None, yaml.SafeLoader.construct_undefined)


def read_yaml(path) -> dict:
    """Read a YAML file that holds a mapping without repeated keys; an empty file holds an empty one.

    Raises
    ------
    InputError
        If the file cannot be read, is not UTF-8, not valid YAML, no mapping, or of an absurd size.
    """
    values = parse_yaml(_read_text(path), str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        kind = {list: "a list", str: "a text", bool: "true or false"}.get(type(values), "a number")
        raise InputError(f"{path}: a configuration is a mapping of settings, not {kind}; write 'key: value' lines")
    return values


def read_arguments(arguments: Iterable[str]) -> dict:
    """Read ``KEY=VALUE`` arguments of ``--config``: a value means what it means in a file, and none means null."""
    values: dict = {}
    for argument in arguments:
        key, _, text = argument.partition("=")
        values = merge(values, {key: parse_yaml(text, f"--config {key}")})
    return values


def parse_yaml(text: str, source: str):
    """Read YAML text as plain data; `source` names it in messages.

    Raises
    ------
    InputError
        For text that is not valid YAML, a key that is given twice or is no text, and nodes without end.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node, source)
        return loader.construct_document(node)
    except RecursionError:
        raise InputError(
            f"{source}: lists or mappings are nested too deeply; a configuration has a few levels"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, (error.context, error.problem)))
        hint = "; indent with blanks, not tabs" if "'\\t'" in reason else ""
        raise InputError(f"{source}: line {mark.line + 1} is not valid YAML ({reason}){hint}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML ({' '.join(str(error).split())})") from None


def merge(base: dict, overlay: dict) -> dict:
    """Merge deeply, as Snakemake merges `--configfile`: mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        mappings = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if mappings else value
    return merged


def _read_text(path) -> str:
    try:
        if Path(path).is_file() and Path(path).stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES >> 20} MB, so it is no configuration; name another file")
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such configuration file") from None
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: the configuration cannot be read ({reason}); name a readable file") from None
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            raise InputError(f"{path}: this is {encoding} text; save the configuration as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line} is not UTF-8 text; save the configuration as UTF-8") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}: line {line} holds a NUL byte; save the configuration as UTF-8 text")
    return text


def _check_nodes(root, source: str) -> None:
    """Refuse keys that are no texts or given twice, a node inside itself, and more than `MAX_NODES` values."""
    sizes: dict[int, int | None] = {}  # by node; None while it is open

    def size(node) -> int:
        where = f"{source}: line {node.start_mark.line + 1}"
        if id(node) in sizes:
            if sizes[id(node)] is None:
                raise InputError(f"{where}: an alias stands inside its own anchor; write out what is meant")
            return sizes[id(node)]
        sizes[id(node)] = None
        children = []
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, source)
            children = [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        else:
            _check_scalar(node, where)
        sizes[id(node)] = total = 1 + sum(map(size, children))
        if total > MAX_NODES:
            raise InputError(f"{where}: aliases stand for more than {MAX_NODES} values; write out what is meant")
        return total

    size(root)


def _check_keys(node: yaml.MappingNode, source: str) -> None:
    keys = set()
    for key, _ in node.value:
        where = f"{source}: line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{where}: a key is a text, not a list or a mapping; write 'key: value'")
        if key.value in keys and key.tag != _MERGE:
            raise InputError(f"{where}: the key '{key.value}' is given twice; keep one")
        keys.add(key.value)


def _check_scalar(node: yaml.ScalarNode, where: str) -> None:
    """Refuse a text that does not fit its tag, or that Snakemake, which reads the file as well, could not read."""
    tag = node.tag.removeprefix(_TAG)
    if tag in _PLAIN and not re.fullmatch(_PLAIN[tag][0], node.value):
        raise InputError(f"{where}: {shown(node.value)} does not fit its tag !!{tag}; write it without the tag")
    if node.style is None and node.tag == f"{_TAG}str" and node.value.lstrip("+-")[:1].isdigit():
        try:
            yaml.safe_load(node.value)
        except ValueError as error:
            reason = str(error).partition(":")[0]
            raise InputError(f"{where}: {shown(node.value)} is no date or number ({reason}); quote it") from None
        except yaml.YAMLError:
            pass  # a part of a longer line
