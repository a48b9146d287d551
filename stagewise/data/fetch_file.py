"""Fetch one raw file, whichever its origin, and write its checksum down if the settings give none."""

from stagewise.config.sources import File
from stagewise.config.sources_lock import SOURCES_LOCK, expected_sha256, file_key, record
from stagewise.data.download import fetch
from stagewise.data.hub_dataset import fetch_dataset
from stagewise.provenance.files import sha256_file


def fetch_file(file: File, output, mirror: str | None = None) -> str:
    """Put a file with a URL, or a split of a data set of the hub, at `output`, unless it is there already.

    Parameters
    ----------
    file
        Origin of the file.
    output
        Path to write.
    mirror
        Folder that is searched, with its subfolders, before any download.

    Returns
    -------
    A line for the log.

    Raises
    ------
    InputError
        If it cannot be fetched, or is another file than its settings or ``sources.lock`` say.
    """
    expected = expected_sha256(file)
    if file.dataset:
        log_line = fetch_dataset(file, expected, output, mirror)
    else:
        log_line = fetch(file.url, expected, output, member=file.member, mirror=mirror)
    if expected:
        return log_line
    record([("files", file_key(file), sha256_file(output))])
    return f"{log_line}; its checksum is in {SOURCES_LOCK} now"
