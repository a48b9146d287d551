"""``sources.lock``, a file to be committed: commits of names and checksums of files, as they were first resolved.

It holds the commit of each branch or tag of the hub, and the SHA-256 of each fetched file whose settings give none. A
configuration is read with the commits in the place of the names, so every identity holds a commit, and no plan asks the
network for what is written down.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from stagewise.config.adopted import HUB_ADAPTER
from stagewise.config.experiment import Config
from stagewise.config.hub_names import MAIN, is_commit
from stagewise.config.shareable import redact_url
from stagewise.config.sources import File
from stagewise.errors import InputError
from stagewise.provenance.files import read_json, write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.lock import locked
from stagewise.provenance.memory import FOLDER

SOURCES_LOCK = Path("sources.lock")

Section = Literal["models", "datasets", "files"]

UPDATE = "python -m scripts.resolve_revisions"


class NamedRevision(NamedTuple):
    """A branch or tag of a repository; adapters are models to the hub."""

    kind: Literal["models", "datasets"]
    repository: str
    revision: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"


@dataclass
class SourcesLock:
    """Contents of ``sources.lock``."""

    models: dict[str, str] = field(default_factory=dict)
    """Commit by ``owner/name@branch``."""
    datasets: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 by `file_key`."""

    @classmethod
    def read(cls, path: Path = SOURCES_LOCK) -> "SourcesLock":
        """Read the file; empty if there is none.

        Raises
        ------
        InputError
            If it is damaged.
        """
        if not path.is_file():
            return cls()
        values = read_json(path, "the commits and checksums of sources")
        sections = cls.__dataclass_fields__
        is_right = isinstance(values, dict) and values.keys() <= sections.keys()
        if not is_right or not all(_holds_texts(section) for section in values.values()):
            raise InputError(
                f"{path}: it holds more than {', '.join(sections)}, each of name and commit or checksum; take it from "
                f"version control again, or delete it and run {UPDATE}"
            )
        return cls(**values)

    def commit(self, name: NamedRevision) -> str | None:
        """Commit that a branch or tag stands for; None if it is not written down."""
        return getattr(self, name.kind).get(str(name))


def _holds_texts(section) -> bool:
    return isinstance(section, dict) and all(isinstance(value, str) for value in section.values())


def record(entries: Iterable[tuple[Section, str, str | None]], path: Path = SOURCES_LOCK) -> None:
    """Write entries (section, key, value) down, or take one out whose value is None; steps may do so at a time.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    try:
        with locked(FOLDER / path.name, "the commits and checksums of sources"):
            lock = SourcesLock.read(path)
            for section, key, value in entries:
                getattr(lock, section).pop(key, None)
                if value is not None:
                    getattr(lock, section)[key] = value
            sections = {name: dict(sorted(getattr(lock, name).items())) for name in lock.__dataclass_fields__}
            write_json(path, {name: section for name, section in sections.items() if section})
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make the folder writable") from None


def check_is_commit(repository: str, revision: str) -> None:
    """Refuse a branch or tag where a step needs the commit that it stands for."""
    if not is_commit(revision):
        raise InputError(
            f"{repository}@{revision}: {SOURCES_LOCK} does not say which commit '{revision}' is; write it down with "
            f"{UPDATE}, or name the commit"
        )


def file_key(file: File) -> str:
    """Key of a fetched file; what a URL may keep secret stands there as a checksum."""
    if file.dataset:
        parts = (f"{file.dataset}@{file.revision or MAIN}", file.config, file.split)
    else:
        shown = redact_url(file.url)
        parts = (shown, fingerprint(file.url)[:12] if shown != file.url else None, file.member)
    return " ".join(filter(None, parts))


def expected_sha256(file: File, lock: SourcesLock | None = None) -> str | None:
    """SHA-256 that a fetched file must have: as its settings or ``sources.lock`` say; None before its first fetch."""
    return file.sha256 or (lock or SourcesLock.read()).files.get(file_key(file))


def with_commits(values: dict, lock: SourcesLock) -> dict:
    """Replace the branches and tags of a configuration, as plain data, by the commits that are written down."""
    pinned = dict(values)
    for key in ("models", "tasks", "arms"):
        if isinstance(values.get(key), dict):
            pinned[key] = {name: _PINNED[key](group, lock) for name, group in values[key].items()}
    return pinned


def _pin_model(model, lock: SourcesLock):
    return _pin(model, "models", "hub", lock)


def _pin_task(task, lock: SourcesLock):
    sources = task.get("sources") if isinstance(task, dict) else None
    if not isinstance(sources, dict):
        return task
    return task | {"sources": {name: _pin_source(source, lock) for name, source in sources.items()}}


def _pin_source(source, lock: SourcesLock):
    files = source.get("files") if isinstance(source, dict) else None
    if not isinstance(files, dict):
        return source
    return source | {"files": {role: _pin(file, "datasets", "dataset", lock) for role, file in files.items()}}


def _pin_arm(arm, lock: SourcesLock):
    stages = arm.get("stages") if isinstance(arm, dict) else None
    if not isinstance(stages, list):
        return arm
    return arm | {"stages": [_pin_stage(stage, lock) for stage in stages]}


def _pin_stage(stage, lock: SourcesLock):
    adapter = stage.get("adapter") if isinstance(stage, dict) else None
    match = HUB_ADAPTER.fullmatch(adapter) if isinstance(adapter, str) else None
    commit = match and lock.commit(NamedRevision("models", match["hub"], match["revision"]))
    return stage | {"adapter": f"{match['hub']}@{commit}"} if commit else stage


def _pin(group, kind: Literal["models", "datasets"], key: str, lock: SourcesLock):
    if not isinstance(group, dict) or not isinstance(group.get(key), str):
        return group
    commit = lock.commit(NamedRevision(kind, group[key], group.get("revision") or MAIN))
    return group | {"revision": commit} if commit else group


_PINNED = {"models": _pin_model, "tasks": _pin_task, "arms": _pin_arm}


def open_revisions(config: Config) -> list[NamedRevision]:
    """List the branches and tags that an experiment uses and whose commits are not written down."""
    return list(dict.fromkeys(name for name in _hub_revisions(config) if not is_commit(name.revision)))


def is_used(config: Config, lock: SourcesLock) -> bool:
    """Tell if what is written down determines anything that the experiment fetches."""
    commits = {*lock.models.values(), *lock.datasets.values()}
    files = [file for task in config.active_tasks.values() for file in task.sources[task.source].files.values()]
    keys = {file_key(file) for file in files if file.is_fetched and not file.sha256}
    return bool(keys & lock.files.keys()) or any(name.revision in commits for name in _hub_revisions(config))


def _hub_revisions(config: Config) -> Iterator[NamedRevision]:
    for model in config.used_models.values():
        if model.hub:
            yield NamedRevision("models", model.hub, model.revision)
    for task in config.active_tasks.values():
        for file in task.sources[task.source].files.values():
            if file.dataset:
                yield NamedRevision("datasets", file.dataset, file.revision or MAIN)
    for arm in config.active_arms.values():
        for stage in arm.stages:
            if stage.adapter and (match := HUB_ADAPTER.fullmatch(stage.adapter)):
                yield NamedRevision("models", match["hub"], match["revision"])
