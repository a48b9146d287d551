"""Configurations and addresses without what concerns one person alone: credentials, and paths of their machine.

Whatever is passed on (report, metrics, receipts, recipes, DVC's files) shows a configuration through `shareable`. It
serves as identity too: a URL or a folder may change where a checksum says what a file holds.
"""

import os
import re
from pathlib import PurePosixPath, PureWindowsPath

LOCAL = "(local)"
"""Stands for a folder of one machine."""

# Settings that name a file or a folder, by path, `*` for any key or index. A file keeps its name.
LOCAL_FILES = (
    "published",
    "tasks.*.prompt",
    "tasks.*.sources.*.files.*.path",
    "tasks.*.splits.*.ids",
    "probes.texts.*.path",
    "texts.*.path",  # of the settings of a probe step
)
LOCAL_FOLDERS = (
    "results",
    "mirror",
    "models.*.path",
    "arms.*.stages.*.adapter",
    "adopted.source",  # of a recipe's settings
    "source",  # of an adopted adapter's own settings
    "probes.harness.include",
    "harness.include",
    "path",  # of a base model's own settings
)

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_URL = re.compile(rf"\b{_SCHEME}[^\s\"'<>]+")


def redact_url(url: str) -> str:
    """Remove the parts of a URL that may be secret: user, password, parameters, query, fragment, a local path.

    A secret that is part of the path looks like any other folder, and stays.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    if scheme.lower() == "file":
        return f"{scheme}://{LOCAL}/{PurePosixPath(rest.partition('?')[0].partition('#')[0]).name}"
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if "@" not in authority and "@" in rest and not re.fullmatch(r"[^:]*(:\d*)?|\[[^\]]*\](:\d*)?", authority):
        authority = rest.rpartition("@")[0] + "@" + re.split(r"[/?#\\]", rest.rpartition("@")[2], maxsplit=1)[0]
    path = re.split(r"[?#;]", rest[len(authority) :], maxsplit=1)[0]
    return f"{scheme}://{authority.rpartition('@')[2]}{path}"


def redact_text(text: str) -> str:
    """Redact every URL in a text."""
    return _URL.sub(lambda match: redact_url(match[0]), text)


def is_local_path(path: str) -> bool:
    """Tell if a path leads out of the working folder, so that it means nothing on another machine."""
    if os.path.isabs(path) or PureWindowsPath(path).drive or path.startswith(("~", "\\")):
        return True
    return PurePosixPath(os.path.normpath(path.replace("\\", "/"))).parts[:1] == ("..",)


def shareable_file(path) -> str:
    """Name a file for others: as it is inside the working folder, without its folder elsewhere."""
    path = os.fspath(path)
    return f"{LOCAL}/{PurePosixPath(path.replace(chr(92), '/')).name}" if is_local_path(path) else path


def shareable_folder(path) -> str:
    """Name a folder for others; one outside the working folder may be called as its owner is, so it gets no name."""
    return LOCAL if is_local_path(os.fspath(path)) else os.fspath(path)


def shareable(settings: dict) -> dict:
    """Copy settings, as plain data, without credentials in URLs and without paths of one machine."""
    rules = [(path.split("."), shareable_file) for path in LOCAL_FILES]
    rules += [(path.split("."), shareable_folder) for path in LOCAL_FOLDERS]
    return _shareable(settings, rules)


def without_credentials(settings: dict) -> dict:
    """Copy settings, as plain data, without credentials in URLs; paths stay, for a step on this machine."""
    return _shareable(settings, [])


def _shareable(value, rules: list):
    if isinstance(value, str):
        # A password may hold blanks and quotes, so a text that begins as a URL is taken for one as a whole.
        redact = redact_url if re.match(_SCHEME, value) else redact_text
        return next((rename(value) for path, rename in rules if not path), redact(value))
    if isinstance(value, list | tuple):
        return [_shareable(inner, _below(rules, str(index))) for index, inner in enumerate(value)]
    if isinstance(value, dict):
        return {key: _shareable(inner, _below(rules, str(key))) for key, inner in value.items()}
    return value


def _below(rules: list, key: str) -> list:
    return [(path[1:], rename) for path, rename in rules if path and path[0] in ("*", key)]
