"""Mutation testing: change the code of one module at a time in small ways, and count the changes no test of it notices.

make mutation-test     (python -m benchmarks.mutation --sample 25 --seed 10 --modules metrics.transfer data.splits)

mutmut changes a copy of the working tree; of each module a seeded sample of its mutants is tried, by the tests that
belong to the module alone. mutmut tries a mutant with the tests that it saw reach the function, and does not see what a
test gets from a fixture that it shares: a mutant that survives is therefore applied and all of the module's tests run.
mutmut leaves out functions with decorators.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Module below the package, and the tests that belong to it beside those of the same name.
MODULES = {
    "measures": ["tests/unit/metrics/test_properties.py", "tests/unit/metrics/test_scores.py"],
    "metrics.bootstrap": ["tests/unit/metrics/test_properties.py"],
    "metrics.calibration": [],
    "metrics.crossed": [],
    "metrics.decision_rules": ["tests/unit/metrics/test_properties.py"],
    "metrics.discrimination": ["tests/unit/metrics/test_properties.py"],
    "metrics.forgetting": [],
    "metrics.prediction_table": ["tests/unit/metrics/test_read_results.py"],
    "metrics.prior_shift": [],
    "metrics.scores": ["tests/unit/metrics/test_properties.py"],
    "metrics.significance": ["tests/unit/metrics/test_properties.py", "tests/unit/metrics/test_design.py"],
    "metrics.transfer": ["tests/unit/metrics/test_properties.py"],
    "data.splits": ["tests/unit/data/test_properties.py", "tests/unit/data/test_prepare.py"],
    "data.formats": ["tests/unit/data/test_properties.py", "tests/unit/data/test_readers.py"],
    "data.readers": ["tests/unit/data/test_properties.py", "tests/unit/data/test_unusable_data.py"],
    "inference.generation": ["tests/unit/inference/test_properties.py"],
    "provenance.code": [],
    "provenance.fingerprints": [
        "tests/unit/provenance/test_properties.py",
        "tests/unit/provenance/test_sealed_json.py",
    ],
    "provenance.receipts": ["tests/unit/provenance/test_properties.py"],
    "provenance.sealed_json": ["tests/unit/provenance/test_properties.py"],
    "pipeline.freshness": [],
    "pipeline.inputs": ["tests/unit/pipeline/test_freshness.py"],
}
PYTEST = ["-x", "-p", "no:xdist", "-p", "no:cacheprovider"]
SURVIVED, NO_TESTS = (0,), (5, 33)
"""Exit codes of mutmut for a mutant that every test passes with, and for one that no test reaches."""


def main(argv=None) -> int:
    """Try the mutants, and write those that survived with their changes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=list(MODULES), metavar="MODULE")
    parser.add_argument("--sample", type=int, default=20, help="most mutants of a module (default 20)")
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("mutation.txt"), help="file for the survivors' changes")
    args = parser.parse_args(argv)
    totals = {"tried": 0, "killed": 0, "survived": 0}
    print("| module | mutants | tried | killed | survived |\n|---|---|---|---|---|", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="mutation-") as scratch,
        open(args.output, "w", encoding="utf-8") as survivors,
    ):
        copy = Path(scratch) / "project"
        _copy_project(copy)
        for module in args.modules:
            every, codes = _try_module(copy, module, args.sample, args.seed)
            unnoticed = [name for name, code in codes.items() if code in (*SURVIVED, *NO_TESTS)]
            alive = [name for name in unnoticed if _survives(copy, module, name)]
            counts = {"tried": len(codes), "killed": len(codes) - len(alive), "survived": len(alive)}
            totals = {key: totals[key] + counts[key] for key in totals}
            print(f"| {module} | {every} | {' | '.join(map(str, counts.values()))} |", flush=True)
            survivors.writelines(f"{_mutmut(copy, 'show', name)[1]}\n" for name in alive)
            survivors.flush()
    print(f"| all | | {' | '.join(map(str, totals.values()))} |")
    return 0


def _copy_project(copy: Path) -> None:
    """Copy the working tree: tracked files, and new ones that are not ignored."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)


def _try_module(copy: Path, module: str, sample: int, seed: int) -> tuple[int, dict[str, int]]:
    """Number of a module's mutants, and the exit code of each that was tried, by name."""
    _configure(copy, module)
    shutil.rmtree(copy / "mutants", ignore_errors=True)
    _mutmut(copy, "run", "--max-children", "1", "none of them")  # writes the mutants, and what each test reaches
    names = sorted(_exit_codes(copy, module))
    chosen = random.Random(f"{seed} {module}").sample(names, min(sample, len(names)))
    status, output = _mutmut(copy, "run", "--max-children", "1", *chosen)
    codes = {name: _exit_codes(copy, module)[name] for name in chosen} if names else {}
    if not names or None in codes.values():
        raise SystemExit(f"error: mutmut did not try the mutants of {module} (exit status {status}):\n{output[-2000:]}")
    return len(names), codes


def _survives(copy: Path, module: str, name: str) -> bool:
    """Tell if all tests of a module pass with a mutant in place of its code."""
    path = copy / "stagewise" / f"{module.replace('.', '/')}.py"
    original = path.read_bytes()
    try:
        _mutmut(copy, "apply", name)
        assert path.read_bytes() != original, f"mutmut did not apply {name}"
        command = [sys.executable, "-m", "pytest", "-q", *PYTEST, *_tests(copy, module)]
        return subprocess.run(command, cwd=copy, env=_environment(), capture_output=True, timeout=1800).returncode == 0
    finally:
        path.write_bytes(original)


def _tests(copy: Path, module: str) -> list[str]:
    package, _, name = module.rpartition(".")
    mirrored = Path("tests/unit", *package.split("."), f"test_{name}.py").as_posix()
    return [path for path in dict.fromkeys([mirrored, *MODULES[module]]) if (copy / path).is_file()]


def _configure(copy: Path, module: str) -> None:
    settings = {
        "source_paths": ["stagewise/"],
        "only_mutate": [f"stagewise/{module.replace('.', '/')}.py"],
        "also_copy": sorted(p.name for p in copy.iterdir() if p.name not in ("stagewise", "tests", "mutants")),
        "pytest_add_cli_args": PYTEST,
        "pytest_add_cli_args_test_selection": _tests(copy, module),
    }
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (copy / "pyproject.toml").write_text("\n".join([text, "[tool.mutmut]", *lines, ""]), encoding="utf-8")


def _mutmut(copy: Path, *arguments: str) -> tuple[int, str]:
    """Run mutmut; its exit status and its output."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=copy, env=_environment(), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "mutation"}


def _exit_codes(copy: Path, module: str) -> dict[str, int | None]:
    """Exit code of each mutant by name, None if it was not tried."""
    path = copy / "mutants" / "stagewise" / f"{module.replace('.', '/')}.py.meta"
    return json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"] if path.is_file() else {}


if __name__ == "__main__":
    sys.exit(main())
