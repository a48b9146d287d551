"""Fetch one file by its checksum: from a mirror folder that has it, or else from its URL.

The file appears at its path complete and checked, or not at all.
"""

import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from stagewise.config.mirror import MIRROR_VARIABLE, check_mirror
from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file

BY_HAND = f"put the file into a folder and name that folder with --mirror or {MIRROR_VARIABLE}"


def base_name(url: str, member: str | None = None) -> str:
    """File name of the archive's member, or of the URL."""
    return PurePosixPath(member or unquote(urlsplit(url).path)).name


def fetch(url: str, sha256: str, output, member: str | None = None, mirror: str | None = None) -> str:
    """Put the file with checksum `sha256` at `output`, unless it is there already.

    Parameters
    ----------
    url
        URL of the file, or of the zip or tar archive that holds it.
    sha256
        Checksum of the file; for an archive, of its member.
    output
        Path to write. If the checksum is wrong, nothing is written there or left beside it.
    member
        Path of the file inside the archive.
    mirror
        Folder that is searched, with its subfolders, for a file of the same name before any download.

    Returns
    -------
    A line for the log.

    Raises
    ------
    InputError
        For a wrong checksum, a missing member, a broken archive, a mirror that is no folder, or a failed download.
    """
    output = Path(output)
    if output.is_dir():
        raise InputError(f"{output}: this is a folder; name the file to write")
    if output.is_file() and sha256_file(output) == sha256:
        return "there already, checksum right"
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        fetched = Path(folder) / "file"
        origin = _from_mirror(mirror, url, sha256, member, fetched) if mirror else None
        if origin is None:
            _download(url, sha256, member, fetched)
            origin = redact_url(url)
        mask = os.umask(0)
        os.umask(mask)
        fetched.chmod(0o666 & ~mask)
        fetched.replace(output)
    return f"from {origin}"


def redact_url(url: str) -> str:
    """Remove the parts of a URL that may be secret: user, password and query."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _from_mirror(mirror: str, url: str, sha256: str, member: str | None, target: Path) -> Path | None:
    """Copy the file from the mirror to `target`; None if the mirror has no file of that name."""
    check_mirror(mirror)
    problems = []
    for path in _files_named(mirror, base_name(url, member)):
        shutil.copyfile(path, target)
        if (actual := sha256_file(target)) == sha256:
            return path
        problems.append(_mismatch(path, sha256, actual))
    for path in _files_named(mirror, base_name(url)) if member else ():
        try:
            _extract(path, member, target, str(path))
        except InputError as error:
            problems.append(str(error))
            continue
        if (actual := sha256_file(target)) == sha256:
            return path
        problems.append(_mismatch(f"{path}: {member}", sha256, actual))
    target.unlink(missing_ok=True)
    if problems:
        raise InputError(f"{problems[0]} (found in the mirror; put the right file there, or take this one out)")
    return None


def _files_named(mirror: str, name: str) -> Iterator[Path]:
    """Find all files of a name below the mirror folder."""
    for folder, folders, files in os.walk(mirror):
        folders.sort()
        if name in files:
            yield Path(folder) / name


def _mismatch(source, expected: str, actual: str) -> str:
    return f"{source}: expected sha256 {expected} but found {actual}; nothing was kept"


def _download(url: str, sha256: str, member: str | None, target: Path) -> None:
    import pooch
    import requests
    from tqdm import tqdm

    pooch.get_logger().setLevel("WARNING")
    source = redact_url(url)
    print(f"fetching {source}", file=sys.stderr)
    # The checksum is the member's if there is one; it is checked once it is extracted.
    checksum = None if member else f"sha256:{sha256}"
    try:
        # The length is set once the server answers; the bar is closed before an error is printed.
        with tqdm(total=1, desc=base_name(url), unit="B", unit_scale=True) as bar:
            web = urlsplit(url).scheme in ("http", "https")
            downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16) if web else None
            pooch.retrieve(url, checksum, fname=target.name, path=target.parent, downloader=downloader)
    except requests.HTTPError as error:
        raise InputError(
            f"{source}: the server answered {error.response.status_code} {error.response.reason}; check the address, "
            f"or {BY_HAND}"
        ) from None
    except requests.RequestException as error:
        reasons = {
            requests.exceptions.ChunkedEncodingError: "the connection broke off",
            requests.Timeout: "no answer in time",
            requests.ConnectionError: "the server could not be reached",
        }
        reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), type(error).__name__)
        raise InputError(f"{source}: the download failed, {reason}; try again, or {BY_HAND}") from None
    except ValueError as error:
        reason = " ".join(str(error).split()).split(". ")[0]
        raise InputError(f"{source}: {reason}; nothing was kept: correct the checksum or the address") from None
    except OSError as error:
        raise InputError(f"{source}: the download failed ({error}); try again, or {BY_HAND}") from None
    if member:
        archive = target.with_name("archive")
        target.replace(archive)
        _extract(archive, member, target, source)
        if (actual := sha256_file(target)) != sha256:
            raise InputError(f"{_mismatch(f'{source}: {member}', sha256, actual)}: correct the checksum or the address")


def _extract(archive: Path, member: str, target: Path, name: str) -> None:
    """Copy one member of a zip or tar archive to `target`; errors call the archive `name`."""
    member_path = str(PurePosixPath(member))
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                members = {str(PurePosixPath(m.name)): m for m in opened if m.isfile()}
                _copy_member(members, member_path, opened.extractfile, target, name)
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                members = {str(PurePosixPath(m.filename)): m for m in opened.infolist() if not m.is_dir()}
                _copy_member(members, member_path, opened.open, target, name)
        else:
            raise InputError(
                f"{name}: neither a zip nor a tar archive, so it has no member '{member}'; nothing was kept"
            )
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, RuntimeError, OSError) as error:
        raise InputError(f"{name}: the archive cannot be read ({error}); nothing was kept, fetch it again") from None


def _copy_member(members: dict, member_path: str, open_member, target: Path, name: str) -> None:
    if member_path not in members:
        same_name = [path for path in members if PurePosixPath(path).name == PurePosixPath(member_path).name]
        examples = ", ".join((same_name or sorted(members))[:5]) or "nothing"
        raise InputError(f"{name}: the archive has no member '{member_path}'; it holds {examples}")
    with open_member(members[member_path]) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out)
