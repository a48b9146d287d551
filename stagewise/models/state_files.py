"""Hidden states on disk: files that any process may add, each checked against its name before it is used.

They save time and are part of no result: the folder may be deleted at any time, and a file that is damaged is removed.
"""

import hashlib
import os
import sys
from pathlib import Path

from stagewise.provenance.files import atomic, sha256_file

_BYTES_PER_FILE = 32 * 2**20


class StateFiles:
    """Tensors by key in files of one folder.

    Parameters
    ----------
    folder
        Folder of tensors that belong together. Those beside it share the bound.
    limit
        Bytes that all folders may hold together; beyond it the files that were not used for longest are deleted.
    """

    def __init__(self, folder, limit: int):
        self.folder, self.limit = Path(folder), limit
        self._new: dict[str, object] = {}
        self._new_bytes = 0
        self._paths = {key: path for path in sorted(self.folder.glob("*.safetensors")) for key in _keys(path)}
        self._open: dict[Path, object] = {}

    def get(self, key: str):
        """Read a tensor; None if there is none, or its file is damaged."""
        if key in self._new:
            return self._new[key]
        path = self._paths.get(key)
        if path is None:
            return None
        if path not in self._open:
            self._open[path] = self._checked(path)
        file = self._open[path]
        return None if file is None else file.get_tensor(key)

    def add(self, key: str, tensor) -> None:
        """Keep a tensor; it is on the disk after the next `flush`."""
        self._new[key] = tensor
        self._new_bytes += tensor.numel() * tensor.itemsize
        if self._new_bytes >= _BYTES_PER_FILE:
            self.flush()

    def flush(self) -> None:
        """Write what was added; a disk that takes nothing costs time and no result."""
        from safetensors.torch import save

        if not self._new:
            return
        content = save(self._new)
        path = self.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
        try:
            with atomic(path) as temporary:
                temporary.write_bytes(content)
            self._delete_oldest(path)
        except OSError as error:
            print(f"{self.folder}: hidden states are not kept ({error.strerror})", file=sys.stderr)
        else:
            self._paths |= dict.fromkeys(self._new, path)
        self._new, self._new_bytes = {}, 0

    def _checked(self, path: Path):
        """Open a file if its content is what its name says; remove it otherwise."""
        from safetensors import safe_open

        try:
            if sha256_file(path) == path.stem:
                os.utime(path)  # used now
                return safe_open(path, "pt")
            path.unlink()
        except OSError:
            pass  # deleted meanwhile
        return None

    def _delete_oldest(self, newest: Path) -> None:
        files = []
        for path in self.folder.parent.glob("*/*.safetensors"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another process deletes too
            files.append((path != newest, -status.st_mtime_ns, status.st_size, path))
        total = 0
        for is_older, _, size, path in sorted(files):
            total += size
            if total > self.limit and is_older:
                path.unlink(missing_ok=True)


def _keys(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError):
        return []
