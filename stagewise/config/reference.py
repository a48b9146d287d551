"""Generated from the typed models: JSON schemas and the table of every configuration key."""

import json
import types
import typing

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stagewise.config.experiment import Config
from stagewise.config.tasks import Name, Sha256
from stagewise.config.training import TrainingOverrides

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false"}

_PATTERNS = {Name.__metadata__[0].metadata[0].pattern: "name", Sha256.__metadata__[0].metadata[0].pattern: "SHA-256"}

_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def json_schema(model: type[BaseModel], mode: str) -> str:
    """Write a model's JSON schema; `mode` is pydantic's ``validation`` or ``serialization``."""
    schema = {"$schema": DIALECT, **model.model_json_schema(mode=mode)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def configuration() -> str:
    """Every configuration key with type, default and description, grouped by section, as Markdown."""
    parts = [
        "# Configuration",
        "Written by `python -m scripts.write_schemas` from the typed configuration in `stagewise/config`; change it "
        "there. `<name>` is a name of your choice, `[]` an entry of a list. An unknown key is an error. Overlays "
        "given with `--configfile` are merged key by key; lists are replaced.",
    ]
    for path, model in _sections("", Config):
        overrides = model is TrainingOverrides
        about = "Any key of `training`; what is left out comes from there." if overrides else model.__doc__.strip()
        parts.append(f"## {f'`{path}`' if path else 'Top level'}\n\n{about}")
        if overrides:
            continue
        rows = ["| key | type | default | description |", "|---|---|---|---|"]
        rows += [_row(name, field) for name, field in model.model_fields.items()]
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _sections(path: str, model: type[BaseModel]):
    # Variants of one setting are told apart by their rule.
    rule = model.model_fields.get("rule")
    yield f"{path}` with `rule: {typing.get_args(rule.annotation)[0]}" if rule else path, model
    if model is TrainingOverrides:
        return
    for name, field in model.model_fields.items():
        for place, inner in _models(field.annotation):
            yield from _sections(f"{path}.{name}{place}".lstrip("."), inner)


def _models(annotation):
    """(path suffix, model) of every settings class inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is dict:
        found, suffix = list(_models(arguments[1])), ".<name>"
    elif origin is list:
        found, suffix = list(_models(arguments[0])), "[]"
    elif origin is typing.Literal:
        return
    else:
        found, suffix = [pair for argument in arguments for pair in _models(argument)], ""
    yield from ((suffix + place, model) for place, model in found)


def _row(name: str, field: FieldInfo) -> str:
    kind = _type(typing.Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)
    cells = [f"`{name}`", kind, _default(field), field.description or ""]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation) -> str:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if annotation is types.NoneType:
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _constrained(_type(arguments[0]), arguments[1:])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is dict:
        return f"by name: {_type(arguments[1])}"
    if origin is list:
        return f"list of {_type(arguments[0])}"
    return " or ".join(dict.fromkeys(_type(argument) for argument in arguments))


def _constrained(kind: str, metadata) -> str:
    for entry in metadata:
        # Constraints stand in the metadata one by one or together in a field.
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
            kind += f", {sign} {bound:g}"
    return kind


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined or isinstance(field.default, BaseModel):
        return "see its section"
    return f"`{json.dumps(field.default)}`"
