"""A hub on 127.0.0.1 that repositories can be created on, pushed to and downloaded from, as far as the tests need it.

It answers the requests of huggingface_hub without Xet (``HF_HUB_DISABLE_XET=1``): large files go by Git LFS.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

import yaml

from tests.helpers.loopback_server import serving


@dataclass
class Repository:
    """A repository: contents of files by branch and name."""

    private: bool = False
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    messages: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        return self.branches["main"]

    def commit(self, branch: str) -> str:
        """The branch's commit: 40 hexadecimal digits that depend on its files."""
        text = json.dumps({name: hashlib.sha256(body).hexdigest() for name, body in self.branches[branch].items()})
        return hashlib.sha1(text.encode()).hexdigest()

    def resolve(self, revision: str) -> dict[str, bytes] | None:
        """Files of a branch or of a branch's commit."""
        return next((files for name, files in self.branches.items() if revision in (name, self.commit(name))), None)


@dataclass
class WritableHub:
    """The hub's state, for tests to look at."""

    token: str
    """Token that may write."""
    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large_files: dict[str, bytes] = field(default_factory=dict)
    """By SHA-256."""
    validated: list[str] = field(default_factory=list)
    """Model cards that were sent for validation."""
    requests: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, files: dict[str, bytes]) -> None:
        self.repositories[name] = Repository(branches={"main": files})


def card_problems(content: str) -> list[str]:
    """Problems of a card's metadata, of those that the real hub refuses."""
    _, metadata, _ = content.split("---\n", 2)
    values = yaml.safe_load(metadata)
    problems = [
        f'"{key}" must be a string' for key in ("license", "library_name") if not isinstance(values.get(key, ""), str)
    ]
    if "/" not in values.get("base_model", "/") or values.get("base_model", "").startswith("/"):
        problems.append('"base_model" must be a model id')
    for model in values.get("model-index", ()):
        for result in model["results"]:
            missing = {"task", "dataset", "metrics"} - set(result)
            problems += [f'"model-index" result lacks "{key}"' for key in missing]
            problems += [
                '"metrics" need a type and a value' for m in result["metrics"] if not {"type", "value"} <= set(m)
            ]
    return problems


@contextmanager
def serve(token: str) -> Iterator[WritableHub]:
    """Serve an empty hub; yield its state."""
    hub = WritableHub(token)
    handler = type("Handler", (_Handler,), {"hub": hub})
    with serving(handler) as hub.address:
        yield hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: WritableHub

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.hub.requests.append((self.command, path := self._path()))
        for name, repository in self.hub.repositories.items():
            prefix, api = f"{name}/resolve/", f"api/models/{name}"
            if path.startswith(prefix):
                revision, _, file = path.removeprefix(prefix).partition("/")
                return self._file(repository, revision, file)
            if path == api or path.startswith(f"{api}/revision/"):
                return self._about(name, repository, path.removeprefix(f"{api}/revision/") if path != api else "main")
            if path.startswith(f"{api}/tree/"):
                return self._json([])
        return self._refuse(401, "RepoNotFound", "Repository not found")

    do_HEAD = do_GET

    def do_POST(self):
        self.hub.requests.append((self.command, path := self._path()))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "api/validate-yaml":
            return self._validate(json.loads(body)["content"])
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._refuse(401, "", "Invalid username or password.")
        if path == "api/repos/create":
            return self._create(json.loads(body))
        for name, repository in self.hub.repositories.items():
            if path == f"{name}.git/info/lfs/objects/batch":
                return self._batch(json.loads(body))
            for action in ("preupload", "commit", "branch"):
                if path.startswith(prefix := f"api/models/{name}/{action}/"):
                    return getattr(self, f"_{action}")(name, repository, path.removeprefix(prefix), body)
        return self._refuse(404, "RepoNotFound", "Repository not found")

    def do_PUT(self):
        digest = self._path().removeprefix("upload/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if hashlib.sha256(body).hexdigest() != digest:
            return self._refuse(400, "", "wrong checksum")
        self.hub.large_files[digest] = body
        return self._json({})

    def _create(self, values: dict):
        name = f"{values['organization']}/{values['name']}"
        if name in self.hub.repositories:
            return self._json({"url": f"{self.hub.address}/{name}"}, status=409)
        self.hub.repositories[name] = Repository(private=values.get("visibility") == "private")
        return self._json({"url": f"{self.hub.address}/{name}", "id": name, "name": name})

    def _validate(self, content: str):
        self.hub.validated.append(content)
        problems = card_problems(content)
        status = 400 if problems else 200
        if self.headers.get("Accept") == "text/plain":
            return self._send(status, "\n".join(problems).encode(), {"Content-Type": "text/plain"})
        errors = [{"message": problem} for problem in problems]
        return self._json({"errors": errors, "warnings": []}, status)

    def _preupload(self, name: str, repository: Repository, branch: str, body: bytes):
        files = [file["path"] for file in json.loads(body)["files"]]
        mode = {path: "lfs" if path.endswith((".safetensors", ".gguf")) else "regular" for path in files}
        return self._json({"files": [{"path": p, "uploadMode": mode[p], "shouldIgnore": False} for p in files]})

    def _batch(self, values: dict):
        objects = []
        for wanted in values["objects"]:
            href = f"{self.hub.address}/upload/{wanted['oid']}"
            objects.append({**wanted, "actions": {"upload": {"href": href}}})
        return self._json({"transfer": "basic", "objects": objects})

    def _branch(self, name: str, repository: Repository, branch: str, body: bytes):
        if branch in repository.branches:
            return self._json({}, status=409)
        repository.branches[branch] = dict(repository.files)
        return self._json({})

    def _commit(self, name: str, repository: Repository, branch: str, body: bytes):
        if branch not in repository.branches:
            return self._refuse(404, "RevisionNotFound", "Invalid rev id")
        files = repository.branches[branch]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repository.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large_files[value["oid"]]
        commit = repository.commit(branch)
        return self._json({"commitUrl": f"{self.hub.address}/{name}/commit/{commit}", "commitOid": commit})

    def _about(self, name: str, repository: Repository, revision: str):
        files = repository.resolve(revision)
        if files is None:
            return self._refuse(404, "RevisionNotFound", "Invalid rev id")
        siblings = [{"rfilename": path} for path in files]
        return self._json(
            {"id": name, "sha": repository.commit("main"), "private": repository.private, "siblings": siblings}
        )

    def _file(self, repository: Repository, revision: str, name: str):
        files = repository.resolve(revision)
        if files is None:
            return self._refuse(404, "RevisionNotFound", "Invalid rev id")
        if name not in files:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        branch = next(b for b, content in repository.branches.items() if content is files)
        headers = {"ETag": f'"{hashlib.sha256(files[name]).hexdigest()}"', "X-Repo-Commit": repository.commit(branch)}
        return self._send(200, files[name], headers)

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path).strip("/")

    def _json(self, values, status: int = 200):
        return self._send(status, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str):
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        return self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
