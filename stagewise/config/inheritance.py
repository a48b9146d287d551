"""Inheritance: the part of the default experiment that an overlay takes over.

An overlay that declares arms and a task of its own is about other data, for which the sample's limits, lengths, layers
and arms mean nothing. It gets the default experiment's models, tasks and form of prompts alone, unless its ``inherits``
says otherwise.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError

DEFAULT_FILE = "config.yaml"
"""Name of the file with the default experiment."""

CATALOG = ("model", "models", "tasks", "quantization", "dtype", "prompting")
"""Settings of the default experiment that hold for any data."""

KEY = "inherits"

Layer = tuple[str, dict]
"""Name of a file, and what it holds."""


def inherited_part(default: dict, overlays: Sequence[dict]) -> dict:
    """Select the settings of the default experiment that hold below its overlays.

    Raises
    ------
    InputError
        If ``inherits`` is neither `all` nor a list of settings that the default experiment has.
    """
    chosen: str | list | tuple | None = next((o[KEY] for o in reversed(overlays) if o.get(KEY) is not None), None)
    if chosen is None:
        is_own = own_tasks(default, overlays) and any(overlay.get("arms") for overlay in overlays)
        chosen = CATALOG if is_own else "all"
    if chosen == "all":
        return default
    if not isinstance(chosen, list | tuple):
        raise InputError(f"{KEY}: write 'all', or a list of top-level settings of {DEFAULT_FILE}")
    if unknown := [key for key in chosen if key not in default and key not in CATALOG]:
        raise InputError(f"{KEY}: '{unknown[0]}' is not in {DEFAULT_FILE}, which has {', '.join(default)}")
    return {key: value for key, value in default.items() if key in chosen}


def own_tasks(default: dict, overlays: Iterable[dict]) -> list[str]:
    """List the tasks that overlays declare and the default experiment does not."""
    there = default.get("tasks")
    declared = [tasks for overlay in overlays if isinstance(tasks := overlay.get("tasks"), dict)]
    names = dict.fromkeys(name for tasks in declared for name, task in tasks.items() if task is not None)
    return [name for name in names if name not in (there if isinstance(there, dict) else {})]


def describe_inheritance(files: Iterable[str | Path], unused_tasks: Iterable[str]) -> list[str]:
    """Say in a few lines what overlays take over from the default experiment, and which of their tasks nobody uses.

    `unused_tasks` are all that are declared and in no arm; of an experiment of one's own, those of the default one are
    left out.
    """
    layers = [(str(path), read_yaml(path)) for path in files]
    offered = layers[0][1].get("tasks") if layers and is_default(layers[0]) and len(layers) > 1 else None
    unused = [task for task in unused_tasks if task not in (offered or {})]
    return [
        *_inherited_lines(layers),
        *(f"tasks.{task} is in no arm and no probe, so nothing is made of it" for task in unused),
    ]


def _inherited_lines(layers: list[Layer]) -> list[str]:
    if len(layers) < 2 or not is_default(layers[0]):
        return []
    (name, default), overlays = layers[0], [content for _, content in layers[1:]]
    part = inherited_part(default, overlays)
    kept = list(_not_given(part, overlays))
    lines = [f"inherited from {name}: {', '.join(kept) or 'nothing'}"]
    if left := [key for key in default if key not in part and not any(key in overlay for overlay in overlays)]:
        way = f", or set {KEY}: all" if not any(KEY in overlay for overlay in overlays) else ""
        lines.append(
            f"not inherited, so with its defaults ({REFERENCE}): {', '.join(left)}; set them in the overlay{way}"
        )
    return lines


REFERENCE = "docs/reference/configuration.md"


def is_default(layer: Layer) -> bool:
    """Tell if a file holds the default experiment."""
    return Path(layer[0]).name == DEFAULT_FILE


# Of these the names are enough.
_NAMED = ("models", "tasks", "arms")


def _not_given(part: dict, overlays: Sequence[dict], prefix: str = "") -> Iterable[str]:
    """Name the settings of `part` that no overlay gives: whole groups by their names, single ones with their values."""
    for key, value in part.items():
        below = [overlay[key] for overlay in overlays if key in overlay]
        if isinstance(value, dict) and all(isinstance(other, dict) for other in below):
            if key in _NAMED and not prefix:
                names = [name for name in value if not any(name in other for other in below)]
                if names:
                    yield f"{key} ({', '.join(names)})"
            elif below:
                yield from _not_given(value, below, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}"
        elif not below:
            yield f"{prefix}{key}" if isinstance(value, list | dict) else f"{prefix}{key} {_text(value)}"


def _text(value) -> str:
    return {None: "null", True: "true", False: "false", "": '""'}.get(value, str(value))
