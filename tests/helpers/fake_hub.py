"""A small hub on 127.0.0.1 that answers the requests for fetching a repository, and refuses like the real one."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@contextmanager
def serve(repository: str, revision: str, files: dict[str, bytes], gate: str | None = None, claim: dict | None = None):
    """Serve a repository at a commit; yield the address and the list of requests (method, path, authorization).

    Parameters
    ----------
    files
        Contents by name; a ``.safetensors`` file is a large file with a SHA-256, as on the real hub.
    gate
        Token that may read files; None admits anyone.
    claim
        SHA-256 to announce for a file in place of the right one.
    """
    requests: list[tuple[str, str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def refuse(self, status: int, code: str, message: str):
            body = json.dumps({"error": message}).encode()
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", message)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def answer(self, body: bytes, **headers):
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self):
            path = unquote(urlsplit(self.path).path).strip("/")
            token = self.headers.get("Authorization")
            requests.append((self.command, path, token))
            for what, body in (("revision", about), ("tree", tree)):
                if path.startswith(f"api/models/{repository}/{what}/"):
                    if not path.endswith(revision):
                        return self.refuse(404, "RevisionNotFound", "Invalid rev id")
                    return self.answer(json.dumps(body()).encode(), Content_Type="application/json")
            prefix = f"{repository}/resolve/{revision}/"
            if not path.startswith(prefix):
                # The real hub answers the same for an unknown and a private repository.
                return self.refuse(401, "RepoNotFound", "Repository not found")
            if gate and token != f"Bearer {gate}":
                status = 403 if token else 401
                return self.refuse(status, "GatedRepo", "Access to this model is restricted")
            name = path.removeprefix(prefix)
            if name not in files:
                return self.refuse(404, "EntryNotFound", "Entry not found")
            digest = sha256(name)
            return self.answer(files[name], ETag=f'"{digest}"', X_Repo_Commit=revision, Accept_Ranges="bytes")

        do_HEAD = do_GET

    def sha256(name: str) -> str:
        return (claim or {}).get(name) or hashlib.sha256(files[name]).hexdigest()

    def tree() -> list[dict]:
        entries: list[dict] = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "original"}]
        for name, body in files.items():
            if "/" in name:
                continue
            entry = {"type": "file", "oid": hashlib.sha1(body).hexdigest(), "size": len(body), "path": name}
            if name.endswith(".safetensors"):
                entry["lfs"] = {"oid": sha256(name), "size": len(body), "pointerSize": 130}
            entries.append(entry)
        return entries

    def about() -> dict:
        siblings = []
        for name, body in files.items():
            sibling = {"rfilename": name, "size": len(body), "blobId": hashlib.sha1(body).hexdigest()}
            if name.endswith(".safetensors"):
                sibling["lfs"] = {"sha256": sha256(name), "size": len(body), "pointerSize": 130}
            siblings.append(sibling)
        return {"id": repository, "sha": revision, "siblings": siblings}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
