"""Content decides: nothing runs twice, and no stale result is taken for a current one."""

import os
import random
import shutil

from tests.dvc.conftest import FIRST, SECOND


def test_a_second_repro_runs_nothing_and_snakemake_agrees(built):
    again = built.dvc("repro")
    assert "up to date" in again.stdout and "snakemake" not in again.stdout
    assert built.planned() == {}


def test_after_snakemake_dvc_runs_no_step(built, tmp_path):
    project = built.clone(tmp_path / "clone")
    # As after `snakemake --cores all`: there are results, but DVC has no record of them.
    for name in ("out", "models"):
        shutil.copytree(built.path / name, project.path / name)
    (project.path / "dvc.lock").unlink()
    repro = project.dvc("repro")
    assert (repro.stdout + repro.stderr).count("Nothing to be done") == 6, repro.stdout
    assert not (project.path / "logs").exists()
    assert project.results() == built.results()
    assert "up to date" in project.dvc("repro").stdout


def test_file_times_say_nothing(copy):
    draw = random.Random(0)
    for path in copy.path.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            time = 1.6e9 + draw.random() * 1e8
            os.utime(path, (time, time))
    shutil.rmtree(copy.path / ".snakemake")
    assert copy.planned() == {}


def test_a_hyperparameter_reruns_the_same_under_both_and_nothing_else(copy):
    arms = {"sequential": {"stages": [{"task": "colours"}, {"task": "warmth", "training": {"learning_rate": 0.02}}]}}
    before = copy.results()
    copy.change(arms=arms)
    expected = {"run_preflight": 1, "write_recipe": 1, "train_adapter": 1, "predict": 1, "metrics": 1, "report": 1}
    expected |= {"all": 1}
    assert copy.planned() == expected
    copy.forget_logs()
    copy.dvc("repro")
    assert copy.trained() == {"warmth"}
    assert copy.learning_rate() == 0.02
    assert copy.planned() == {}
    changed = {name for name, digest in copy.results().items() if before.get(name) != digest}
    assert all(name.startswith(SECOND) or "/base/" not in name for name in changed)
    assert f"{SECOND}/adapter/adapter_model.safetensors" in changed
    # And back again: finished work is copied from the cache.
    copy.git("checkout", "-q", "config.yaml")
    copy.forget_logs()
    copy.snakemake()
    assert copy.trained() == set()
    digests = copy.results()
    same = [f"{FIRST}/adapter/adapter_model.safetensors", f"{SECOND}/adapter/adapter_model.safetensors"]
    same += [f"{SECOND}/predictions/warmth.test.csv", "out/metrics.json"]
    assert {name: digests[name] for name in same} == {name: before[name] for name in same}


def test_links_into_the_cache_hide_no_change(copy):
    """Hard links once renewed the times of old predictions, which were then recorded under new settings."""
    copy.dvc("config", "cache.type", "hardlink")
    copy.dvc("checkout", "--relink")
    assert os.stat(copy.path / SECOND / "predictions/warmth.test.csv").st_nlink > 1
    assert copy.planned() == {}
    old = copy.read(f"{SECOND}/predictions/receipt.json")
    copy.change(prompting={"system": "Be brief."})
    copy.dvc("repro")
    new = copy.read(f"{SECOND}/predictions/receipt.json")
    assert new["inputs"]["settings"] != old["inputs"]["settings"]
    assert new["inputs"]["adapter"] != old["inputs"]["adapter"]
    assert copy.read(f"{SECOND}/adapter/recipe.json")["prompting"]["system"] == "Be brief."
    assert copy.planned() == {}


def test_a_pull_without_records_hides_no_change(built, tmp_path):
    """Files without Snakemake's records once counted as current whatever the settings said."""
    project = built.clone(tmp_path / "clone")
    project.dvc("cache", "dir", "--local", str(built.path / ".dvc/cache"))
    project.dvc("checkout")
    assert project.planned() == {}
    shutil.rmtree(project.path / ".snakemake")
    project.change(training={"learning_rate": 0.03})
    assert project.planned()["train_adapter"] == 2
    project.dvc("repro")
    assert project.learning_rate() == 0.03


def test_another_version_hides_no_change(copy):
    """Snakemake's records of one version once vouched for the files of another."""
    first, before = copy.git("rev-parse", "HEAD"), copy.results()
    copy.change(training={"learning_rate": 0.03})
    copy.dvc("repro")
    second = copy.commit("Another learning rate")
    copy.git("checkout", "-q", first)
    copy.dvc("checkout")
    assert copy.results() == before
    assert copy.planned() == {}
    copy.git("checkout", "-q", second, "--", "config.yaml")
    assert copy.planned()["train_adapter"] == 2
    copy.forget_logs()
    copy.snakemake()
    assert copy.learning_rate() == 0.03
    assert copy.trained() == set()  # both are in the cache


def test_a_removed_label_leaves_no_old_file_behind(copy):
    """An evaluation on fewer splits leaves none of the old ones' predictions in the folder."""
    copy.change(evaluation={"splits": ["test"]})
    copy.dvc("repro")
    names = sorted(path.name for path in (copy.path / SECOND / "predictions").iterdir())
    assert names == ["colours.test.csv", "receipt.json", "warmth.test.csv"]


def test_a_damaged_result_is_made_again_not_used(copy):
    path = copy.path / SECOND / "predictions/warmth.test.csv"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"cold", b"warm", 1))
    assert copy.planned() == {"run_preflight": 1, "predict": 1, "metrics": 1, "report": 1, "all": 1}
    copy.snakemake()
    assert path.read_bytes() == whole
