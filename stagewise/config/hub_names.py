"""Names and revisions of repositories on the hub."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

HubName = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", max_length=200)]
"""A repository, ``owner/name``."""

DataSetPart = Annotated[str, Field(pattern=r"^\w[\w.,+ -]*$", max_length=100)]
"""Name of a data set's configuration or split, which becomes part of a file's name."""

MAIN = "main"
"""Branch that every repository has."""

_COMMIT = re.compile("[0-9a-f]{40}")


def check_revision(text: str) -> str:
    """Refuse what is no commit and cannot name a branch or tag."""
    if not re.fullmatch(r"[A-Za-z0-9][\w./+-]*", text) or ".." in text or len(text) > 200:
        raise ValueError("a revision is a commit (40 hexadecimal digits), a tag or a branch, such as main")
    return text


HubRevision = Annotated[str, AfterValidator(check_revision)]


def is_commit(revision: str) -> bool:
    """Tell a commit, which never changes, from a branch or tag, which may be moved."""
    return _COMMIT.fullmatch(revision) is not None
