"""Adapters from elsewhere, which a stage adopts as they are."""

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from stagewise.config.base import Settings
from stagewise.config.hub_names import check_revision
from stagewise.provenance.fingerprints import fingerprint

PLACES = ("{seed}", "{fold}")
"""Placeholders of an adapter's path, filled in for each run."""

HUB_ADAPTER = re.compile(r"(?P<hub>[\w.-]+/[\w.-]+)@(?P<revision>[^@/]+)")
"""A repository of the hub at a commit, a tag or a branch."""


def _source(text: str) -> str:
    bare = text
    for place in PLACES:
        bare = bare.replace(place, "0")
    if not bare.strip() or not bare.isprintable() or {"{", "}"} & {*bare}:
        raise ValueError("name a folder or a hub repository; braces may only hold {seed} and {fold}")
    if text.startswith("~"):
        raise ValueError("'~' is not replaced by the home folder; write out the path")
    if hub := HUB_ADAPTER.fullmatch(text):
        check_revision(hub["revision"])
    return text


AdapterSource = Annotated[str, AfterValidator(_source)]
"""A PEFT adapter: the path of its folder, or a hub repository at a revision, ``owner/name@revision``."""


class AdoptedAdapter(Settings):
    """An adapter from elsewhere, in one run."""

    source: AdapterSource

    @classmethod
    def of_run(cls, source: str, fold: int | None, seed: int) -> "AdoptedAdapter":
        """Fill in what the source leaves open."""
        return cls(source=source.replace("{seed}", str(seed)).replace("{fold}", "" if fold is None else str(fold)))

    @property
    def hub(self) -> tuple[str, str] | None:
        """Repository and revision; None for a local folder."""
        match = HUB_ADAPTER.fullmatch(self.source)
        return (match["hub"], match["revision"]) if match else None

    @property
    def path(self) -> str | None:
        """Local folder; None for a hub repository."""
        return None if self.hub else self.source

    @property
    def folder(self) -> str:
        """Name of its folder below ``adapters/``, the same for the same source."""
        return f"{short_name(self.source)}-{fingerprint(self.source)[:8]}"


def short_name(source: str) -> str:
    """Name an adapter by the end of its path or of its repository's name, as a name of a folder."""
    match = HUB_ADAPTER.fullmatch(source)
    text = match["hub"] if match else re.sub("[{}]", "", source)
    last = PurePosixPath(text.replace("\\", "/")).name
    return re.sub("[^A-Za-z0-9_.+-]", "-", last).lstrip("._+-")[:60] or "adapter"
