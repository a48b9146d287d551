"""Steps that ask a hub on this machine, in one process of their own: the hub's library reads its address at import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_RUN = """
import contextlib, importlib, io, json, sys
for module, arguments in json.load(sys.stdin):
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            code = importlib.import_module(module).main(arguments)
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), errors.getvalue()]), flush=True)
"""


class Outcome(NamedTuple):
    """End of a step."""

    code: int
    output: str
    error: str


def run_steps(folder: Path, address: str, steps: list[tuple[str, list[str]]], **environment: str) -> list[Outcome]:
    """Run steps, (module, arguments) each, one after another in `folder`, with the hub at `address`."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "STAGEWISE_"))}
    env |= {"HF_ENDPOINT": address, "HF_HOME": str(folder / "home"), "HF_HUB_ETAG_TIMEOUT": "2"}
    env |= {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-c", _RUN]
    done = subprocess.run(
        command, cwd=folder, env=env, input=json.dumps(steps), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [Outcome(*json.loads(line)) for line in done.stdout.splitlines()]
