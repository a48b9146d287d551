"""Look at a data set of the hub, through `datasets`."""

import re
from typing import Any

from stagewise.data.hub_dataset import converter
from stagewise.errors import InputError, one_line
from stagewise.onboarding.files import Part, Table, flat
from stagewise.onboarding.parts import Roles, complete_roles, role_of
from stagewise.provenance.hub import repository_commit

SECONDS = 10
"""Time limit of the one request that tells whether the hub can be reached: `datasets` tries each five times."""

_SPEC = re.compile(r"(?P<dataset>[\w.-]+/[\w.-]+)(?::(?P<config>[\w.+-]+))?@(?P<revision>[\w./-]+)")


def is_hub_name(text: str) -> bool:
    """Tell if a text is ``owner/name@revision`` or ``owner/name:configuration@revision``."""
    return bool(_SPEC.fullmatch(text))


def read_hub(text: str) -> tuple[Table, Roles]:
    """Load a data set and give its splits their roles.

    Raises
    ------
    InputError
        If the hub cannot be reached, does not have it, or it holds images or sound.
    """
    given = {key: value for key, value in _SPEC.fullmatch(text).groupdict().items() if value}
    splits = _load(text, given)
    roles = _roles(text, splits)
    table = Table({}, {})
    for role, split in roles.files.items():
        rows = splits[split]
        media = [n for n, feature in rows.features.items() if type(feature).__name__ in ("Image", "Audio", "Video")]
        if len(media) and len(media) + 1 >= len(rows.features):
            raise InputError(f"{text}: the column '{media[0]}' holds images or sound; texts alone can be learnt")
        rows = rows.remove_columns(media)
        entry = {"dataset": given["dataset"]} | ({"config": given["config"]} if "config" in given else {})
        entry |= {"split": split, "revision": given["revision"]}
        table.parts[role] = Part(entry, f"{given['dataset']} {split}", [flat(row) for row in _named_classes(rows)])
    return table, roles


def _load(text: str, given: dict[str, str]) -> dict[str, Any]:
    import datasets
    from huggingface_hub.constants import is_offline_mode

    if not is_offline_mode():  # then only what is here already can be loaded, without waiting
        repository_commit("dataset", given["dataset"], given["revision"], SECONDS)
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(given["dataset"], given.get("config"), revision=given["revision"])
    except Exception as error:  # of the network, the hub, its files: all say why
        reason = one_line(" ".join(str(error).split()))[:300].rstrip(" .") or type(error).__name__
        raise InputError(f"{text}: it cannot be loaded ({reason}); check name, configuration and revision") from None
    finally:
        if bars:
            datasets.enable_progress_bars()


def _roles(text: str, splits: dict[str, Any]) -> Roles:
    """Give the splits roles; a test split whose classes are hidden (-1) is none."""
    usable = [name for name, rows in splits.items() if not _is_hidden(rows)]
    files: dict[str, str] = {}
    for name in usable:
        if role := role_of(name)[0]:
            files.setdefault(role, name)
    if not files:
        raise InputError(f"{text}: none of its splits ({', '.join(splits)}) is for training, validation or test")
    return complete_roles(files)


def _is_hidden(rows) -> bool:
    names = [name for name, feature in rows.features.items() if type(feature).__name__ == "ClassLabel"]
    return any(len(rows) and set(rows[name]) <= {-1, None} for name in names)


def _named_classes(rows) -> list[dict]:
    """Rows as the step that fetches the data writes them: with the names of classes in place of their numbers."""
    converts = {name: convert for name, feature in rows.features.items() if (convert := converter(feature))}
    return [{name: convert(row[name]) for name, convert in converts.items()} for row in rows.to_list()]
