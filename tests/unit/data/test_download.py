"""Fetching by checksum: mirror first, then the network; all or nothing."""

import hashlib
import io
import tarfile
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from scripts import fetch_data

DATA = b"id,text\n1,right\n" * 5000
SHA = hashlib.sha256(DATA).hexdigest()
OTHER = "0" * 64


def zipped(name="inner/data.csv", data=DATA) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/", "")
        archive.writestr(name, data)
        archive.writestr("inner/notes.txt", "notes")
    return out.getvalue()


def tarred(mode="w:gz", name="./inner/data.csv") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(DATA)
        archive.addfile(member, io.BytesIO(DATA))
    return out.getvalue()


PAGES = {
    "/data.csv": DATA,
    "/data.zip": zipped(),
    "/data.tar.gz": tarred(),
    "/data.tar": tarred("w"),
    "/cut.tar.gz": tarred()[:200],
    "/cut.zip": zipped()[:-60],
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        dropped = path == "/dropped.csv"
        if not dropped and path not in PAGES:
            self.send_error(404)
            return
        body = DATA if dropped else PAGES[path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if dropped else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.asked = []
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield httpd
        httpd.shutdown()


@pytest.fixture
def fetch(tmp_path, capsys):
    """Call the step with an output file in an empty folder; gives exit code and the last line of stderr."""

    def call(url, sha256=SHA, **options):
        argv = ["--url", url, "--sha256", sha256, "--output", str(tmp_path / "raw" / "got.csv")]
        for key, value in options.items():
            argv += [f"--{key}", str(value)]
        code = fetch_data.main(argv)
        return code, capsys.readouterr().err.strip().splitlines()[-1]

    call.folder = tmp_path / "raw"
    return call


def left(fetch) -> list[str]:
    return [path.name for path in fetch.folder.rglob("*")] if fetch.folder.exists() else []


def test_right_file_is_fetched_once(server, fetch):
    url = f"{server.url}/data.csv"
    assert fetch(url)[0] == 0
    target = fetch.folder / "got.csv"
    assert target.read_bytes() == DATA
    assert left(fetch) == ["got.csv"]
    before = target.stat().st_mtime_ns
    code, said = fetch(url)
    assert (code, server.asked) == (0, ["/data.csv"])
    assert "there already" in said
    assert target.stat().st_mtime_ns == before
    target.write_bytes(b"damaged")
    assert fetch(url)[0] == 0
    assert target.read_bytes() == DATA


def test_the_file_is_as_readable_as_any_other(server, fetch):
    fetch(f"{server.url}/data.csv")
    (fetch.folder / "plain").touch()
    assert (fetch.folder / "got.csv").stat().st_mode == (fetch.folder / "plain").stat().st_mode


@pytest.mark.parametrize("archive", ["data.zip", "data.tar.gz", "data.tar"])
def test_member_of_an_archive(server, fetch, archive):
    assert fetch(f"{server.url}/{archive}", member="inner/data.csv")[0] == 0
    assert (fetch.folder / "got.csv").read_bytes() == DATA
    assert left(fetch) == ["got.csv"]


@pytest.mark.parametrize(
    ("page", "options", "sentence"),
    [
        ("data.csv", {"sha256": OTHER}, f"expected sha256 {OTHER} but found {SHA}"),
        ("gone.csv", {}, "the server answered 404"),
        ("dropped.csv", {}, "the connection broke off; try again"),
        ("data.zip", {"member": "inner/data.csv", "sha256": OTHER}, f"expected sha256 {OTHER} but found {SHA}"),
        ("data.zip", {"member": "data.csv"}, "no member 'data.csv'; it holds inner/data.csv"),
        ("data.zip", {"member": "x.csv"}, "no member 'x.csv'; it holds inner/data.csv, inner/notes.txt"),
        ("data.zip", {"member": "inner"}, "no member 'inner'"),
        ("data.csv", {"member": "inner/data.csv"}, "neither a zip nor a tar archive"),
        ("cut.tar.gz", {"member": "inner/data.csv"}, "the archive cannot be read"),
        ("cut.zip", {"member": "inner/data.csv"}, "neither a zip nor a tar archive"),
        ("data.csv", {"sha256": "abc"}, "'abc' is not a SHA-256"),
    ],
)
def test_what_is_refused_leaves_nothing(server, fetch, page, options, sentence):
    code, said = fetch(f"{server.url}/{page}", **options)
    assert code == 2
    assert said.startswith("error: ")
    assert sentence in said
    assert left(fetch) == []


def test_no_server(server, fetch):
    server.server_close()
    code, said = fetch(f"{server.url}/data.csv")
    assert code == 2
    assert "could not be reached; try again, or put the file into a folder" in said
    assert "STAGEWISE_MIRROR" in said
    assert left(fetch) == []


@pytest.mark.parametrize("url", ["gopher://127.0.0.1/data.csv", "data.csv", "http:///data.csv"])
def test_bad_address(fetch, url):
    code, said = fetch(url)
    assert (code, said.startswith("error: "), left(fetch)) == (2, True, [])


def test_a_secret_in_the_address_is_not_shown(server, fetch):
    _, said = fetch(f"{server.url.replace('//', '//me:secret@')}/gone.csv?token=secret")
    assert "secret" not in said
    assert "/gone.csv" in said


class TestMirror:
    @pytest.fixture
    def mirror(self, tmp_path):
        folder = tmp_path / "mirror" / "deep" / "er"
        folder.mkdir(parents=True)
        return folder

    @pytest.mark.parametrize("name", ["flag", "environment"])
    def test_is_searched_before_any_download(self, server, fetch, mirror, monkeypatch, name):
        (mirror / "data.csv").write_bytes(DATA)
        top = mirror.parent.parent
        if name == "environment":
            monkeypatch.setenv("STAGEWISE_MIRROR", str(top))
        code, _ = fetch(f"{server.url}/data.csv", **({"mirror": top} if name == "flag" else {}))
        assert (code, server.asked) == (0, [])
        assert (fetch.folder / "got.csv").read_bytes() == DATA
        assert (mirror / "data.csv").read_bytes() == DATA

    def test_the_right_one_of_two_counts(self, server, fetch, mirror):
        (mirror.parent / "data.csv").write_bytes(b"another file of that name")
        (mirror / "data.csv").write_bytes(DATA)
        assert fetch(f"{server.url}/data.csv", mirror=mirror.parent)[0] == 0
        assert server.asked == []

    def test_a_wrong_checksum_is_refused(self, server, fetch, mirror):
        (mirror / "data.csv").write_bytes(b"damaged")
        code, said = fetch(f"{server.url}/data.csv", mirror=mirror)
        assert (code, left(fetch), server.asked) == (2, [], [])
        assert (
            f"{mirror / 'data.csv'}: expected sha256 {SHA} but found {hashlib.sha256(b'damaged').hexdigest()}" in said
        )

    def test_what_it_lacks_is_downloaded(self, server, fetch, mirror):
        (mirror / "other.csv").write_bytes(DATA)
        assert fetch(f"{server.url}/data.csv", mirror=mirror)[0] == 0
        assert server.asked == ["/data.csv"]

    def test_may_hold_the_member_or_the_archive(self, server, fetch, mirror):
        (mirror / "data.zip").write_bytes(zipped())
        assert fetch(f"{server.url}/data.zip", mirror=mirror, member="inner/data.csv")[0] == 0
        (fetch.folder / "got.csv").unlink()
        (mirror / "data.zip").unlink()
        (mirror / "data.csv").write_bytes(DATA)
        assert fetch(f"{server.url}/data.zip", mirror=mirror, member="inner/data.csv")[0] == 0
        assert server.asked == []
        assert left(fetch) == ["got.csv"]

    def test_an_archive_with_another_member_is_refused(self, server, fetch, mirror):
        (mirror / "data.zip").write_bytes(zipped(data=b"other"))
        code, said = fetch(f"{server.url}/data.zip", mirror=mirror, member="inner/data.csv")
        assert (code, left(fetch), server.asked) == (2, [], [])
        assert "data.zip: inner/data.csv: expected sha256" in said

    def test_must_be_a_folder(self, server, fetch, tmp_path):
        code, said = fetch(f"{server.url}/data.csv", mirror=tmp_path / "nowhere")
        assert (code, left(fetch)) == (2, [])
        assert "nowhere: the mirror is not a folder" in said

    def test_an_empty_name_means_none(self, server, fetch):
        assert fetch(f"{server.url}/data.csv", mirror="")[0] == 0


def test_output_may_not_be_a_folder(server, fetch):
    (fetch.folder / "got.csv").mkdir(parents=True)
    code, said = fetch(f"{server.url}/data.csv")
    assert code == 2
    assert "this is a folder" in said
