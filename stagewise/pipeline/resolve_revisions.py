"""Branches and tags of the hub become commits: asked once, written to ``sources.lock``, read from there ever after."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.load_config import load
from stagewise.config.sources_lock import (
    SOURCES_LOCK,
    NamedRevision,
    SourcesLock,
    file_key,
    open_revisions,
    record,
)
from stagewise.errors import InputError
from stagewise.provenance.hub import repository_commit

_KINDS = {"models": "model", "datasets": "dataset"}


def load_with_commits(*paths: str | Path, arguments: Iterable[str] = (), save: bool = True) -> Config:
    """Read a configuration, and ask the hub for the commits that ``sources.lock`` lacks.

    Parameters
    ----------
    paths, arguments
        As of `load`.
    save
        Write the commits down. A dry run does not.

    Raises
    ------
    InputError
        If the configuration is wrong, or a commit is not written down and the hub does not tell it.
    """
    arguments = tuple(arguments)
    config = load(*paths, arguments=arguments)
    if not (names := open_revisions(config)):
        return config
    commits = {name: ask_commit(name) for name in names}
    if save:
        record((name.kind, str(name), commit) for name, commit in commits.items())
    lock = SourcesLock.read()
    for kind in _KINDS:
        added = {str(name): commit for name, commit in commits.items() if name.kind == kind}
        lock = replace(lock, **{kind: getattr(lock, kind) | added})
    return load(*paths, arguments=arguments, lock=lock)


def ask_commit(name: NamedRevision) -> str:
    """Ask the hub for the commit of a branch or tag, and say it on stderr."""
    try:
        commit = repository_commit(_KINDS[name.kind], name.repository, name.revision)
    except InputError as error:
        raise InputError(f"{SOURCES_LOCK} does not say which commit {name} is, and {error}") from None
    print(f"{name} is {commit}", file=sys.stderr)
    return commit


def update_revisions(*paths: str | Path, update: bool = False) -> list[str]:
    """Write down the commits of an experiment's branches and tags.

    Parameters
    ----------
    paths
        Configuration files, later ones winning.
    update
        Ask for those too that are written down, and forget the checksums of first fetches, so that the next fetch may
        bring other files.

    Returns
    -------
    A line for each branch or tag, and for each checksum that was forgotten.
    """
    config = load(*paths, lock=SourcesLock())  # as it is written, without commits
    before, lines = SourcesLock.read(), []
    for name in open_revisions(config):
        old = before.commit(name)
        if old and not update:
            lines.append(f"{name}: {old}, written down before")
            continue
        new = ask_commit(name)
        record([(name.kind, str(name), new)])
        lines.append(f"{name}: {new}" + (f", was {old}" if old not in (None, new) else ""))
    if update:
        lines += _forget_checksums(load(*paths), config)
    return lines


def _forget_checksums(*configs: Config) -> list[str]:
    """Take out the checksums of first fetches of these experiments' files."""
    written = SourcesLock.read().files
    keys = [
        file_key(file)
        for config in configs
        for task in config.active_tasks.values()
        for file in task.sources[task.source].files.values()
        if file.is_fetched and not file.sha256
    ]
    keys = [key for key in dict.fromkeys(keys) if key in written]
    record(("files", key, None) for key in keys)
    return [f"{key}: fetched anew by the next run" for key in keys]
