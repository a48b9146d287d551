"""Raw files and the base model: here, in the mirror, reachable, or not."""

import http.server
import os
import subprocess
import sys
import threading

import pytest

from stagewise.pipeline.preflight.check import CHECKS, run_check
from stagewise.pipeline.preflight.early import AtStart
from tests.helpers import fake_hub
from tests.helpers.project_copy import ROOT


@pytest.fixture
def server():
    """Address of a server that has ``/there`` and nothing else, and is busy at ``/busy``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response({"/there": 200, "/busy": 503}.get(self.path.partition("?")[0], 404))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def problems(config, name="raw files") -> list[tuple[str, str]]:
    (each,) = [each for each in CHECKS if each.name == name]
    return [(f.verdict, f.sentence) for f in run_check(each, AtStart(config)) if f.sentence]


def with_url(experiment, url, **changes):
    files = {"items": {"path": None, "url": url, "sha256": "0" * 64}}
    return experiment.config(tasks={"colours": {"sources": {"made": {"files": files}}}}, **changes)


@pytest.mark.parametrize(
    ("path", "verdicts"), [("/there", []), ("/busy", ["warning"]), ("/missing?token=SECRET", ["failure"])]
)
def test_an_address_is_asked_before_anything_is_fetched(tiny_experiment, server, path, verdicts):
    found = problems(with_url(tiny_experiment, server + path))
    assert [verdict for verdict, _ in found] == verdicts
    if verdicts:
        assert found[0][1].startswith("config: tasks.colours.sources.made.files.items.url: ")
        assert "SECRET" not in found[0][1] and "STAGEWISE_MIRROR" in found[0][1]


def test_a_server_that_is_not_there_fails_unless_the_mirror_has_the_file(tiny_experiment, tmp_path):
    url = "http://127.0.0.1:9/items.jsonl"
    ((verdict, sentence),) = problems(with_url(tiny_experiment, url))
    assert verdict == "failure" and "could not be reached" in sentence
    mirror = tmp_path / "mirror/sub"
    mirror.mkdir(parents=True)
    (mirror / "items.jsonl").write_text("{}")
    assert problems(with_url(tiny_experiment, url, mirror=str(mirror.parent))) == []


def test_a_local_file_that_is_missing_fails(tiny_experiment):
    (tiny_experiment.folder / "colours.jsonl").unlink()
    ((verdict, sentence),) = problems(tiny_experiment.config())
    assert verdict == "failure"
    assert sentence.startswith("config: tasks.colours.sources.made.files.items.path: there is no file 'colours.jsonl'")


def test_a_model_folder_without_weights_fails(tiny_experiment, tmp_path):
    (tmp_path / "empty").mkdir()
    for path, says in (("nowhere", "models.tiny.path: there is no folder"), ("empty", "config.json is missing")):
        config = tiny_experiment.config(models={"tiny": {"path": path}})
        ((verdict, sentence),) = problems(config, "base model")
        assert verdict == "failure" and says in sentence


def test_a_hub_model_without_network_fails(tiny_experiment, monkeypatch):
    from huggingface_hub import HfApi, errors

    def offline(*args, **kwargs):
        raise errors.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(HfApi, "model_info", offline)
    config = tiny_experiment.config(models={"tiny": {"path": None, "hub": "o/n", "revision": "0" * 40}})
    ((verdict, sentence),) = problems(config, "base model")
    assert verdict == "failure" and "HF_HUB_OFFLINE is set" in sentence


@pytest.mark.parametrize(("token", "says"), [(None, "it is gated: accept its licence"), ("secret", None)])
def test_a_gated_model_is_asked_for_before_it_is_fetched(tiny_experiment, token, says):
    """Its list of files is public: only a file tells."""
    settings = tiny_experiment.folder / "settings.json"
    model = {"path": None, "hub": "o/n", "revision": "0" * 40}
    settings.write_text(tiny_experiment.config(models={"tiny": model}).model_dump_json())
    files = {"config.json": b"{}", "model.safetensors": b"x" * 1000}
    with fake_hub.serve("o/n", "0" * 40, files, gate="secret") as (address, _):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": address, "PYTHONPATH": str(ROOT), "HF_HOME": str(tiny_experiment.folder)}
        environment |= {"HF_TOKEN": token} if token else {}
        command = [sys.executable, "-m", "scripts.preflight", "--settings", str(settings)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == (2 if says else 0), done.stderr
    assert (says or "tiny, 0 MB to fetch") in done.stderr and "secret" not in done.stderr


def test_licences_that_nobody_looked_up_are_noted(tiny_experiment):
    (each,) = [each for each in CHECKS if each.name == "licences"]
    notes = [f.found for f in run_check(each, AtStart(tiny_experiment.config()))]
    assert notes[0] == "tiny: licence unknown" and "colours: licence unknown; its texts stay here" in notes
