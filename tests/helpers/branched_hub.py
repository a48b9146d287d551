"""A hub on 127.0.0.1 with data sets and models whose branches and tags move; it answers what `datasets` asks for."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from tests.helpers.loopback_server import serving

Files = dict[str, bytes]


@dataclass
class BranchedHub:
    """The hub's state, for tests to look at and to change."""

    address: str = ""
    commits: dict[tuple[str, str], dict[str, Files]] = field(default_factory=dict)
    """Files by kind (``datasets`` or ``models``) and repository, then by commit."""
    names: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """Commit by branch or tag."""
    gated: set[str] = field(default_factory=set)
    """Repositories that nobody may read."""
    requests: list[str] = field(default_factory=list)

    def push(self, kind: str, repository: str, files: Files, name: str = "main") -> str:
        """Make files the state of a branch or tag; return the new commit."""
        digests = {path: hashlib.sha256(body).hexdigest() for path, body in files.items()}
        commit = hashlib.sha1(json.dumps(digests, sort_keys=True).encode()).hexdigest()
        self.commits.setdefault((kind, repository), {})[commit] = files
        self.names.setdefault((kind, repository), {})[name] = commit
        return commit


@contextmanager
def serve() -> Iterator[BranchedHub]:
    """Serve an empty hub; yield its state."""
    hub = BranchedHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with serving(handler) as hub.address:
        yield hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: BranchedHub

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for (kind, name), commits in self.hub.commits.items():
            # A page's path names a data set's kind, a model's not.
            page = f"datasets/{name}" if kind == "datasets" else name
            for prefix in (f"api/{kind}/{name}", page):
                if path == prefix or path.startswith(f"{prefix}/"):
                    action, _, rest = path.removeprefix(prefix).strip("/").partition("/")
                    return self._answer(kind, name, commits, action or "revision", rest or "main", body)
        return self._refuse(401, "RepoNotFound", "Repository not found")

    do_HEAD = do_POST = do_GET

    def _answer(self, kind: str, name: str, commits: dict[str, Files], action: str, rest: str, body: bytes):
        revision, _, path = rest.partition("/")
        names = self.hub.names[kind, name]
        if action == "refs":
            branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": commit} for n, commit in names.items()]
            return self._json({"branches": branches, "tags": [], "converts": []})
        commit = names.get(revision, revision)
        if commit not in commits:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = commits[commit]
        if action == "revision":
            siblings = [{"rfilename": file, **_about(file, content)} for file, content in files.items()]
            return self._json({"id": name, "sha": commit, "siblings": siblings})
        if action == "tree":
            return self._json(_tree(files, path, "recursive" in parse_qs(urlsplit(self.path).query)))
        if action == "paths-info":
            wanted = (
                [v.strip("/") for v in json.loads(body)["paths"]]
                if body[:1] == b"{"
                else parse_qs(body.decode())["paths"]
            )
            entries = {entry["path"]: entry for entry in _tree(files, "", recursive=True)}
            return self._json([entries[path] for path in wanted if path in entries])
        if name in self.hub.gated:
            return self._refuse(403, "GatedRepo", f"Access to {name} is restricted")
        if path not in files:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        headers = {"ETag": f'"{hashlib.sha256(files[path]).hexdigest()}"', "X-Repo-Commit": commit}
        return self._send(200, files[path], headers)

    def _json(self, values):
        return self._send(200, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str):
        body = json.dumps({"error": message}).encode()
        return self._send(status, body, {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, body: bytes, headers: dict[str, str]):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _about(path: str, content: bytes) -> dict:
    """Size and checksums of a file, as the hub tells them; weights and Parquet are large files there."""
    about: dict = {"size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
    if path.endswith((".safetensors", ".parquet", ".gguf")):
        about["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return about


def _tree(files: Files, folder: str, recursive: bool) -> list[dict]:
    """List files and folders below a folder."""
    inside = f"{folder}/" if folder else ""
    entries: dict[str, dict] = {}
    for path, content in files.items():
        if not path.startswith(inside):
            continue
        parts = path.removeprefix(inside).split("/")
        for depth in range(1, len(parts)):
            name = inside + "/".join(parts[:depth])
            if recursive or depth == 1:
                entries[name] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
        if recursive or len(parts) == 1:
            about = _about(path, content)
            entries[path] = {"type": "file", "oid": about["blobId"], "size": about["size"], "path": path}
            if "lfs" in about:
                entries[path]["lfs"] = {**about["lfs"], "oid": about["lfs"]["sha256"]}
    return list(entries.values())
