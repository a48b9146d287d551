"""The image holds the packages of its lock, and its own test checks that."""

import json
import re
import sys
import time

from stagewise.provenance.files import sha256_file
from tests.container.conftest import run
from tests.helpers.project_copy import ROOT

LOCK = ROOT / "envs" / "run-cpu.txt"


def test_the_definitions_are_the_same_but_for_the_lock():
    """So that the CPU image, which is built here, tests the steps of the CUDA images, which are 3 GB of downloads."""
    cpu, *others = (
        (ROOT / "containers" / f"{name}.def").read_text().splitlines()[1:] for name in ("cpu", "cuda", "cuda12")
    )
    differing = [[(a.strip(), b.strip()) for a, b in zip(cpu, other, strict=True) if a != b] for other in others]
    assert differing == [[("TORCH=cpu", "TORCH=cuda")], [("TORCH=cpu", "TORCH=cuda12")]]


def test_the_same_content_gives_the_same_bytes(apptainer, tmp_path):
    """An image's checksum depends on its content, not on the time of the build."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "content").write_text("the same")
    labels = re.search(r"%labels\n.*?\n\n", (ROOT / "containers" / "cpu.def").read_text(), re.DOTALL)[0]
    (tmp_path / "image.def").write_text(f"Bootstrap: localimage\nFrom: {tmp_path / 'root'}\n\n{labels}")
    built = []
    for name in ("first.sif", "second.sif"):
        run(apptainer, "build", "--force", tmp_path / name, tmp_path / "image.def", SOURCE_DATE_EPOCH="1753056000")
        time.sleep(1.1)  # dates in an image are whole seconds
        built.append(sha256_file(tmp_path / name))
    assert built[0] != built[1]
    for name in ("first.sif", "second.sif"):
        run(sys.executable, ROOT / "containers" / "same_bytes.py", tmp_path / name, SOURCE_DATE_EPOCH="1753056000")
    assert sha256_file(tmp_path / "first.sif") == sha256_file(tmp_path / "second.sif")
    assert "2025-07-21 00:00:00" in run(apptainer, "sif", "header", tmp_path / "first.sif").stdout  # still an image


def test_the_image_passes_its_test_and_names_its_lock(apptainer, image):
    output = run(apptainer, "test", "--cleanenv", image).stdout
    print(f"\n{image.name}, {image.stat().st_size / 1e6:.0f} MB: {output}")
    pinned = len(re.findall(r"^[\w.-]+==", LOCK.read_text(), re.MULTILINE))
    assert f"{pinned} packages as locked, and no other" in output and "cpu: an NF4 layer is" in output
    labels = json.loads(run(apptainer, "inspect", "--json", "--labels", image).stdout)["data"]["attributes"]["labels"]
    print({key: value for key, value in labels.items() if key.startswith("stagewise")})
    assert labels["stagewise.lock.sha256"] == sha256_file(LOCK)


def test_an_image_that_is_not_its_lock_fails_its_test(apptainer, image, tmp_path):
    """Another version in the lock is noticed, and so is a missing package."""
    check = (apptainer, "exec", "--cleanenv", "--bind", tmp_path, image)
    check += ("/opt/stagewise/venv/bin/python", "-I", "/opt/stagewise/check.py", tmp_path / "lock.txt")
    lines = LOCK.read_text()
    (tmp_path / "lock.txt").write_text(lines.replace("torch==2.", "torch==1."))
    other = run(*check, check=False)
    assert other.returncode == 1 and re.search(r"error: .*torch 2\.\S+ instead of 1\.", other.stderr)
    (tmp_path / "lock.txt").write_text(re.sub(r"^peft==.*\n(    .*\n)+", "", lines, flags=re.MULTILINE))
    extra = run(*check, check=False)
    assert extra.returncode == 1 and "peft is not locked" in extra.stderr
