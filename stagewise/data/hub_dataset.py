"""Fetch a split of a data set of the hub, through `datasets`, as one local file of JSON lines.

Columns stay as they are, apart from class labels, which become their names, and from columns of images, sound and other
bytes, which are left out. JSON lines are the same bytes whichever version writes them, as Parquet is not, so that the
file's checksum names its content.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from stagewise.config.hub_names import MAIN
from stagewise.config.mirror import check_mirror
from stagewise.config.sources import File
from stagewise.config.sources_lock import check_is_commit
from stagewise.data.download import files_named
from stagewise.data.raw_files import dataset_file
from stagewise.errors import InputError
from stagewise.provenance.files import atomic, sha256_file
from stagewise.provenance.hub import explained_refusals

Convert = Callable[[object], object]


def fetch_dataset(file: File, sha256: str | None, output, mirror: str | None = None) -> str:
    """Put one split of a data set at `output`, unless it is there already.

    Parameters
    ----------
    file
        Data set, its commit, configuration and split.
    sha256
        SHA-256 of the file that is written; None at its first fetch.
    output
        Path to write.
    mirror
        Folder that is searched, with its subfolders, for a file of the same name before any download.

    Returns
    -------
    A line for the log.

    Raises
    ------
    InputError
        If the revision is no commit, the data set, configuration or split does not exist, is refused, holds code in
        place of data, or has other content than `sha256` says.
    """
    output = Path(output)
    if sha256 and output.is_file() and sha256_file(output) == sha256:
        return "there already, checksum right"
    output.parent.mkdir(parents=True, exist_ok=True)
    copy = _in_mirror(file, sha256, mirror)
    with atomic(output) as temporary:
        if copy:
            shutil.copyfile(copy, temporary)
        else:
            check_is_commit(file.dataset, file.revision or MAIN)
            _download(file, temporary)
        if sha256 and (actual := sha256_file(temporary)) != sha256:
            raise InputError(
                f"{_name(file)}: expected sha256 {sha256} but found {actual}; nothing was kept: correct the checksum "
                "or the revision"
            )
    return f"from {copy.name} in the mirror" if copy else f"from {_name(file)}"


def _in_mirror(file: File, sha256: str | None, mirror: str | None) -> Path | None:
    """Find the file in the mirror, by its name, which holds the commit, and its checksum if that is known."""
    if not mirror:
        return None
    check_mirror(mirror)
    paths = files_named(mirror, dataset_file(file))
    return next((path for path in paths if sha256 in (None, sha256_file(path))), None)


def _name(file: File) -> str:
    return " ".join(filter(None, (f"{file.dataset}@{(file.revision or MAIN)[:12]}", file.config, file.split)))


def _download(file: File, target: Path) -> None:
    """Download the data set's files to the hub library's cache, and write the split's rows to `target`."""
    with explained_refusals(file.dataset, file.revision, "dataset"):
        _check_access(file)
        print(f"fetching {_name(file)}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".datasets-") as cache, _quiet_library():
            rows = _write_rows(_load(file, cache), target)
    if not rows:
        raise InputError(f"{_name(file)}: no row is in it; name another split")


def _check_access(file: File) -> None:
    """Let the hub refuse what it refuses, before `datasets` words it otherwise."""
    import huggingface_hub

    hub = huggingface_hub.HfApi()
    names = [sibling.rfilename for sibling in hub.dataset_info(file.dataset, revision=file.revision).siblings]
    script = f"{file.dataset.rpartition('/')[2]}.py"
    if script in names:
        raise InputError(
            f"{_name(file)}: it is made by a script ({script}), which is not run; give the revision "
            "'refs/convert/parquet', if the hub has converted it, or its files by 'url'"
        )
    if names:
        url = huggingface_hub.hf_hub_url(file.dataset, names[0], repo_type="dataset", revision=file.revision)
        huggingface_hub.get_hf_file_metadata(url)


@contextmanager
def _quiet_library():
    """Silence the progress bars and the log of `datasets`, which also raises what it logs."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets

    bars, level = datasets.is_progress_bar_enabled(), datasets.utils.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.utils.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


def _load(file: File, cache: str):
    """Load the split; what does not exist is refused with the names that do."""
    import datasets

    try:
        return datasets.load_dataset(
            file.dataset, file.config, split=file.split, revision=file.revision, cache_dir=cache
        )
    except (ValueError, RuntimeError, OSError, datasets.exceptions.DatasetsError) as error:
        if isinstance(error, ConnectionError | TimeoutError):
            raise
        _refuse_unknown_names(file)
        message = " ".join(str(error.__cause__ or error).split())[:300]
        raise InputError(f"{_name(file)}: `datasets` cannot read it ({message}); name other data") from None


def _refuse_unknown_names(file: File) -> None:
    """Refuse a configuration or split that the data set does not have."""
    import datasets

    try:
        configs = datasets.get_dataset_config_names(file.dataset, revision=file.revision)
        if file.config is None and len(configs) > 1 and "default" not in configs:
            raise InputError(f"{_name(file)}: it has several configurations; set 'config' to one of {_few(configs)}")
        if file.config is not None and file.config not in configs:
            raise InputError(f"{_name(file)}: there is no configuration '{file.config}'; it has {_few(configs)}")
        splits = datasets.get_dataset_split_names(file.dataset, file.config, revision=file.revision)
    except (ValueError, RuntimeError, FileNotFoundError, datasets.exceptions.DatasetsError):
        return  # nothing in it that can be read as data
    if file.split not in splits:
        raise InputError(f"{_name(file)}: there is no split '{file.split}'; it has {_few(splits)}")


def _few(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def _write_rows(dataset, target: Path) -> int:
    """Write the rows as JSON lines; return their number."""
    converts = {name: convert for name, feature in dataset.features.items() if (convert := converter(feature))}
    if left_out := [name for name in dataset.features if name not in converts]:
        print(f"left out, for they hold no text and no numbers: {', '.join(left_out)}", file=sys.stderr)
    count = 0
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for batch in dataset.select_columns(list(converts)).iter(1000):
            for values in zip(*batch.values(), strict=True):
                row = {name: convert(value) for (name, convert), value in zip(converts.items(), values, strict=True)}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
    return count


def converter(feature) -> Convert | None:
    """Function that turns a feature's values into what JSON holds; None if they are bytes, images or the like."""
    from datasets import ClassLabel, LargeList, List, Value

    if isinstance(feature, ClassLabel):
        # A negative number stands for no label, as in a hidden test set.
        return lambda value: None if value is None or value < 0 else feature.int2str(value)
    if isinstance(feature, Value):
        return None if "binary" in feature.dtype else _plain
    if isinstance(feature, dict):
        inner = {key: convert for key, value in feature.items() if (convert := converter(value))}
        return lambda value: value and {key: convert(value[key]) for key, convert in inner.items()}
    if isinstance(feature, List | LargeList) and (convert := converter(feature.feature)):
        return lambda value: None if value is None else [convert(item) for item in value]
    return None


def _plain(value):
    """Keep what JSON knows; write dates and other values as text."""
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
