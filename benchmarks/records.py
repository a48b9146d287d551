"""Records of benchmarks: figures with the machine, the versions, the commit and the day that they belong to.

``benchmarks/records/{machine}/{part}.json`` holds the newest record of a part on a machine; tables in documents are
drawn from these files alone (`benchmarks.tables`).
"""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import ROOT
from stagewise.errors import InputError
from stagewise.provenance.files import read_json, write_json
from stagewise.provenance.packages import package_versions

RECORDS = ROOT / "benchmarks" / "records"

# CPU flags that decide the speed of matrix products.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimddp", "bf16")


def describe_machine() -> dict:
    """Describe this machine: CPU, the flags that matter, cores, memory in GB (10⁹ bytes) and GPU."""
    model, flags = _cpu()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9),
        "gpu": _gpu(),
    }


def machine_name(machine: dict) -> str:
    """Name a machine's folder of records: ``amd-epyc-avx512-bf16-2-cores``."""
    flags = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f") if flag in machine["flags"]][:1]
    words = [machine["gpu"]["name"] if machine["gpu"] else machine["cpu"], *flags, f"{machine['cores']} cores"]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def write_record(part: str, settings: dict, figures: dict, records: Path = RECORDS) -> Path:
    """Write the record of a part and return its file.

    Parameters
    ----------
    settings
        What was measured: counts, threads, types.
    figures
        Runs and what follows from them.
    """
    machine = describe_machine()
    path = records / machine_name(machine) / f"{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    commit, changed = _commit()
    record = {
        "part": part,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit,
        "uncommitted_changes": changed,
        "machine": machine,
        "packages": package_versions(),
        "settings": settings,
        **figures,
    }
    write_json(path, record)
    return path


def read_records(records: Path = RECORDS) -> dict[str, dict[str, dict]]:
    """Read the records of every machine, by part, ordered by machine.

    Raises
    ------
    InputError
        If a file is no record of the part that it is named after.
    """
    parts: dict[str, dict[str, dict]] = {}
    for path in sorted(records.glob("*/*.json")):
        record = read_json(path, "the benchmark's record")
        if record.get("part") != path.stem:
            raise InputError(f"{path}: this is no record of '{path.stem}'; run python -m benchmarks.run {path.stem}")
        parts.setdefault(path.stem, {})[path.parent.name] = record
    return parts


def _cpu() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine(), set()
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
    return model[1] if model else platform.machine(), set(flags[1].split()) if flags else set()


def _gpu() -> dict | None:
    """Name, driver and memory in MiB of the first GPU; None if there is none."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode or not done.stdout.strip():
        return None
    name, driver, memory = done.stdout.splitlines()[0].split(", ")
    return {"name": name, "driver": driver, "memory_mib": int(memory)}


def _commit() -> tuple[str, bool]:
    """Commit of the checkout, and if its code differs from it; records and pages may."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    changed = ["git", "status", "--porcelain", "--", ".", ":!benchmarks/records", ":!docs", ":!*.md"]
    done = subprocess.run(changed, cwd=ROOT, capture_output=True, text=True)
    return commit, bool(done.stdout.strip())
