"""Base class of all settings, their numbers and paths, and validation with errors in one sentence."""

import difflib
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from stagewise.config.shareable import redact_text
from stagewise.errors import InputError

Whole = Annotated[int, Field(strict=True)]
"""A whole number; neither true nor a text nor 2.0 is one. Every setting of this type has bounds."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number; neither true nor a text is one. Every setting of this type has bounds."""

MaxLength = Annotated[Whole, Field(ge=16, le=10_000_000)]
"""Tokens of prompt and answer together."""

MAX_SEED = 2**32 - 1
"""Largest seed that NumPy takes."""

MAX_COUNT = 10**9
"""More items, steps or epochs than any training has."""


_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


def _plain_path(path: str) -> str:
    if not path.strip():
        raise ValueError("a path is empty")
    if not path.isprintable():
        raise ValueError("a path holds a line break or another invisible character; rename the file")
    if "{" in path or "}" in path:
        raise ValueError("a path may hold no braces, which are wildcards to Snakemake; rename the file")
    if path.startswith("~"):
        raise ValueError("'~' is not replaced by the home folder; write out the path")
    return path


FilePath = Annotated[str, AfterValidator(_plain_path)]
"""Path of a file or folder: printable, without braces and without a leading ``~``."""


Name = Annotated[str, Field(pattern=_NAME, max_length=100)]
"""Name of a task, an arm, a model or a file's role, which may become the name of a folder."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Settings(BaseModel):
    """A frozen group of settings. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def if_set(default, description: str, **limits):
    """A setting that is in no fingerprint while it has its default, so that results of older versions stay current."""
    return Field(default, description=description, exclude_if=lambda value: value == default, **limits)


def validate(model: type[BaseModel], values: dict, source):
    """Validate `values`, and reduce pydantic's report to one sentence.

    Parameters
    ----------
    model
        The settings class.
    values
        Plain data, as a YAML or JSON reader returns it.
    source
        Name of the source for an error, or a function that returns it for a key's path.

    Raises
    ------
    InputError
        For the first problem, with its key and, for an unknown key, the nearest valid one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # An unknown key explains a missing one, so it comes first.
        problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        path = _path_in(values, problems[0])
        name = source(_blamed(values, path, problems[0])) if callable(source) else source
        raise InputError(f"{name}: {_sentence(problems[0], path, model, len(problems))}") from None


def _path_in(values, problem: ErrorDetails) -> tuple:
    """Path of a problem in the data: pydantic's location without the types and tags that it puts in between."""
    path = []
    for part in problem["loc"]:
        is_index = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if is_index or (isinstance(values, dict) and part in values):
            path.append(part)
            values = values[part]
    return (*path, problem["loc"][-1]) if problem["type"] == "missing" else tuple(path)


def _blamed(values, path: tuple, problem: ErrorDetails) -> tuple:
    """Path of the setting to blame: a message about several settings begins with the key of one of them."""
    for part in path:
        values = values.get(part) if isinstance(values, dict) else None
    first = problem["msg"].removeprefix("Value error, ").split()[0].rstrip(":")
    key = [int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", first) if part]
    inner = _path_in(values, {**problem, "type": "", "loc": tuple(key)}) if isinstance(values, dict) else ()
    return (*path, *inner)


def _sentence(problem: ErrorDetails, path: tuple, model: type[BaseModel], count: int) -> str:
    key = _dotted(path)
    more = f" ({count - 1} more after this one)" if count > 1 else ""
    if problem["type"] == "extra_forbidden":
        names = _valid_keys(model, [part for part in problem["loc"] if part != "[key]"])
        near = difflib.get_close_matches(str(path[-1]), names, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(names))}"
        return f"'{key}' is not a setting; {hint}{more}"
    if problem["type"] == "missing":
        return f"'{key}' is required but missing{more}"
    message = _advice(problem) or problem["msg"].removeprefix("Value error, ")
    if not key:
        return f"{message}{more}"
    # What YAML made of a text is not what was written.
    got = "" if problem["type"] in ("value_error", "string_type") else f" (got {redact_text(shown(problem['input']))})"
    message = message if message[:2].isupper() else message[0].lower() + message[1:]
    return f"'{key}': {message}{got}{more}"


def _advice(problem: ErrorDetails) -> str | None:
    """Say what to do where a name has other characters, or YAML reads another type than was meant."""
    kind, value = problem["type"], problem["input"]
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "YAML reads this as a number, or as true or false; put the text in quotes"
    if kind == "string_type" and value is None:
        return "a text is needed, and YAML reads this as null; put the text in quotes, or leave the key out"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return f"write a {'whole ' if kind == 'int_type' else ''}number in plain decimals, without quotes"
    if kind in ("model_type", "dict_type"):
        return "write a mapping of settings here, as 'key: value'"
    if kind == "string_pattern_mismatch" and problem["ctx"]["pattern"] == _NAME:
        return "write letters, digits and . _ + - alone, with a letter or digit first"
    if kind == "string_type":
        return "write one text here, not a list or a mapping"
    return None


def shown(value, length: int = 60) -> str:
    """Show a value in a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}…"


def _dotted(path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _valid_keys(model: type[BaseModel], loc) -> list[str]:
    """List the keys that are valid in place of the unknown key at `loc`."""
    candidates = [model]
    for part in loc[:-1]:
        inner = []
        for candidate in candidates:
            field = candidate.model_fields.get(part) if isinstance(part, str) else None
            # A union's tag or a mapping's key is not a field, so it leads nowhere else.
            inner += _models_in(field.annotation) if field else [candidate]
        candidates = inner or candidates
    return [name for candidate in candidates for name in candidate.model_fields]


def _models_in(annotation) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]
