"""The process that makes an adapter scores it: the prediction step copies what it would have made itself."""

import json

import pytest

from scripts import predict
from stagewise.provenance.files import sha256_file, write_json
from stagewise.provenance.lock import locked
from stagewise.provenance.receipts import read_receipt
from tests.helpers import tiny_data
from tests.helpers.contradicting_tasks import PROMPTS, AdapterFolder, task_settings, write_data
from tests.helpers.prediction_step import PredictionStep

SPLITS = ("validation", "test")


class Scored(AdapterFolder):
    """Adapters that are scored by their own step, and by the prediction step."""

    def __init__(self, folder, model, dtype="float32", **evaluation):
        super().__init__(folder, model, write_data(folder / "data", {"yes": 4, "no": 4, "maybe": 2}))
        self.dtype = dtype
        splits = {
            task: {"splits": {split: {"sha256": sha256_file(self.data / task / f"{split}.jsonl")} for split in SPLITS}}
            for task in PROMPTS
        }
        write_json(self.data / "summary.json", {"tasks": splits})
        tasks = {}
        for task in PROMPTS:
            labels = {str(number): word for number, word in enumerate(task_settings(self.data, task)["words"])}
            prompt = str(self.data / f"{task}.txt")
            tasks[task] = tiny_data.task_settings({"items": "x.csv"}, labels, prompt=prompt, shorten="text")
        settings = {
            "tasks": tasks,
            "prompting": {"format": "chat"},
            "quantization": "none",
            "dtype": dtype,
            "max_length": 96,
            "evaluation": {"splits": list(SPLITS)} | evaluation,
        }
        self.score = ("--score", json.dumps(settings))

    def predict(self, name: str, cache: bool):
        """Run the prediction step; returns its output's folder."""
        output = self.folder / name / ("copied" if cache else "predictions")
        argv = ["--settings", self.score[1], "--model", self.model, "--adapter", self.adapter(name)]
        argv += ["--data", self.data, "--output", output]
        argv += ["--checkpoints", self.folder / "checkpoints"] if cache else []
        assert predict.main([str(word) for word in argv]) == 0
        return output


@pytest.fixture
def loads(monkeypatch):
    """One entry for each time that a base model was loaded."""
    from stagewise.models import load

    entries, original = [], load.load_base
    monkeypatch.setattr(load, "load_base", lambda *given: entries.append(given) or original(*given))
    return entries


def content(folder) -> tuple[dict, dict]:
    """Bytes of the prediction files, and the receipt without what a clock decides."""
    receipt = json.loads((folder / "receipt.json").read_text())
    without_clock = {key: value for key, value in receipt.items() if key not in ("seconds", "checksum")}
    for part in without_clock["scoring"].values():
        del part["seconds"]
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}, without_clock


@pytest.mark.parametrize(
    ("evaluation", "training"),
    [
        ({"tokens_per_batch": 200}, {"best_metric": "loss", "eval_every": 1, "learning_rate": 0.1}),
        ({"method": "generation", "max_new_tokens": 3}, {}),
    ],
)
def test_a_trained_adapter_is_scored_as_the_prediction_step_does(tmp_path, tiny_model, loads, evaluation, training):
    """With the weights that were kept, which are not the last ones here."""
    scored = Scored(tmp_path, tiny_model, **evaluation)
    scored.plan("one", "first", epochs=2, **training)
    scored.run("one", None, *scored.score)
    assert len(loads) == 1
    copied = scored.predict("one", cache=True)
    assert len(loads) == 1
    made = scored.predict("one", cache=False)
    assert len(loads) == 2
    assert content(copied) == content(made) and len(list(made.glob("*.csv"))) == 4


def test_a_merged_adapter_is_scored_as_the_prediction_step_does(tmp_path, tiny_model, loads):
    scored = Scored(tmp_path, tiny_model)
    for name, task in {"one": "first", "two": "second"}.items():
        scored.train(name, task, epochs=1)
    loads.clear()
    scored.merge("merged", ["one", "two"], *scored.score, merge={"method": "ties"})
    assert len(loads) == 1  # for merging and scoring
    copied = scored.predict("merged", cache=True)
    assert len(loads) == 1
    assert content(copied) == content(scored.predict("merged", cache=False))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_model):
    """An adapter that is in the cache, and not scored."""
    scored = Scored(tmp_path_factory.mktemp("scored"), tiny_model)
    scored.train("one", "first", epochs=1)
    return scored


def test_an_adapter_from_the_cache_is_left_to_the_prediction_step(trained, loads):
    trained.run("one", None, *trained.score)
    assert loads == []


@pytest.fixture
def scoring(trained, monkeypatch):
    """A function that scores the adapter as its training does; it returns whether predictions were made."""
    from stagewise.models.shared_base import SharedBase
    from stagewise.predictions import run
    from stagewise.training.job import AdapterJob, score_adapter

    made = []
    monkeypatch.setattr(run.PredictionJob, "make", lambda *given: made.append(given))
    folder = trained.folder
    job = AdapterJob.open(folder / "one" / "recipe.json", trained.model, trained.data, [], folder / "checkpoints", None)
    settings = run.ScoringSettings.model_validate_json(trained.score[1])

    def score(**changes) -> bool:
        made.clear()
        base = SharedBase(trained.model, "none", "float32")
        score_adapter(run.Scoring(settings.model_copy(update=changes)), job, base)
        return bool(made)

    score.job, score.settings = job, settings
    return score


def test_scoring_that_fails_is_left_to_the_prediction_step(trained, scoring, capsys, monkeypatch):
    assert scoring()
    assert not scoring(dtype="bfloat16")  # not the recipe's
    assert "base/seed-0/one: not scored here, but by the prediction step (--score: " in capsys.readouterr().err
    test = trained.data / "second" / "test.jsonl"
    monkeypatch.setattr("stagewise.predictions.fingerprint.sha256_file", lambda path: str(path == test))
    assert not scoring()
    assert "(" + str(trained.data) in capsys.readouterr().err


def test_predictions_that_another_process_makes_are_left_to_it(trained, scoring):
    from stagewise.predictions.run import PredictionJob

    job = PredictionJob.open(scoring.settings, trained.model, trained.adapter("one"), trained.data, None)
    with locked(job.kept(trained.folder / "checkpoints").together, "the predictions"):
        assert not scoring()


def test_no_scoring_is_begun_without_the_time_for_it(trained, scoring):
    """Expected from the last evaluation: so many seconds for so many bytes of validation items."""
    from stagewise.models.shared_base import SharedBase
    from stagewise.predictions.run import Scoring
    from stagewise.training.siblings import SharedTraining
    from stagewise.training.time_limit import TimeLimit

    def is_scored(minutes, evaluation_seconds, scorer=None) -> bool:
        limit, calls = TimeLimit(minutes), []
        limit.measure("evaluation", evaluation_seconds)
        scorer = scorer or Scoring(scoring.settings)
        base = SharedBase(trained.model)
        shared = SharedTraining(scoring.job, base, None, limit, scorer, [], 1)
        monkeypatch = pytest.MonkeyPatch()
        with monkeypatch.context() as patch:
            patch.setattr("stagewise.training.siblings.score_adapter", lambda *given: calls.append(given))
            shared.score(scoring.job)
        return bool(calls)

    assert is_scored(None, 10**6)
    assert is_scored(10, 1) and not is_scored(10, 590)
    generating = scoring.settings.model_copy(
        update={"evaluation": scoring.settings.evaluation.model_copy(update={"method": "generation"})}
    )
    assert not is_scored(10, 1, Scoring(generating)) and is_scored(None, 1, Scoring(generating))


def test_without_a_task_nothing_is_loaded(tmp_path, tiny_model, monkeypatch):
    """As in an experiment of probes that are no tasks."""
    from stagewise.models import load

    monkeypatch.setattr(load, "load_base", lambda *given: pytest.fail("loaded"))
    step = PredictionStep(tmp_path, tiny_model)
    assert step.run(step.settings() | {"tasks": {}}) == 0
    receipt = read_receipt(step.output, "the predictions")
    assert receipt["method"] == "likelihood" and receipt["files"] == {}
    assert step.run(step.settings() | {"tasks": {}}) == 0
