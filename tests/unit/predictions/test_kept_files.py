"""Each prediction file is made once: a new task or split is scored alone, whatever else the receipt holds."""

import json
import shutil

import pytest

from stagewise.predictions.kept_files import keep_files
from stagewise.provenance.receipts import read_receipt, write_receipt
from tests.helpers.prediction_step import PredictionStep

FILES = ["post.test", "post.validation", "trial.test", "trial.validation"]
SUMS = ("items", "tokens", "seconds")


class Counted(PredictionStep):
    """A prediction step with a cache that notes which files it scores."""

    def __init__(self, folder, model, monkeypatch):
        super().__init__(folder, model)
        self.scored, self.loads = [], 0
        self.cache = folder / "checkpoints"
        from stagewise.predictions.predictor import Predictor

        predict, load = Predictor.predict, Predictor.load

        def counted(predictor, encoder, items, prompts, progress=None):
            self.scored.append(progress)
            return predict(predictor, encoder, items, prompts, progress)

        def counted_load(*given):
            self.loads += 1
            return load(*given)

        monkeypatch.setattr(Predictor, "predict", counted)
        monkeypatch.setattr(Predictor, "load", counted_load)

    def with_tasks(self, *names, **settings) -> dict:
        values = self.settings(**settings)
        return values | {"tasks": {name: values["tasks"][name] for name in names}}

    def makes(self, settings, keeps_output=False, **options) -> list[str]:
        """Run as Snakemake does, which deletes the output first; return the names of the files that are scored."""
        if not keeps_output:
            shutil.rmtree(self.output, ignore_errors=True)
        self.scored.clear()
        assert self.run(settings, None, "--checkpoints", str(self.cache), *options.get("more", ())) == 0
        return sorted(self.scored)


@pytest.fixture
def step(tmp_path, tiny_model, monkeypatch):
    return Counted(tmp_path, tiny_model, monkeypatch)


def test_a_task_that_is_added_is_scored_alone(step, capsys):
    assert step.makes(step.with_tasks("trial")) == ["trial.test", "trial.validation"]
    alone = {name: (step.output / f"{name}.csv").read_bytes() for name in ("trial.test", "trial.validation")}
    before = step.receipt()
    assert step.makes(step.settings()) == ["post.test", "post.validation"]
    assert "2 of 4 files made before from the same adapter and items, copied" in capsys.readouterr().err
    both = step.receipt()
    assert all((step.output / f"{name}.csv").read_bytes() == content for name, content in alone.items())
    assert both["content_free"]["trial"] == before["content_free"]["trial"] and "post" in both["content_free"]
    assert both["shortened"].keys() == both["control_tokens"].keys() == both["scoring"].keys() == {*FILES}
    for key in SUMS:
        assert both[key] == pytest.approx(sum(part[key] for part in both["scoring"].values()))
    assert {name: both["scoring"][name] for name in alone} == before["scoring"]
    assert read_receipt(step.output, "the predictions")["checksum"]  # every file as the receipt says

    loads = step.loads
    assert step.makes(step.with_tasks("post")) == [] == step.makes(step.settings())
    assert step.receipt() == both and step.loads == loads, "nothing is loaded to copy"


def test_only_what_changed_is_scored_again(step):
    step.makes(step.settings(splits=["test"]))
    assert step.makes(step.settings()) == ["post.validation", "trial.validation"]
    (step.folder / "post.txt").write_text("{text} Stress?\n", encoding="utf-8")
    assert step.makes(step.settings()) == ["post.test", "post.validation"]
    damaged = next(path for path in step.cache.glob("predictions/*/trial.test.csv"))
    damaged.write_text("x")
    assert step.makes(step.settings()) == ["trial.test"]
    assert step.makes(step.settings(dtype="bfloat16")) == FILES


def test_without_a_cache_the_output_itself_is_kept(step):
    assert step.run(step.with_tasks("trial")) == 0
    step.scored.clear()
    assert step.run(step.settings()) == 0
    assert sorted(step.scored) == ["post.test", "post.validation"]
    assert sorted(path.name for path in step.folder.iterdir()) == ["data", "post.txt", "predictions", "trial.txt"]


def test_what_was_scored_before_a_kill_is_not_scored_again(step, monkeypatch):
    from stagewise.predictions import run

    write = run.write_predictions

    def killed(path, task, *given, **more):
        if task == "post":
            raise KeyboardInterrupt
        write(path, task, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_predictions", killed)
        with pytest.raises(KeyboardInterrupt):
            step.makes(step.settings())
    assert not step.output.exists()
    assert step.makes(step.settings()) == ["post.test", "post.validation"]


def older(folder) -> None:
    """Rewrite a receipt as the version before did, which knew sums alone."""
    receipt = json.loads((folder / "receipt.json").read_text())
    facts = {key: value for key, value in receipt.items() if key not in ("scoring", "files", "checksum")}
    write_receipt(folder, facts)


@pytest.mark.parametrize("place", ["output", "cache"])
def test_predictions_of_the_version_before_are_taken_over(step, place):
    """Be they where the workflow left them, or where the cache kept all of an adapter in one folder."""
    from stagewise.provenance.cache import predictions_cache

    step.run(step.settings())
    older(step.output)
    before = step.receipt()
    assert step.makes(step.settings(), keeps_output=True) == []
    assert step.receipt() == before, "they are current as they are"
    if place == "cache":
        shutil.copytree(step.output, predictions_cache(step.cache, before["inputs"], None))
        assert step.makes(step.settings()) == []
    else:
        keep_files(step.output, step.cache, None)  # as every plan does
        assert step.makes(step.with_tasks("trial")) == []
        assert step.receipt()["items"] == 14
        assert step.makes(step.settings()) == []
    after = step.receipt()
    assert after["files"] == before["files"] and after["content_free"] == before["content_free"]
    assert (after["items"], after["shortened"]) == (before["items"], before["shortened"])
    assert after["tokens"] == pytest.approx(before["tokens"], abs=2)
    assert after["seconds"] == pytest.approx(before["seconds"], abs=0.003)


def test_what_differs_between_files_is_said_by_file(step, monkeypatch):
    from stagewise.predictions import run

    step.makes(step.with_tasks("trial"))
    monkeypatch.setattr(run, "package_versions", lambda names: {"torch": "0.1"})
    step.makes(step.settings())
    scoring = step.receipt()["scoring"]
    assert scoring["post.test"]["packages"] == {"torch": "0.1"} != scoring["trial.test"]["packages"]
    assert "device" not in scoring["post.test"], "they share it"


def test_a_damaged_receipt_gives_nothing_to_the_cache(step):
    step.run(step.settings())
    path = step.output / "receipt.json"
    edited = json.loads(path.read_text())
    edited["inputs"]["prompts"]["post"] = "another"
    path.write_text(json.dumps(edited))
    keep_files(step.output, step.cache, None)
    assert not step.cache.exists()
    path.write_text("[]")
    keep_files(step.output, step.cache, None)
    assert not step.cache.exists()


def test_the_image_is_part_of_what_is_kept(step):
    first, second = "1" * 64, "2" * 64
    assert step.makes(step.settings(), more=("--image", first)) == FILES
    assert step.makes(step.settings(), more=("--image", second)) == FILES
    assert step.makes(step.settings(), more=("--image", first)) == [] and step.receipt()["image"] == first


def test_a_tasks_own_max_length_is_its_alone(step):
    """It takes the place of the training's: the other task is as before, and it is as if all had it."""
    step.makes(step.settings(max_length=80))
    all_shorter = step.receipt()["shortened"], step.table("trial.test")
    assert step.makes(step.settings()) == FILES

    settings = step.settings()
    settings["tasks"]["trial"]["max_length"] = 80
    assert step.makes(settings) == ["trial.test", "trial.validation"]
    shortened = step.receipt()["shortened"]
    assert shortened["trial.test"] == all_shorter[0]["trial.test"] > 0 == shortened["post.test"]
    assert step.table("trial.test").equals(all_shorter[1])
    # The length of the others is none of its business.
    settings["max_length"] = 300
    assert step.makes(settings) == ["post.test", "post.validation"]
