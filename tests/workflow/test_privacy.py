"""Canaries through a whole run: nothing private is in what a run leaves to be shared."""

import base64
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stagewise.provenance.files import sha256_file
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
PERSON = {"home": "canaryhome", "login": "canarylogin"}
TEXT = "canarytext"
ENVIRONMENT = {
    "HF_TOKEN": SECRETS["token"],
    "HTTP_PROXY": f"http://someone:{SECRETS['proxy']}@127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "USER": PERSON["login"],
    "LOGNAME": PERSON["login"],
    "HOSTNAME": "canaryhost",
}


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
def finished(tmp_path_factory, tiny_model, server):
    home = tmp_path_factory.mktemp("home") / PERSON["home"]
    model = home / "models" / "tiny"
    shutil.copytree(tiny_model, model)
    project = tiny_workspace(home / "project", model)
    overlay = {"tasks": {}, "training": {"eval_every": 2}, "logging": {"report_to": ["tensorboard"]}}
    for task, name in (("colours", "colours.jsonl"), ("warmth", "warmth.jsonl")):
        path = project.path / "data" / name
        text = path.read_text(encoding="utf-8").replace('"note": "', f'"note": "{TEXT} ')
        path.unlink()
        (server.folder / name).write_text(text, encoding="utf-8")
        url = "http://{user}:{password}@127.0.0.1:{port}/{name}?X-Signature={query}#{fragment}".format(
            **SECRETS, port=server.server_port, name=name
        )
        file = {"path": None, "url": url, "sha256": sha256_file(server.folder / name)}
        overlay["tasks"][task] = {"sources": {"made": {"files": {"items": file}}}}
    project.write("secret.yaml", overlay)
    done = project.snakemake("--configfile", "tiny.yaml", "secret.yaml", **ENVIRONMENT)
    return project, done


def test_x(finished):
    project, done = finished
    shutil.rmtree("/tmp/w/t10/scratch_priv/run", ignore_errors=True)
    shutil.copytree(project.path, "/tmp/w/t10/scratch_priv/run")
    Path("/tmp/w/t10/scratch_priv/out.txt").write_text(done.stdout + done.stderr)
