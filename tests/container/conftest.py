"""Apptainer, an image built from Debian's and Python's packages only, and a record of every call."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.project_copy import ROOT
from tests.workflow.conftest import workspace as workspace  # a fixture: the tiny experiment

# Comes before the real program on PATH, records its call and executes the real program.
RECORDER = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]), file=log)
os.execv({real!r}, [{real!r}, *sys.argv[1:]])
"""
# A sandbox's root has no identities for a container; this adds some for one command, in a mount namespace.
LEND = """
printf 'root:100000:65536\\n' > "$1"
touch /etc/subuid /etc/subgid
mount --bind "$1" /etc/subuid
mount --bind "$1" /etc/subgid
shift
exec "$@"
"""


def run(*command, cwd=ROOT, check=True, **environment) -> subprocess.CompletedProcess:
    """Run a command; raise an error with its output if it fails."""
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=1800)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


@pytest.fixture(scope="session")
def apptainer(tmp_path_factory):
    """Apptainer, installed or in a temporary folder: first on PATH, and able to run as a sandbox's root."""
    before = {name: os.environ.get(name) for name in ("PATH", "APPTAINER_NO_PRIVS")}
    folder = None
    if not shutil.which("apptainer"):
        folder = tmp_path_factory.mktemp("apptainer")
        run(ROOT / "containers" / "install-apptainer.sh", folder)
        os.environ["PATH"] = f"{folder / 'usr' / 'bin'}:{os.environ['PATH']}"
    if os.geteuid() == 0:
        os.environ["APPTAINER_NO_PRIVS"] = "1"  # a sandbox's root may lack a privilege that Apptainer would hand on
    yield shutil.which("apptainer")
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    if folder:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def image(apptainer, tmp_path_factory):
    """Image containers/cpu.sif that `make containers` builds in a copy of the checkout, on Debian's packages."""
    folder = tmp_path_factory.mktemp("image")
    shutil.copy2(ROOT / "Makefile", folder)
    for part in ("containers", "envs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.sif", "cuda"))
    lend = []
    environment = {"APPTAINER_MKSQUASHFS_ARGS": "-comp lz4"}  # quick to pack
    if os.geteuid() == 0:
        lend = ["env", "-u", "APPTAINER_NO_PRIVS", "unshare", "--mount", "sh", "-ec", LEND, "sh", folder / "identities"]
        environment["BUILD_ARGS"] = "--fakeroot"
    python = Path(sys.executable).resolve()
    sites = run("apt-get", "indextargets", "--format", "$(SITE)").stdout.split()
    debian = next(site for site in sites if site.rstrip("/").endswith("/debian")).rstrip("/").removesuffix("/debian")
    run(
        *lend,
        *("make", "containers", "TORCH=cpu", f"PYTHON={python}"),
        *("BOOTSTRAP=debootstrap", f"DEBIAN={debian}"),
        cwd=folder,
        **environment,
    )
    shutil.rmtree(folder / "containers" / "wheels")
    yield folder / "containers" / "cpu.sif"
    shutil.rmtree(folder)


class RecordedCalls:
    """Calls of Apptainer."""

    def __init__(self, folder: Path, real: str):
        self.log = folder / "calls.jsonl"
        self.path = folder
        (folder / "apptainer").write_text(RECORDER.format(python=sys.executable, log=str(self.log), real=real))
        (folder / "apptainer").chmod(0o755)

    def calls(self) -> dict[str, list]:
        """Arguments, folder and environment of each step's last call, by the step's name."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        calls = [call for call in calls if "python -m scripts." in call[0][-1]]
        return {call[0][-1].partition("python -m scripts.")[2].split()[0]: call for call in calls}

    def steps(self) -> dict[str, list[str]]:
        """Arguments of each step's last call."""
        return {step: arguments for step, (arguments, _, _) in self.calls().items()}

    def inside(self, step: str, command: str) -> str:
        """Output of a command in the step's container, called in the same way."""
        arguments, folder, environment = self.calls()[step]
        again = ["apptainer", *arguments[:-1], command]
        return subprocess.run(again, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def recorded(apptainer, tmp_path, monkeypatch):
    """Record of the calls of one test."""
    folder = tmp_path / "recorder"
    folder.mkdir()
    record = RecordedCalls(folder, apptainer)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return record
