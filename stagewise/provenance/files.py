"""Checksums, JSON files, and writes that leave the old content or the new one, also after a loss of power."""

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stagewise.errors import InputError

# File in the temporary folder of `replaced_folder` that its process holds a lock on.
_OWNER = ".owner"

# renameat2(2): swap two paths; AT_FDCWD takes both as they are.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100


def read_json(path, what: str) -> dict:
    """Read a JSON file that an earlier step wrote; `what` names it in messages.

    Raises
    ------
    InputError
        If the file is missing or not valid JSON.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            return json.load(handle)
    except FileNotFoundError:
        raise InputError(f"{path}: {what} is missing; run the step that writes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {what} is not valid JSON ({error})") from None


def sha256_file(path) -> str:
    """Compute the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def atomic(path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    The content is on the disk before the name is, so that a loss of power leaves the old file or the new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary, lock = _claim(lambda: _make_file(path))
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes files private
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(lock)


@contextmanager
def replaced_folder(path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that replaces it only if the block succeeds.

    Everything in it is on the disk before the name is. Of two processes that replace one folder at once, the last one
    wins; both end well.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary, lock = _claim(lambda: Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")), _OWNER)
    try:
        folder = temporary / path.name  # one level down: mkdtemp makes the outer one private
        folder.mkdir()
        yield folder
        sync_tree(folder)
        publish_folder(folder, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)


def publish_folder(folder: Path, path: Path) -> None:
    """Rename a folder to `path` on the same disk; what was there takes its place if the file system can swap them.

    Elsewhere (some network file systems) the old one is moved aside first, as ``NAME.old`` beside `folder`.
    """
    while True:
        try:
            os.rename(folder, path)
            break
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        if _exchange(folder, path):
            break
        try:
            os.rename(path, folder.with_name(f"{folder.name}.old"))
        except FileNotFoundError:
            pass  # another process has just moved it
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            shutil.rmtree(folder.with_name(f"{folder.name}.old"))
    sync(path.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step; False if the system or the file system cannot, or one is not there."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def sync(path) -> None:
    """Have the kernel write a file's content, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # a file system without it, for folders
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder) -> None:
    """Have the kernel write every file in a folder to the disk, and then the names."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            if not os.path.islink(path := os.path.join(parent, name)):
                sync(path)
        sync(parent)


def remove_leftovers(path) -> None:
    """Remove the temporary files and folders that killed processes have left beside `path`, which they meant to write.

    A living process holds a lock on its own. On a file system without locks nothing is removed.
    """
    path = Path(path)
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")
    with os.scandir(path.parent) as entries:
        leftovers = [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name)]
    for leftover in leftovers:
        _remove_abandoned(leftover)


def _remove_abandoned(leftover: Path) -> None:
    is_folder = leftover.is_dir() and not leftover.is_symlink()
    try:
        descriptor = os.open(leftover / _OWNER if is_folder else leftover, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return  # gone meanwhile, or another user's
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(leftover, ignore_errors=True) if is_folder else leftover.unlink(missing_ok=True)
    except OSError:
        pass  # its process lives, or there are no locks
    finally:
        os.close(descriptor)


def _make_file(path: Path) -> Path:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    return Path(temporary)


def _claim(make, owner: str = "") -> tuple[Path, int]:
    """Make a temporary path and lock it, or the file `owner` in it; return it and the open descriptor.

    Between making and locking another process may take it for abandoned and remove it: then it is made again.
    """
    while True:
        temporary = make()
        try:
            descriptor = os.open(
                temporary / owner if owner else temporary, os.O_RDWR | (os.O_CREAT if owner else 0), 0o600
            )
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            return temporary, descriptor  # no locks here, so nobody removes it
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)


def write_json(path, values) -> None:
    """Write JSON atomically, indented, with keys in the order of `values`."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
