"""Fetch one file, by its checksum if it has one: from a mirror folder that has it, or else from its URL.

The file appears at its path complete and checked, or not at all.
"""

import os
import re
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
from stagewise.config.shareable import redact_text, redact_url
from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file

LARGEST = 16 << 30
"""Bytes of a file, or of an archive's content, beyond which a server or an archive is not believed."""

MOST_REDIRECTS = 10

LONGEST_NAME = 120

TIMEOUT = 30
"""Seconds without a byte."""

BY_HAND = f"put the file into a folder and name that folder with --mirror or {MIRROR_VARIABLE}"

_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    LZMAError,
    EOFError,
    RuntimeError,  # a member with a password
    NotImplementedError,  # an unknown compression
    ValueError,
    OverflowError,
    OSError,
)


def base_name(url: str, member: str | None = None) -> str:
    """File name of the archive's member, or of the URL, made safe for a path and for a rule's pattern."""
    try:
        path = urlsplit(redact_url(url)).path
    except ValueError as error:
        raise InputError(f"{redact_url(url)}: this is no address ({error}); correct the 'url'") from None
    name = re.sub(r"[\x00-\x1f\x7f{}\\]", "_", PurePosixPath(member or unquote(path)).name)[-LONGEST_NAME:]
    return "" if name == ".." else name


def fetch(url: str, sha256: str | None, output, member: str | None = None, mirror: str | None = None) -> str:
    """Put the file with checksum `sha256` at `output`, unless it is there already.

    Parameters
    ----------
    url
        URL of the file, or of the zip or tar archive that holds it.
    sha256
        Checksum of the file; for an archive, of its member. None takes what is there at this first fetch.
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
    if sha256 and output.is_file() and sha256_file(output) == sha256:
        return "there already, checksum right"
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        fetched = Path(folder) / "file"
        origin = _from_mirror(mirror, url, sha256, member, fetched) if mirror else None
        if origin is None:
            _download(url, sha256, member, fetched)
            origin = redact_url(url)
        elif origin:
            origin = f"{origin.name} in the mirror"
        mask = os.umask(0)
        os.umask(mask)
        fetched.chmod(0o666 & ~mask)
        fetched.replace(output)
    return f"from {origin}"


def _from_mirror(mirror: str, url: str, sha256: str | None, member: str | None, target: Path) -> Path | None:
    """Copy the file from the mirror to `target`; None if the mirror has no file of that name."""
    check_mirror(mirror)
    problems = []
    copies = list(files_named(mirror, base_name(url, member)))
    if sha256 is None:
        copies = _unmistakable(copies, url, member)
    for path in copies:
        shutil.copyfile(path, target)
        if (actual := sha256_file(target)) == (sha256 or actual):
            return path
        problems.append(_mismatch(path, sha256, actual))
    for path in files_named(mirror, base_name(url)) if member else ():
        try:
            _extract(path, member, target, str(path))
        except InputError as error:
            problems.append(str(error))
            continue
        if (actual := sha256_file(target)) == (sha256 or actual):
            return path
        problems.append(_mismatch(f"{path}: {member}", sha256, actual))
    target.unlink(missing_ok=True)
    if problems:
        raise InputError(f"{problems[0]} (found in the mirror; put the right file there, or take this one out)")
    return None


def _unmistakable(paths: list[Path], url: str, member: str | None) -> list[Path]:
    """Keep the files whose path alone says that they are the right ones, for want of a checksum.

    A member's path in the archive must be there as a whole; of an address the file's name and its folder's.

    Raises
    ------
    InputError
        If several differ.
    """
    wanted = PurePosixPath(member).parts if member else PurePosixPath(unquote(urlsplit(url).path)).parts[1:][-2:]
    kept = [path for path in paths if path.parts[-len(wanted) :] == wanted]
    if len({sha256_file(path) for path in kept}) > 1:
        raise InputError(f"{kept[0]} and {kept[1]}: two files of one name; take one out, or give the file's sha256")
    return kept


def files_named(mirror: str, name: str) -> Iterator[Path]:
    """Find all files of a name below the mirror folder."""
    for folder, folders, files in os.walk(mirror):
        folders.sort()
        if name in files:
            yield Path(folder) / name


def _mismatch(source, expected: str, actual: str) -> str:
    return f"{source}: expected sha256 {expected} but found {actual}; nothing was kept"


def _download(url: str, sha256: str | None, member: str | None, target: Path) -> None:
    source = redact_url(url)
    print(f"fetching {source}", file=sys.stderr)
    scheme = url.partition(":")[0].lower()
    if scheme == "file":
        raise InputError(f"{source}: a file of this machine is named by 'path' in place of 'url'")
    (_download_from_web if scheme in ("http", "https") else _download_otherwise)(url, source, target)
    if member:
        archive = target.with_name("archive")
        target.replace(archive)
        _extract(archive, member, target, source)
    if sha256 is None:
        _refuse_web_page(target, source)
    elif (actual := sha256_file(target)) != sha256:
        what = f"{source}: {member}" if member else source
        raise InputError(f"{_mismatch(what, sha256, actual)}: correct the checksum or the address")


def _refuse_web_page(target: Path, source: str) -> None:
    """Refuse a page, such as one that asks for a login, where no checksum tells it from the file."""
    with target.open("rb") as handle:
        head = handle.read(256)
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(f"{source}: a web page came in place of the file; correct the address, or {BY_HAND}")


def _download_from_web(url: str, source: str, target: Path) -> None:
    """Download over HTTP; every error is one sentence that calls the file `source`."""
    import requests

    try:
        with requests.Session() as session, _open(session, url, source) as answer:
            answer.raise_for_status()
            _save(answer, target, source)
    except requests.HTTPError as error:
        reason = "".join(filter(str.isprintable, error.response.reason or ""))[:60]
        raise InputError(
            f"{source}: the server answered {error.response.status_code} {reason}; check the address, or {BY_HAND}"
        ) from None
    except requests.RequestException as error:
        reasons = {
            requests.exceptions.ChunkedEncodingError: "the connection broke off",
            requests.Timeout: "no answer in time",
            requests.TooManyRedirects: "the server sends it round in a circle",
            requests.exceptions.ContentDecodingError: "what came is not encoded as the server says",
            requests.exceptions.InvalidURL: "this is no address",
            requests.ConnectionError: "the server could not be reached",
        }
        reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), type(error).__name__)
        raise InputError(f"{source}: the download failed, {reason}; try again, or {BY_HAND}") from None
    except (OSError, ValueError) as error:
        # A disk that is full, or an address that cannot be taken apart.
        reason = getattr(error, "strerror", None) or redact_text(" ".join(str(error).split()))
        raise InputError(f"{source}: the download failed ({reason}); try again, or {BY_HAND}") from None


def _open(session, url: str, source: str):
    """Open a URL and what it is redirected to.

    A redirect may not leave https, nor lead to anything but the web. requests sends a password to no other host.
    """
    headers = {"Accept-Encoding": "identity"}  # the length is then the file's
    answer = session.get(url, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=False)
    for _ in range(MOST_REDIRECTS):
        if (request := answer.next) is None:
            return answer
        old, new = answer.url.partition(":")[0].lower(), request.url.partition(":")[0].lower()
        if new not in ("http", "https") or (old, new) == ("https", "http"):
            raise InputError(
                f"{source}: the server redirects to {redact_url(request.url)}, which is not as safe; check the "
                f"address, or {BY_HAND}"
            )
        answer.close()
        settings = session.merge_environment_settings(request.url, {}, True, None, None)
        answer = session.send(request, timeout=TIMEOUT, allow_redirects=False, **settings)
    raise InputError(f"{source}: the server sends it round in a circle; check the address, or {BY_HAND}")


def _save(answer, target: Path, source: str) -> None:
    """Write what arrives, with a progress bar, up to the largest size and to the room that the disk has."""
    from tqdm import tqdm

    declared = answer.headers.get("Content-Length", "")
    size = int(declared) if declared.isdecimal() else None
    room = min(LARGEST, shutil.disk_usage(target.parent).free)
    if (size or 0) > room:
        raise _too_large(source, room)
    # The bar is closed before an error is printed.
    with target.open("wb") as out, tqdm(total=size, desc=target.name, unit="B", unit_scale=True) as bar:
        for piece in answer.iter_content(1 << 16):
            bar.update(len(piece))
            if bar.n > room:
                raise _too_large(source, room)
            out.write(piece)


def _too_large(what: str, room: int) -> InputError:
    return InputError(f"{what}: larger than {room / 1e9:.3g} GB, the most that is taken; nothing was kept, {BY_HAND}")


def _download_otherwise(url: str, source: str, target: Path) -> None:
    """Download over FTP, SFTP or by a DOI."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(url, None, fname=target.name, path=target.parent)
    except (OSError, ValueError) as error:
        reason = redact_text(" ".join(str(error).split()).split(". ")[0])
        raise InputError(f"{source}: the download failed ({reason}); correct the address, or {BY_HAND}") from None


def _extract(archive: Path, member: str, target: Path, name: str) -> None:
    """Copy one member of a zip or tar archive to `target`; errors call the archive `name`."""
    member_path = str(PurePosixPath(member))
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                members = {str(PurePosixPath(m.name)): m for m in _within_limit(opened, name) if m.isfile()}
                _copy_member(members, member_path, opened.extractfile, target, name)
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                members = {str(PurePosixPath(m.filename)): m for m in opened.infolist() if not m.is_dir()}
                _copy_member(members, member_path, opened.open, target, name)
        else:
            raise InputError(
                f"{name}: neither a zip nor a tar archive, so it has no member '{member}'; nothing was kept"
            )
    except _ARCHIVE_ERRORS as error:
        raise InputError(f"{name}: the archive cannot be read ({error}); nothing was kept, fetch it again") from None


def _within_limit(archive: tarfile.TarFile, name: str) -> Iterator[tarfile.TarInfo]:
    """Go through an archive's members; a few compressed bytes can hold more than any disk."""
    for member in archive:
        if member.offset_data + member.size > LARGEST:
            raise _too_large(name, LARGEST)
        yield member


def _copy_member(members: dict, member_path: str, open_member, target: Path, name: str) -> None:
    if member_path not in members:
        same_name = [path for path in members if PurePosixPath(path).name == PurePosixPath(member_path).name]
        examples = ", ".join((same_name or sorted(members))[:5]) or "nothing"
        raise InputError(f"{name}: the archive has no member '{member_path}'; it holds {examples}")
    copied = 0
    with open_member(members[member_path]) as source, target.open("wb") as out:
        while piece := source.read(1 << 20):
            copied += len(piece)
            if copied > LARGEST:
                raise _too_large(f"{name}: {member_path}", LARGEST)
            out.write(piece)
