"""dvc.yaml follows from the configuration."""

from pathlib import Path

import pytest
import yaml

from scripts import write_dvc
from stagewise.config.load_config import load
from stagewise.config.sources_lock import record
from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError
from stagewise.lineage import lineage_tree
from stagewise.pipeline.dvc_stages import stages

ROOT = Path(__file__).resolve().parents[3]


def document(*paths) -> dict:
    return stages(load(*(ROOT / path for path in paths)), {path: read_yaml(ROOT / path) for path in paths})


def outs(document: dict) -> dict[str, dict]:
    """Settings of every output by path."""
    return {
        path: settings
        for stage in document["stages"].values()
        for out in stage["outs"] + stage.get("metrics", [])
        for path, settings in out.items()
    }


def test_the_committed_stages_are_those_of_the_default_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert write_dvc.main(["--output", str(tmp_path / "dvc.yaml")]) == 0
    assert (tmp_path / "dvc.yaml").read_text() == (ROOT / "dvc.yaml").read_text()
    assert list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) == [
        *("fetch", "splits", "stage-1", "stage-2", "predictions", "report")
    ]


def test_texts_without_a_licence_are_never_pushed():
    found = outs(document("config.yaml", "experiments/real.yaml"))
    texts = [path for path in found if path.startswith("data/raw/") or "/data/dreaddit" in path]
    assert len(texts) == 4
    assert all(found[path].get("push") is False for path in texts)
    assert found["results-real/items.html"]["push"] is False
    assert "push" not in outs(document("config.yaml"))["results/data/dreaddit"]


def test_a_gated_models_weights_stay_out_of_the_cache(tmp_path):
    overlay = tmp_path / "llama.yaml"
    overlay.write_text("model: llama-3.2-1b-instruct\n")
    found = stages(load(ROOT / "config.yaml", overlay), {"config.yaml": {}, str(overlay): read_yaml(overlay)})
    assert outs(found)["models/llama-3.2-1b-instruct"]["cache"] is False
    assert outs(document("config.yaml"))["models/smollm2-135m-instruct"].get("cache", True)


def test_every_lineage_is_in_a_stage_and_none_twice():
    found = document("config.yaml", "experiments/remedies.yaml")
    paths = [path for stage in found["stages"].values() for out in stage["outs"] for path in out]
    assert len(paths) == len(set(paths))
    adapters = [path for path in paths if path.endswith("/adapter")]
    assert len(adapters) == len(lineage_tree(load("config.yaml", "experiments/remedies.yaml"))) > 500
    assert all(f"{path.removesuffix('/adapter')}/predictions" in paths for path in adapters)
    cmd = found["stages"]["stage-2"]["cmd"]
    assert cmd.startswith("snakemake --cores all --configfile experiments/remedies.yaml -- ")
    assert {"config.yaml", "experiments/remedies.yaml"} == {k for p in found["stages"]["report"]["params"] for k in p}


def test_what_is_private_is_in_no_file_of_dvcs(tmp_path):
    """dvc.lock would copy the parameters; of a dependency it holds the checksum alone."""
    overlay, url = tmp_path / "mine.yaml", "https://me:canary@host/a.json?canary"
    source = {"files": {"items": {"url": url, "sha256": "0" * 64}, "more": {"path": "/home/canary/x.json"}}}
    tasks = {"pubmedqa": {"source": "mine", "sources": {"mine": source}}}
    values = {"model": "mine", "models": {"mine": {"path": "/home/canary/model"}}, "tasks": tasks}
    overlay.write_text(yaml.safe_dump(values))
    base = read_yaml(ROOT / "config.yaml")
    found = stages(load(ROOT / "config.yaml", overlay), {"config.yaml": base, "mine.yaml": values})
    assert "canary" not in str(found)
    for name, stage in found["stages"].items():
        assert "mine.yaml" in stage["deps"] and [*stage["params"][0]] == ["config.yaml"], name
    assert [name for name, stage in found["stages"].items() if stage.get("always_changed")] == ["splits"]
    assert "models/mine/receipt.json" in outs(found) and "models/mine" not in outs(found)


def test_results_outside_the_project_are_refused(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("results: /home/somebody/out\n")
    with pytest.raises(InputError, match="outside the project"):
        stages(load(ROOT / "config.yaml", overlay), {})


def test_what_is_written_down_about_sources_is_a_dependency(tmp_path, monkeypatch):
    """A branch that is moved on purpose makes DVC fetch again; one without a commit has no stages yet."""
    monkeypatch.chdir(tmp_path)
    overlay = {"model": "hub", "models": {"hub": {"hub": "me/model", "revision": "main"}}}
    path = str(tmp_path / "hub.yaml")
    Path(path).write_text(yaml.safe_dump(overlay))
    with pytest.raises(InputError, match="does not say which commit me/model@main is"):
        document("config.yaml", path)
    record([("models", "me/model@main", "a" * 40)])
    assert "sources.lock" in document("config.yaml", path)["stages"]["fetch"]["deps"]
    assert "sources.lock" not in document("config.yaml")["stages"]["fetch"].get("deps", [])
