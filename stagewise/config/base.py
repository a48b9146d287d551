"""What every part of the configuration has in common: unknown keys are refused."""

import difflib
import re

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from stagewise.errors import InputError


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def validate(model: type[BaseModel], values: dict, where):
    """Validate `values`, turning pydantic's report into one sentence.

    Parameters
    ----------
    model
        The settings class.
    values
        Plain data, as a YAML or JSON reader gives it.
    where
        What to call the source in an error: a file name, or a function that finds it from the key's path.

    Raises
    ------
    InputError
        For the first problem found, with its key and, for an unknown key, the nearest known one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # An unknown key explains a missing one, so it is named first.
        problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        source = where(problems[0]["loc"] or _named(problems[0]["msg"])) if callable(where) else where
        raise InputError(f"{source}: {_sentence(problems[0], model, len(problems))}") from None


def _sentence(problem: ErrorDetails, model: type[BaseModel], count: int) -> str:
    loc = [part for part in problem["loc"] if part != "[key]"]
    key = _dotted(loc)
    more = f" ({count - 1} more after this one)" if count > 1 else ""
    if problem["type"] == "extra_forbidden":
        names = _siblings(model, loc)
        near = difflib.get_close_matches(str(loc[-1]), names, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(names))}"
        return f"'{key}' is not a setting; {hint}{more}"
    if problem["type"] == "missing":
        return f"'{key}' is required but missing{more}"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return f"{message}{more}"
    got = "" if problem["type"] == "value_error" else f" (got {problem['input']!r})"
    return f"'{key}': {message[0].lower() + message[1:]}{got}{more}"


def _named(message: str) -> tuple:
    """The key that a message about several settings begins with, as a path."""
    key = message.removeprefix("Value error, ").split()[0].rstrip(":")
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", key) if part)


def _dotted(loc) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _siblings(model: type[BaseModel], loc) -> list[str]:
    """Names allowed where an unknown key stood, found by walking the model along `loc`."""
    candidates = [model]
    for part in loc[:-1]:
        step = []
        for candidate in candidates:
            field = candidate.model_fields.get(part) if isinstance(part, str) else None
            # A union's tag or a mapping's key is no field: stay where we are.
            step += _models_in(field.annotation) if field else [candidate]
        candidates = step or candidates
    return [name for candidate in candidates for name in candidate.model_fields]


def _models_in(annotation) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]
