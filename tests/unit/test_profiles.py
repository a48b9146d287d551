"""Profiles: settings have their reasons, and everything that they name exists."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from stagewise.errors import NETWORK_VARIABLES

ROOT = Path(__file__).resolve().parent.parent.parent
PROFILES = sorted(ROOT.glob("profiles/*/*.yaml"))
SLURM = ROOT / "profiles" / "slurm" / "config.v9+.yaml"


def rules() -> dict[str, str]:
    """The text of every rule of the workflow, by name: from its line to the next one that is not indented."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("rules/*.smk"))]
    pattern = re.compile(r"^rule (\w+):\n((?:[ \t].*\n|\n)+)", re.MULTILINE)
    matches = [match for text in texts for match in pattern.finditer(text)]
    return {match[1]: match[2] for match in matches}


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def unexplained(text: str) -> list[str]:
    """Settings without a comment above them: directly, or above a setting before them in the same mapping.

    A blank line ends what a comment explains. The lines of a mapping's key and of a folded text need none.
    """
    settings, commented = [], set()  # `commented`: indentations with a comment
    folded = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if folded is not None and indent > folded:
            continue
        folded = indent if line.endswith((": >-", "- |")) else None
        commented = {other for other in commented if other <= indent} if line.strip() else set()
        if line.lstrip().startswith("#"):
            commented.add(indent)
        elif line.strip() and not line.endswith(":") and indent not in commented:
            settings.append(line.strip())
    return settings


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_group_of_settings_has_its_reason_above_it(path):
    assert unexplained(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("# Why.\na: 1\nb: 2\n", []),
        ("# Why.\na: 1\n\nb: 2\n", ["b: 2"]),
        ("# Why.\nm:\n  a: 1\n", ["a: 1"]),
        ("m:\n  # Why.\n  a: 1\n  b: 2\nn:\n  c: 3\n", ["c: 3"]),
        ("# Why.\na: >-\n  one\n  two\nb: 1\n", []),
    ],
)
def test_a_setting_without_a_reason_is_noticed(text, settings):
    assert unexplained(text) == settings


def test_only_a_clusters_profile_sets_the_gpus_of_trainings():
    """The compute type is then that of its nodes, not of the machine that plans (rules/common.smk)."""
    asking = {
        path.parent.name for path in PROFILES if "gpu" in read(path).get("set-resources", {}).get("train_adapter", {})
    }
    assert asking == {"slurm"}


def test_what_becomes_a_job_says_its_resources_and_all_else_is_local():
    profile, texts = read(SLURM), rules()
    local = {name for name, text in texts.items() if "localrule: True" in text}
    assert {"fetch_data", "fetch_model", "make_splits", "write_recipe", "metrics", "report"} <= local
    assert set(profile["set-resources"]) == set(texts) - local
    assert set(profile["set-threads"]) <= set(profile["set-resources"])
    for name, resources in profile["set-resources"].items():
        assert {"mem_mb", "runtime"} <= set(resources), name
        # A retry that asks for the same again cures nothing.
        assert all("attempt" in resources[key] for key in ("mem_mb", "runtime")), name
    assert profile["retries"] >= 1


def test_no_profile_hides_keys_of_another():
    """Snakemake takes a top-level key from one profile alone, the site's before Slurm's and the default before both."""
    names = {path.parent.name: set(read(path)) for path in PROFILES}
    assert names["slurm"].isdisjoint(names["default"] | names["slurm-site"])
    assert names["slurm-site"].isdisjoint(names["default"])


def test_snakemake_combines_them_with_the_default_profile(monkeypatch):
    """An option that Snakemake or the executor does not know would end this with an error."""
    from snakemake.cli import parse_args

    monkeypatch.chdir(ROOT)
    _, args = parse_args(["--profile", "profiles/slurm", "--profile", "profiles/slurm-site"])
    profile, default = read(SLURM), read(ROOT / "profiles" / "default" / "config.yaml")
    assert args.executor == "slurm" and args.jobs == profile["jobs"] and args.retries == profile["retries"]
    assert args.slurm_requeue is True and args.slurm_status_command == "squeue"
    assert str(args.slurm_logdir) == profile["slurm-logdir"]
    assert sorted(map(str, args.rerun_triggers)) == sorted(default["rerun-triggers"])
    assert args.max_checksum_file_size == default["max-checksum-file-size"]
    assert "slurm_partition" in str(args.default_resources)


def in_container(**environment: str) -> dict[str, str]:
    """Variables that `profiles/apptainer.env` sets on a machine with this environment."""
    script = "set -a; . profiles/apptainer.env; env -0"
    command = ["env", "-i", "PATH=/usr/bin:/bin", *(f"{name}={value}" for name, value in environment.items())]
    before = {"PATH", "PWD", "SHLVL", "_"}
    done = subprocess.run([*command, "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = (line.partition("=") for line in done.stdout.split("\0") if line)
    return {name: value for name, _, value in lines if name not in before}


def test_a_container_gets_the_variables_that_a_step_heeds():
    assert in_container() == {"OMP_NUM_THREADS": "1"}
    heeded = {
        "STAGEWISE_DEVICE": "cpu",
        "STAGEWISE_JOBS_PER_GPU": "2",
        "SLURM_JOB_GPUS": "0",
        "SLURM_GPUS_ON_NODE": "1",
    }
    given = heeded | {name: f"{name} with a blank" for name in NETWORK_VARIABLES} | {"CUDA_VISIBLE_DEVICES": ""}
    assert in_container(**given) == {"OMP_NUM_THREADS": "1", **given}


@pytest.mark.parametrize(
    ("environment", "has_driver"),
    [({}, True), ({"STAGEWISE_DEVICE": "cpu"}, False), ({"STAGEWISE_DEVICE": "cuda"}, True)],
)
def test_a_container_gets_the_driver_where_there_is_one(environment, has_driver):
    arguments = read(ROOT / "profiles/default/config.yaml")["apptainer-args"]
    for device, expected in (("/dev/null", has_driver), ("/dev/no-such-device", False)):
        script = f"printf '%s\\n' {arguments.replace('/dev/nvidiactl', device)}"
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
        assert ("--nv" in done.stdout.split()) is expected
        assert "--cleanenv" in done.stdout


@pytest.mark.parametrize(("device", "expected"), [("auto", True), ("cpu", False)])
def test_a_container_of_a_job_with_a_gpu_gets_the_driver(device, expected):
    arguments = read(ROOT / "profiles/default/config.yaml")["apptainer-args"].replace("/dev/nvidiactl", "/dev/none")
    environment = {"CUDA_VISIBLE_DEVICES": "0,1", "STAGEWISE_DEVICE": device}
    script = f"printf '%s\\n' {arguments}"
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ("--nv" in done.stdout.split()) is expected


def test_certificates_and_tokens_are_bound_where_the_variables_say(tmp_path):
    (tmp_path / "certificates.pem").write_text("")
    (tmp_path / "link.pem").symlink_to("certificates.pem")
    arguments = read(ROOT / "profiles/default/config.yaml")["apptainer-args"]
    environment = {"SSL_CERT_FILE": str(tmp_path / "link.pem"), "PATH": "/usr/bin:/bin"}
    script = f"printf '%s\\n' {arguments}"
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[3:] == ["--bind", f"{tmp_path}/certificates.pem:{tmp_path}/link.pem"]
