"""Servers and archives that mean harm: each ends in one sentence, and nothing is kept."""

import gzip
import hashlib
import io
import json
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from scripts import fetch_data
from stagewise.data import download
from stagewise.data.download import base_name
from stagewise.errors import InputError
from tests.helpers.refusals import check_refusal

DATA = b"id,text\n1,right\n" * 50
SHA = hashlib.sha256(DATA).hexdigest()
ENDLESS = 1 << 20
"""Bytes after which the server gives up: the client has not."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path, self.headers["Authorization"]))
        page = self.path.partition("?")[0].strip("/")
        getattr(self, f"send_{page.partition('.')[0].replace('-', '_')}", self.send_right)()

    def answer(self, body=b"", status=200, **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def send_right(self):
        self.answer(DATA)

    def send_to_file(self):
        self.answer(status=302, Location="file:///etc/passwd?secret")

    def send_to_ftp(self):
        self.answer(status=302, Location="ftp://127.0.0.1/data.csv")

    def send_round(self):
        self.answer(status=302, Location="/round")

    def send_elsewhere(self):
        self.answer(status=302, Location=f"http://localhost:{self.server.server_port}/data.csv")

    def send_named(self):
        self.answer(DATA, Content_Disposition='attachment; filename="../../evil.csv"')

    def send_gzipped(self):
        self.answer(gzip.compress(DATA), Content_Encoding="gzip")

    def send_not_gzipped(self):
        self.answer(DATA, Content_Encoding="gzip")

    def send_bomb(self):
        self.answer(gzip.compress(bytes(ENDLESS)), Content_Encoding="gzip")

    def send_huge(self):
        self.answer(DATA, Content_Length=str(10**18))

    def send_endless(self):
        self.send_response(200)
        self.end_headers()
        for _ in range(ENDLESS >> 12):
            self.wfile.write(bytes(1 << 12))

    def send_truncated(self):
        self.answer(DATA, Content_Length=str(len(DATA) + 1))

    def send_reason(self):
        self.send_response(418, "\x1b[31m" + "tea" * 100)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def fetch(tmp_path, capsys, monkeypatch):
    """Fetch from an address by the workflow's way; gives exit code and standard error."""
    monkeypatch.setattr(download, "LARGEST", ENDLESS // 2)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def call(url, member=None, sha256=SHA) -> tuple[int, str]:
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps({"url": url, "sha256": sha256, "member": member}))
        code = fetch_data.main(["--settings", str(settings), "--output", str(tmp_path / "raw" / "got.csv")])
        return code, capsys.readouterr().err

    call.left = lambda: [path for path in (tmp_path / "raw").rglob("*")]
    call.folder = tmp_path
    return call


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("to-file", "redirects to file://(local)/passwd, which is not as safe"),
        ("to-ftp", "redirects to ftp://127.0.0.1/data.csv, which is not as safe"),
        ("round", "round in a circle"),
        ("not-gzipped", "not encoded as the server says"),
        ("bomb", "larger than"),
        ("huge", "larger than"),
        ("endless", "larger than"),
        ("truncated", "the connection broke off"),
        ("reason", "the server answered 418 [31mtea"),
    ],
)
def test_a_server_that_means_harm_leaves_nothing(server, fetch, page, says):
    code, err = fetch(f"{server.url}/{page}?secret")
    check_refusal(code, err.splitlines()[-1], f"{server.url}/{page}: ", says)
    assert "secret" not in err and "\x1b" not in err
    assert fetch.left() == []


@pytest.mark.parametrize("page", ["named", "gzipped", "elsewhere"])
def test_what_a_server_may_do(server, fetch, page):
    code, err = fetch(f"{server.url}/{page}")
    assert code == 0, err
    (path,) = fetch.left()
    assert (path.name, path.read_bytes()) == ("got.csv", DATA)


def test_a_password_is_sent_to_no_other_host(server, fetch):
    code, _ = fetch(f"{server.url.replace('//', '//me:secret@')}/elsewhere")
    assert code == 0
    (first, _, password), (second, _, nothing) = server.asked
    assert first.startswith("127.0.0.1") and password.startswith("Basic ")
    assert second.startswith("localhost") and nothing is None


def test_a_password_may_stand_in_the_users_netrc(server, fetch, monkeypatch):
    netrc = fetch.folder / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert fetch(f"{server.url}/data.csv")[0] == 0
    assert server.asked[0][2].startswith("Basic ")


def test_a_redirect_does_not_leave_https():
    class Session:
        def get(self, url, **options):
            return SimpleNamespace(url=url, next=SimpleNamespace(url="http://other/data.csv?token=secret"))

    with pytest.raises(InputError, match="redirects to http://other/data.csv, which is not as safe"):
        download._open(Session(), "https://host/data.csv", "https://host/data.csv")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "FILE:///etc/passwd", "http://[::1/x.csv", "http://127.0.0.1:99999/x", "nonsense://x/y"],
)
def test_an_address_that_is_none_of_the_web_is_one_sentence(fetch, url):
    code, err = fetch(url)
    check_refusal(code, err.splitlines()[-1])
    assert fetch.left() == []


def tarred(*members: tuple[str, bytes, dict]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data, changes in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in changes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def zipped(*members: tuple[str, bytes, int]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    return out.getvalue()


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}
ARCHIVES = {
    "link": (tarred(("data.csv", b"", LINK)), "data.csv", "no member 'data.csv'"),
    "hard link": (tarred(("data.csv", b"", LINK | {"type": tarfile.LNKTYPE})), "data.csv", "no member 'data.csv'"),
    "device": (tarred(("data.csv", b"", {"type": tarfile.CHRTYPE})), "data.csv", "no member 'data.csv'"),
    "pipe": (tarred(("data.csv", b"", {"type": tarfile.FIFOTYPE})), "data.csv", "no member 'data.csv'"),
    "folder": (tarred(("data.csv", b"", {"type": tarfile.DIRTYPE})), "data.csv", "no member 'data.csv'"),
    "link in a zip": (zipped(("data.csv", b"/etc/passwd", stat.S_IFLNK | 0o777)), "data.csv", "expected sha256"),
    "tar bomb": (tarred(("data.csv", bytes(ENDLESS), {})), "data.csv", "larger than"),
    "tar bomb before it": (tarred(("x", bytes(ENDLESS), {}), ("data.csv", DATA, {})), "data.csv", "larger than"),
    "zip bomb": (zipped(("data.csv", bytes(ENDLESS), 0o644)), "data.csv", "larger than"),
    "another name": (zipped(("../data.csv", DATA, 0o644)), "data.csv", "no member 'data.csv'; it holds ../data.csv"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_means_harm_leaves_nothing(fetch, server, monkeypatch, name):
    body, member, says = ARCHIVES[name]
    monkeypatch.setattr(Handler, "send_archive", lambda self: self.answer(body), raising=False)
    code, err = fetch(f"{server.url}/archive", member=member)
    check_refusal(code, err.splitlines()[-1], says)
    assert fetch.left() == []


@pytest.mark.parametrize("name", ["../../data.csv", "/data.csv", "./a/../data.csv"])
def test_a_members_name_leads_nowhere(fetch, server, monkeypatch, name):
    """Its content alone is copied, to the place that the workflow names."""
    monkeypatch.setattr(Handler, "send_archive", lambda self: self.answer(tarred((name, DATA, {}))), raising=False)
    assert fetch(f"{server.url}/archive", member=name)[0] == 0
    (path,) = fetch.left()
    assert (path.name, path.read_bytes()) == ("got.csv", DATA)
    assert sorted(p.name for p in fetch.folder.iterdir()) == ["raw", "settings.json"]


@pytest.mark.parametrize(
    ("url", "member", "name"),
    [
        ("https://host/a/data.csv?token=x#y", None, "data.csv"),
        ("https://host/a/data.csv;session=x", None, "data.csv"),
        ("https://host/a%2F..%2Fdata%00{x}.csv", None, "data__x_.csv"),
        ("https://host/%2E%2E", None, ""),
        ("https://host/data.zip", "../..", ""),
        ("https://host/data.zip", "a/" + "x" * 300 + ".csv", "x" * 116 + ".csv"),
        ("https://me:pass/word@host/data.csv", None, "data.csv"),
    ],
)
def test_the_name_of_a_raw_file_is_a_plain_one(url, member, name):
    assert base_name(url, member) == name
