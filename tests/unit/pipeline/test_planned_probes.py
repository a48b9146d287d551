"""Edits that concern probes, each with the exact set of outputs that it makes stale and the reason that is given."""

import shutil
from pathlib import Path

import pytest

from benchmarks.stub_experiment import write_stubs
from stagewise.config.load_config import check
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.pipeline import planned_probes
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.dvc_stages import stages
from stagewise.pipeline.experiment import Experiment
from stagewise.pipeline.freshness import settle
from stagewise.probes import PROBE_BEHAVIOUR, harness_package
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.code import ProjectCode
from tests.helpers.harness_tasks import write_harness_tasks
from tests.helpers.probe_step import TEXT
from tests.helpers.project_copy import ProjectCopy

PROBES = {f"{lineage}/probes" for lineage in ("base", "base/seed-0/pubmedqa")}
METRICS = {"report_metrics.json"}
STUDY = {
    "model": "mine",
    "models": {"mine": {"path": "my-model"}},
    "dtype": "float32",
    "arms": {"sequential": {"stages": [{"task": "pubmedqa"}]}, "rehearsal": None},
    "probes": {
        "texts": {"prose": {"path": "prose.txt", "segment_tokens": 32}},
        "harness": {"tasks": ["animals"], "include": "mine"},
    },
}


def study(changes: dict | None = None):
    return check(merge(merge(read_yaml("config.yaml"), STUDY), changes or {}), ["config.yaml"])


def version(monkeypatch, number: str | None) -> None:
    monkeypatch.setattr(planned_probes, "harness_version", lambda: number)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished experiment of stubs with a text and a harness task."""
    path = ProjectCopy(tmp_path_factory.mktemp("finished") / "project").path
    (path / "my-model").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (path / "my-model" / name).write_text('{"model_type": "llama"}\n')
    (path / "prose.txt").write_text(TEXT, encoding="utf-8")
    write_harness_tasks(path / "mine")
    code = ProjectCode(root=Path())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        version(patch, "0.4.13")
        write_stubs(study(), code)
        code.save()
    return path.rename(path.with_name("kept"))


@pytest.fixture
def copy(finished, monkeypatch) -> Path:
    path = finished.with_name("project")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(finished, path)
    monkeypatch.chdir(path)
    version(monkeypatch, "0.4.13")
    return path


def stale(changes: dict | None = None) -> dict[str, list[str]]:
    """Reasons by output that is stale by its own content."""
    checksums = ChecksumMemory()
    experiment = Experiment(study(changes), checksum=checksums, code=ProjectCode(checksums, root=Path()))
    verdicts = settle(declared_artifacts(experiment), checksums.set_time)
    return {verdict.artifact.label: list(verdict.reasons) for verdict in verdicts if verdict.reasons}


SETTINGS = {
    "segments": (
        {"texts": {"prose": {"segment_tokens": 64}}},
        PROBES | METRICS,
        "texts.prose.segment_tokens 32 -> 64",
    ),
    "another text": ({"texts": {"more": "prose.txt"}}, PROBES | METRICS, "missing: more.csv"),
    "limit": ({"harness": {"limit": 4}}, PROBES | METRICS, "harness.limit null -> 4"),
    "examples": ({"harness": {"num_fewshot": 2}}, PROBES | METRICS, "harness.num_fewshot null -> 2"),
    "chat template": (
        {"harness": {"apply_chat_template": True}},
        PROBES | METRICS,
        "harness.apply_chat_template false -> true",
    ),
}


@pytest.mark.parametrize(("changes", "expected", "words"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting(copy, changes, expected, words):
    reasons = stale({"probes": changes})
    assert set(reasons) == expected
    assert all(any(words in phrase for phrase in reasons[label]) for label in expected - METRICS), reasons
    assert stale() == {}


def test_a_prompt_setting_counts_for_harness_tasks_in_the_chat_template_alone(copy):
    assert not PROBES & set(stale({"prompting": {"system": "Be brief."}}))


FILES = {
    "text": ("prose.txt", "texts/prose changed"),
    "task definition": ("mine/animals.yaml", "harness/animals.yaml changed"),
    "task data": ("mine/animals.jsonl", "harness/animals.jsonl changed"),
    "task code": ("mine/utils.py", "harness/utils.py changed"),
}


@pytest.mark.parametrize(("name", "words"), FILES.values(), ids=FILES)
def test_a_file(copy, name, words):
    (copy / name).write_text((copy / name).read_text() + "\n")
    assert stale() == dict.fromkeys(PROBES, [words])


def test_versions(copy, monkeypatch):
    version(monkeypatch, "0.5.0")
    assert stale() == dict.fromkeys(PROBES, ['behaviour of lm_eval "0.4.13" -> "0.5.0"'])
    version(monkeypatch, None)  # who plans without the harness keeps what was scored with it
    assert stale() == {}
    monkeypatch.setitem(PROBE_BEHAVIOUR, "text", 99)
    assert stale() == dict.fromkeys(PROBES, ["behaviour of text probes 1 -> 99"])


def test_an_adapter_of_other_weights(copy):
    receipt = copy / "results/base/seed-0/pubmedqa/adapter/receipt.json"
    receipt.write_text(receipt.read_text().replace('"adapter_model.safetensors": "', '"adapter_model.safetensors": "0'))
    assert "adapter changed" in stale()["base/seed-0/pubmedqa/probes"]


def test_a_text_with_an_address_is_fetched_and_not_passed_on(copy):
    """Its folder is that of a task's raw files."""
    text = {"path": None, "url": "https://example.org/texts/prose.txt", "sha256": "0" * 64}
    artifacts = list(declared_artifacts(Experiment(study({"probes": {"texts": {"prose": text}}}))))
    (fetched,) = (artifact for artifact in artifacts if artifact.rule == "fetch_data")
    path = Path("data/raw/prose/text/prose.txt")
    assert fetched.outputs == (path,) and not fetched.tracked[0].push
    assert all(path in artifact.inputs for artifact in artifacts if artifact.rule == "probe")


def test_dvc_has_a_stage_of_probes(copy):
    config = study()
    document = stages(config, {"config.yaml": {"probes": {}, "tasks": {}}})["stages"]
    assert list(document) == ["fetch", "splits", "stage-1", "predictions", "probes", "report"]
    stage = document["probes"]
    assert stage["cmd"].endswith(" probes") and "prose.txt" in stage["deps"] and "mine/animals.yaml" in stage["deps"]
    assert {"results/base/probes": {"persist": True}} in stage["outs"]
    assert "results/base/probes" in document["report"]["deps"]


def test_the_installed_version_is_read_without_an_import(monkeypatch):
    harness_package.harness_version.cache_clear()

    def missing(name):
        raise harness_package.PackageNotFoundError(name)

    monkeypatch.setattr(harness_package, "version", missing)
    assert harness_package.harness_version() is None
    harness_package.harness_version.cache_clear()
