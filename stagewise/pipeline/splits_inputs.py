"""Inputs record of the splits, apart from the others: whoever imports it imports the readers."""

from pathlib import Path

from stagewise.config.identity import EVERYWHERE, SPLITS, facts
from stagewise.config.shareable import shareable_file
from stagewise.config.sources_lock import SourcesLock, expected_sha256, file_key
from stagewise.config.step_settings import DataSettings
from stagewise.config.tasks import IdsSplit
from stagewise.data.foreign_code import foreign_code
from stagewise.data.raw_files import raw_path
from stagewise.pipeline.inputs import Checksum, Code
from stagewise.provenance.code import code_packages
from stagewise.provenance.files import sha256_file


def splits_files(settings: DataSettings, raw_dir, fetched: bool = True) -> list[Path]:
    """List the files that the splits are made of, the fetched ones among them or not."""
    files = []
    for name, task in settings.tasks.items():
        roles = task.sources[task.source].files.items()
        files += [raw_path(name, role, file, raw_dir) for role, file in roles if fetched or not file.is_fetched]
        rule = task.splits[task.split]
        files += [Path(rule.ids)] if isinstance(rule, IdsSplit) else []
    return list(dict.fromkeys(files))


def splits_inputs(
    settings: DataSettings, raw_dir, code: Code = code_packages, checksum: Checksum = sha256_file
) -> dict:
    """Record what one folder of splits is made from."""
    return {
        "settings": facts(settings, EVERYWHERE | SPLITS),
        "files": _checksums(splits_files(settings, raw_dir, fetched=False), checksum) | _first_fetched(settings),
        "code": code("scripts.make_splits") | foreign_code(settings.tasks),
    }


def _first_fetched(settings: DataSettings) -> dict[str, str | None]:
    """Checksums of the fetched files whose settings give none, as ``sources.lock`` has them, wherever the files are."""
    lock = SourcesLock.read()
    files = [file for task in settings.tasks.values() for file in task.sources[task.source].files.values()]
    return {file_key(file): expected_sha256(file, lock) for file in files if file.is_fetched and not file.sha256}


def _checksums(paths: list[Path], checksum: Checksum) -> dict[str, str | None]:
    """Checksums by the name that a file has for others; files of one name from two folders are numbered."""
    checksums: dict[str, str | None] = {}
    for path in paths:
        name = shown = shareable_file(path.as_posix())
        for number in range(2, len(paths) + 1):
            if shown not in checksums:
                break
            shown = f"{name} ({number})"
        checksums[shown] = checksum(path)
    return checksums
