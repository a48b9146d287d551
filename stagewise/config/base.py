"""Base class of all settings, and validation with errors in one sentence."""

import difflib
import re

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from stagewise.config.shareable import redact_text
from stagewise.errors import InputError


class Settings(BaseModel):
    """A frozen group of settings. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


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
        name = source(problems[0]["loc"] or _key_in_message(problems[0]["msg"])) if callable(source) else source
        raise InputError(f"{name}: {_sentence(problems[0], model, len(problems))}") from None


def _sentence(problem: ErrorDetails, model: type[BaseModel], count: int) -> str:
    loc = [part for part in problem["loc"] if part != "[key]"]
    key = _dotted(loc)
    more = f" ({count - 1} more after this one)" if count > 1 else ""
    if problem["type"] == "extra_forbidden":
        names = _valid_keys(model, loc)
        near = difflib.get_close_matches(str(loc[-1]), names, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(names))}"
        return f"'{key}' is not a setting; {hint}{more}"
    if problem["type"] == "missing":
        return f"'{key}' is required but missing{more}"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return f"{message}{more}"
    got = "" if problem["type"] == "value_error" else redact_text(f" (got {problem['input']!r})")
    return f"'{key}': {message[0].lower() + message[1:]}{got}{more}"


def _key_in_message(message: str) -> tuple:
    """Path of the key that a message about several settings begins with."""
    key = message.removeprefix("Value error, ").split()[0].rstrip(":")
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", key) if part)


def _dotted(loc) -> str:
    text = ""
    for part in loc:
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
