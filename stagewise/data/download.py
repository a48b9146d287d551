"""Fetch one file by its checksum: from a mirror folder that has it, else from its URL.

Whatever the origin, the file appears at its place complete and checked, or not at all.
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

from stagewise.config.experiment import MIRROR_VARIABLE
from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file

BY_HAND = f"put the file into a folder and name that folder with --mirror or {MIRROR_VARIABLE}"


def base_name(url: str, member: str | None = None) -> str:
    """Name of the file that is used: the member's, or the last part of the URL's path."""
    return PurePosixPath(member or unquote(urlsplit(url).path)).name


def fetch(url: str, sha256: str, output, member: str | None = None, mirror: str | None = None) -> str:
    """Put the file with checksum `sha256` at `output`, unless it is there already.

    Parameters
    ----------
    url
        The file, or the zip or tar archive that holds it.
    sha256
        Checksum of the file that is used: of the member, for an archive.
    output
        Where the file goes. Nothing is written there, or left beside it, unless the checksum is right.
    member
        The file's path inside the archive.
    mirror
        Folder searched, with its subfolders, for a file of the same name before anything is downloaded.

    Returns
    -------
    What was done, for the log.

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
            origin = shown(url)
        mask = os.umask(0)
        os.umask(mask)
        fetched.chmod(0o666 & ~mask)
        fetched.replace(output)
    return f"from {origin}"


def shown(url: str) -> str:
    """The URL without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _from_mirror(mirror: str, url: str, sha256: str, member: str | None, target: Path) -> Path | None:
    """Copy the file from the mirror to `target`; None where the mirror has nothing of that name."""
    if not Path(mirror).is_dir():
        raise InputError(
            f"{mirror}: the mirror is not a folder; correct --mirror or {MIRROR_VARIABLE}, or leave it out"
        )
    problems = []
    for path in _named(mirror, base_name(url, member)):
        shutil.copyfile(path, target)
        if (found := sha256_file(target)) == sha256:
            return path
        problems.append(_mismatch(path, sha256, found))
    for path in _named(mirror, base_name(url)) if member else ():
        try:
            _extract(path, member, target, str(path))
        except InputError as error:
            problems.append(str(error))
            continue
        if (found := sha256_file(target)) == sha256:
            return path
        problems.append(_mismatch(f"{path}: {member}", sha256, found))
    target.unlink(missing_ok=True)
    if problems:
        raise InputError(f"{problems[0]} (found in the mirror; put the right file there, or take this one out)")
    return None


def _named(mirror: str, name: str) -> Iterator[Path]:
    for folder, folders, files in os.walk(mirror):
        folders.sort()
        if name in files:
            yield Path(folder) / name


def _mismatch(what, expected: str, found: str) -> str:
    return f"{what}: expected sha256 {expected} but found {found}; nothing was kept"


def _download(url: str, sha256: str, member: str | None, target: Path) -> None:
    import pooch
    import requests
    from tqdm import tqdm

    pooch.get_logger().setLevel("WARNING")
    where = shown(url)
    print(f"fetching {where}", file=sys.stderr)
    # An archive has no checksum of its own here: its member is checked once it is out.
    known = None if member else f"sha256:{sha256}"
    try:
        # The length is known once the server answers; the bar is closed before any error is told.
        with tqdm(total=1, desc=base_name(url), unit="B", unit_scale=True) as bar:
            web = urlsplit(url).scheme in ("http", "https")
            downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16) if web else None
            pooch.retrieve(url, known, fname=target.name, path=target.parent, downloader=downloader)
    except requests.HTTPError as error:
        raise InputError(
            f"{where}: the server answered {error.response.status_code} {error.response.reason}; check the address, "
            f"or {BY_HAND}"
        ) from None
    except requests.RequestException as error:
        reasons = {
            requests.exceptions.ChunkedEncodingError: "the connection broke off",
            requests.Timeout: "no answer in time",
            requests.ConnectionError: "the server could not be reached",
        }
        reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), type(error).__name__)
        raise InputError(f"{where}: the download failed, {reason}; try again, or {BY_HAND}") from None
    except ValueError as error:
        reason = " ".join(str(error).split()).split(". ")[0]
        raise InputError(f"{where}: {reason}; nothing was kept: correct the checksum or the address") from None
    except OSError as error:
        raise InputError(f"{where}: the download failed ({error}); try again, or {BY_HAND}") from None
    if member:
        archive = target.with_name("archive")
        target.replace(archive)
        _extract(archive, member, target, where)
        if (found := sha256_file(target)) != sha256:
            raise InputError(f"{_mismatch(f'{where}: {member}', sha256, found)}: correct the checksum or the address")


def _extract(archive: Path, member: str, target: Path, name: str) -> None:
    """Copy one member of a zip or tar archive to `target`; `name` is what an error calls the archive."""
    wanted = str(PurePosixPath(member))
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                members = {str(PurePosixPath(m.name)): m for m in opened if m.isfile()}
                _copy_member(members, wanted, opened.extractfile, target, name)
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                members = {str(PurePosixPath(m.filename)): m for m in opened.infolist() if not m.is_dir()}
                _copy_member(members, wanted, opened.open, target, name)
        else:
            raise InputError(
                f"{name}: neither a zip nor a tar archive, so it has no member '{member}'; nothing was kept"
            )
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, RuntimeError, OSError) as error:
        raise InputError(f"{name}: the archive cannot be read ({error}); nothing was kept, fetch it again") from None


def _copy_member(members: dict, wanted: str, open_member, target: Path, name: str) -> None:
    if wanted not in members:
        same = [m for m in members if PurePosixPath(m).name == PurePosixPath(wanted).name]
        some = ", ".join((same or sorted(members))[:5]) or "nothing"
        raise InputError(f"{name}: the archive has no member '{wanted}'; it holds {some}")
    with open_member(members[wanted]) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out)
