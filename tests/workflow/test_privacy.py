"""Canaries through a whole run: nothing private is in what a run leaves to be shared."""

import base64
import json
import shutil
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stagewise.provenance.files import sha256_file
from tests.helpers import tiny_data
from tests.workflow.conftest import tiny_workspace

pytestmark = pytest.mark.workflow

SECRETS = {
    "user": "canaryuser",
    "password": "canarypassword",
    "query": "canarysignature",
    "fragment": "canaryfragment",
    "token": "hf_canarytoken",
    "proxy": "canaryproxypassword",
}
HOME, LOGIN = "canaryhome", "canarylogin"
PERSON = [HOME, LOGIN]
TEXT = "canarytext"
ENVIRONMENT = {
    "HF_TOKEN": SECRETS["token"],
    "HTTP_PROXY": f"http://someone:{SECRETS['proxy']}@127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "USER": LOGIN,
    "LOGNAME": LOGIN,
    "PYTHONDONTWRITEBYTECODE": "1",  # compiled modules name the folder of their source
}
TENSORBOARD = {"training": {"eval_every": 2}, "logging": {"report_to": ["tensorboard"]}}
OVERLAYS = ("--configfile", "tiny.yaml", "short.yaml", "secret.yaml")


class Handler(BaseHTTPRequestHandler):
    """Serves the files of a folder to who knows the password and the signature."""

    def do_GET(self):
        given = base64.b64decode(self.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode()
        path = self.server.folder / Path(self.path.partition("?")[0]).name
        allowed = given == f"{SECRETS['user']}:{SECRETS['password']}" and SECRETS["query"] in self.path
        if not allowed or not path.is_file():
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        self.wfile.write(path.read_bytes())

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.folder = tmp_path_factory.mktemp("served")
        Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_model, server):
    """A finished experiment whose data come from a server that asks for a password; its model is a folder at home."""
    home = tmp_path_factory.mktemp("home") / HOME
    model = home / "models" / "tiny"
    shutil.copytree(tiny_model, model)
    project = tiny_workspace(home / "project", model)
    raw = project.path / "data" / "colours.jsonl"
    rows = [json.loads(line) for line in raw.read_text(encoding="utf-8").splitlines()]
    raw.unlink()
    rows += [{"number": 900, "note": "one", "class": TEXT}, {"number": 901, "note": TEXT, "class": None}]
    rows = [row | {"note": f"{row['note']} {TEXT}"} for row in rows]
    served = server.folder / "colours.jsonl"
    tiny_data.write_jsonl(served, rows)
    project.write("secret.yaml", source(url(server, served.name), sha256_file(served)))
    project.write("short.yaml", {"arms": {"sequential": {"stages": [{"task": "colours"}]}}} | TENSORBOARD)
    project.done = project.snakemake(*OVERLAYS, **ENVIRONMENT)
    return project


def url(server, name: str) -> str:
    return "http://{user}:{password}@127.0.0.1:{port}/{name}?X-Signature={query}#{fragment}".format(
        **SECRETS, port=server.server_port, name=name
    )


def source(url: str, sha256: str) -> dict:
    files = {"items": {"path": None, "url": url, "sha256": sha256}}
    made = {"files": files, "licence": f"see {url}"}
    return {"tasks": {"colours": {"unknown_labels": "set_aside", "sources": {"made": made}}}}


def holding(folder: Path, canaries, leave_out=()) -> list[str]:
    """Files, by their path below the folder, whose name or content has one of the canaries."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(tuple(leave_out)):
            continue
        content = path.read_bytes() if path.is_file() else b""
        found += [name] if any(c in name or c.encode() in content for c in canaries) else []
    return found


# Only these are written for this machine alone: the user's own files, the settings of steps, who runs here, fetched
# models and texts.
OWN = (
    "secret.yaml",
    "tiny.yaml",
    "wrong.yaml",
    "models/tiny/location",
    "models/tiny/checksums",
    ".snakemake/stagewise-settings/",
    ".snakemake/stagewise-runs/",
)
TEXTS = ("data/raw/", "out/data/colours/", "out/items.html")


def test_a_run_leaves_nothing_private_but_in_its_own_settings(project):
    assert (project.path / "out/report.html").is_file()
    assert holding(project.path, [*SECRETS.values(), *PERSON], OWN) == []
    assert holding(project.path, [TEXT], TEXTS) == []
    names = [path.name for path in (project.path / "out").rglob("*")]
    assert any("tfevents" in name for name in names) and not any(socket.gethostname() in name for name in names)
    (log,) = (project.path / ".snakemake/log").iterdir()
    assert "Host:" not in log.read_text(encoding="utf-8")
    # The canaries are where they should be, so the search finds them.
    assert holding(project.path, [SECRETS["password"]])[-1] == "secret.yaml"
    assert len(holding(project.path / "out/data/colours", [TEXT])) == 3


def test_only_the_owner_can_read_a_whole_address(project):
    (path,) = (project.path / ".snakemake/stagewise-settings").glob("File-*.json")
    assert SECRETS["password"] in path.read_text(encoding="utf-8") and path.stat().st_mode & 0o077 == 0
    others = holding(project.path / ".snakemake/stagewise-settings", SECRETS.values())
    assert others == [path.name]


def test_a_fetch_that_fails_says_nothing_private(project, server):
    project.write("wrong.yaml", source(url(server, "gone.jsonl"), "0" * 64))
    done = project.snakemake(*OVERLAYS, "wrong.yaml", "--", "fetch", check=False, **ENVIRONMENT)
    assert done.returncode and "gone.jsonl: the server answered 403" in done.stderr
    assert not [secret for secret in SECRETS.values() if secret in done.stdout + done.stderr]
    assert holding(project.path / "logs", [*SECRETS.values(), *PERSON]) == []
    assert holding(project.path / ".snakemake/log", [*SECRETS.values(), *PERSON]) == []


def test_snakemakes_own_report_and_dvcs_files_hold_nothing_private(project, tmp_path, server):
    project.snakemake(*OVERLAYS, "--report", str(tmp_path / "report.zip"), **ENVIRONMENT)
    shutil.unpack_archive(tmp_path / "report.zip", tmp_path / "report")
    assert holding(tmp_path / "report", [*SECRETS.values(), *PERSON, TEXT]) == []

    overlays = [name for name in OVERLAYS if name.endswith(".yaml")]
    project.run("python", "-m", "scripts.write_dvc", "--overlays", *overlays)
    project.run("dvc", "config", "core.no_scm", "true")
    project.run("dvc", "commit", "--force", **ENVIRONMENT)
    lock = (project.path / "dvc.lock").read_text(encoding="utf-8")
    assert "secret.yaml" in lock and "learning_rate" in lock
    written = (project.path / "dvc.yaml").read_text(encoding="utf-8") + lock
    assert not [canary for canary in (*SECRETS.values(), *PERSON, TEXT) if canary in written]


def test_another_password_makes_nothing_stale(project, server):
    served = server.folder / "colours.jsonl"
    address = url(server, served.name).replace(SECRETS["password"], "changed").replace(SECRETS["query"], "another")
    project.write("secret.yaml", source(address, sha256_file(served)))
    assert "Nothing to be done" in project.snakemake("-n", *OVERLAYS).stdout
