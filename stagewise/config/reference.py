"""Generate JSON schemas and the reference page of all configuration keys from the typed models."""

import json
import types
import typing

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stagewise.config.base import Name, Sha256
from stagewise.config.experiment import Config
from stagewise.config.training import LoraOverrides, TrainingOverrides

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false"}

_PATTERNS = {
    next(part.pattern for part in kind.__metadata__[0].metadata if hasattr(part, "pattern")): word
    for kind, word in ((Name, "name"), (Sha256, "SHA-256"))
}

_OVERRIDES = {TrainingOverrides: "training", LoraOverrides: "lora"}

_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def json_schema(model: type[BaseModel], mode: str) -> str:
    """Write a model's JSON schema; `mode` is pydantic's ``validation`` or ``serialization``."""
    schema = {"$schema": DIALECT, **model.model_json_schema(mode=mode)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def configuration_page() -> str:
    """Write the Markdown page of all configuration keys: type, default and description, by section."""
    parts = [
        "# Configuration",
        "Written by `python -m scripts.write_schemas` from the typed configuration in `stagewise/config`; change it "
        "there. `<name>` is a name of your choice, `[]` an entry of a list. An unknown key is an error. Overlays "
        "given with `--configfile` are merged key by key; lists are replaced.",
        "Files are UTF-8. A number is written in plain decimals (`3`, `-0.5`, `1e-4`). What YAML would take for "
        "another number or a date (`010`, `1:30`, `1_000`, `+1`, `2020-01-01`) is the text that is written: a label "
        "may be `010`, a number may not. A value of `--config KEY=VALUE` means what it means in a file, so `null`, "
        "`[1, 2]` and `{epochs: 2}` are no texts.",
    ]
    for path, model in _sections("", Config):
        overridden = _OVERRIDES.get(model)
        intro = (
            f"Any key of `{overridden}`; what is left out comes from there." if overridden else model.__doc__.strip()
        )
        parts.append(f"## {f'`{path}`' if path else 'Top level'}\n\n{intro}")
        if overridden:
            continue
        rows = ["| key | type | default | description |", "|---|---|---|---|"]
        rows += [_row(name, field) for name, field in model.model_fields.items()]
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _sections(path: str, model: type[BaseModel]):
    """Yield the path and the class of a group of settings and of all groups inside it."""
    # Variants of a setting differ in their rule.
    rule = model.model_fields.get("rule")
    yield f"{path}` with `rule: {typing.get_args(rule.annotation)[0]}" if rule else path, model
    if model in _OVERRIDES:
        return
    for name, field in model.model_fields.items():
        for suffix, inner in _models(field.annotation):
            yield from _sections(f"{path}.{name}{suffix}".lstrip("."), inner)


def _models(annotation):
    """Yield path suffix and class of every group of settings inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is dict:
        inner, prefix = list(_models(arguments[1])), ".<name>"
    elif origin is list:
        inner, prefix = list(_models(arguments[0])), "[]"
    elif origin is typing.Literal:
        return
    else:
        inner, prefix = [pair for argument in arguments for pair in _models(argument)], ""
    yield from ((prefix + suffix, model) for suffix, model in inner)


def _row(name: str, field: FieldInfo) -> str:
    kind = _type_text(typing.Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)
    cells = [f"`{name}`", kind, _default(field), field.description or ""]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type_text(annotation) -> str:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if annotation is types.NoneType:
        return "null"
    if annotation is typing.Any:
        return "value"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _constrained(_type_text(arguments[0]), arguments[1:])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is dict:
        return f"by name: {_type_text(arguments[1])}"
    if origin is list:
        return f"list of {_type_text(arguments[0])}"
    return " or ".join(dict.fromkeys(_type_text(argument) for argument in arguments))


def _constrained(kind: str, metadata) -> str:
    for entry in metadata:
        # Constraints are in the metadata one by one, or together in a field.
        entries = entry.metadata if isinstance(entry, FieldInfo) else [entry]
        for constraint in entries:
            kind = _with(kind, constraint)
    return kind


def _with(kind: str, constraint) -> str:
    if isinstance(constraint, annotated_types.MinLen):
        return kind + (", not empty" if constraint.min_length == 1 else f", at least {constraint.min_length}")
    if pattern := getattr(constraint, "pattern", None):
        if (word := _PATTERNS.get(pattern)) or pattern.startswith("^("):
            return kind.replace("text", word or " or ".join(f"`{option}`" for option in pattern[2:-2].split("|")))
        return f"{kind} like `{pattern}`"
    for name, sign in _SIGNS.items():
        if (bound := getattr(constraint, name, None)) is not None:
            kind += f", {sign} {bound if isinstance(bound, int) else format(bound, 'g')}"
    return kind


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined or isinstance(field.default, BaseModel):
        return "see its section"
    return f"`{json.dumps(field.default)}`"
