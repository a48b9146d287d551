"""What training, remedies and predictions do is known by a version, which has to be raised when they do otherwise."""

import copy
import json

import pytest

from stagewise import training
from stagewise.remedies.anchor import Anchor
from tests.helpers import golden_figures
from tests.helpers.golden_figures import CASES, COMMAND, FILE, compute, verdict, versions

GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def figures(tmp_path_factory, tiny_model):
    return compute(tmp_path_factory.mktemp("golden"), model=tiny_model)


def test_the_golden_figures_are_of_this_version():
    assert GOLDEN["versions"] == versions(), f"write the golden figures again with {COMMAND}"
    assert set(GOLDEN["figures"]) == {"training", "predictions", *CASES}, f"write them again with {COMMAND}"


def test_nothing_behaves_differently(figures):
    problem = verdict(figures, GOLDEN)
    assert problem is None, problem


def test_every_remedy_acts_on_its_figures(figures):
    """A remedy that did nothing would have golden figures that never fail."""
    plain = {key.removeprefix("two."): value for key, value in figures["training"].items() if key.startswith("two.")}
    for case in CASES:
        assert not golden_figures._close(figures[case]["second log-probabilities"], plain["second log-probabilities"])


def test_another_loss_mask_is_noticed(tmp_path, tiny_model, monkeypatch):
    """One token of the prompt more in the loss."""
    from stagewise.training import stage_data

    encode = stage_data.encode_items

    def wider(*arguments):
        rows, shortened = encode(*arguments)
        for row in rows:
            end = row["prompt_tokens"] - 1
            row["labels"][end] = row["input_ids"][end]
        return rows, shortened

    monkeypatch.setattr(stage_data, "encode_items", wider)
    problem = verdict(compute(tmp_path, (), tiny_model), GOLDEN)
    assert problem == (
        "training behaves differently: raise TRAINING_BEHAVIOUR (stagewise/training/__init__.py) and write the golden "
        f"figures again with {COMMAND}"
    )
    monkeypatch.setattr(training, "TRAINING_BEHAVIOUR", 99)
    assert verdict(compute(tmp_path / "raised", (), tiny_model), GOLDEN) is None


def test_another_strength_of_a_remedy_is_noticed(tmp_path, tiny_model, monkeypatch):
    from stagewise.remedies import anchor

    distance = anchor.product_distance
    monkeypatch.setattr(anchor, "product_distance", lambda *arguments: 1.5 * distance(*arguments))
    changed = compute(tmp_path, ("anchor", "blend"), tiny_model)
    assert verdict(changed, GOLDEN) == (
        "anchor behaves differently: raise Anchor.behaviour (stagewise/remedies/anchor.py) and write the golden "
        f"figures again with {COMMAND}"
    )
    monkeypatch.setattr(Anchor, "behaviour", 2)
    assert verdict(changed, GOLDEN) is None


def test_another_way_of_scoring_is_noticed(tmp_path, tiny_model, monkeypatch):
    from stagewise.inference import likelihood

    score = likelihood.score
    monkeypatch.setattr(likelihood, "score", lambda *arguments, **options: 1.01 * score(*arguments, **options))
    changed = golden_figures.predict(tmp_path, tiny_model)
    assert verdict({"predictions": changed}, GOLDEN) == (
        "prediction behaves differently: raise PREDICTION_BEHAVIOUR (stagewise/predictions/__init__.py) and write the "
        f"golden figures again with {COMMAND}"
    )


def test_rounding_is_no_other_behaviour(figures):
    def rounded(value):
        if isinstance(value, dict):
            return {key: rounded(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return list(map(rounded, value))
        return value * (1 + 1e-5) if isinstance(value, float) else value

    assert verdict(rounded(figures), GOLDEN) is None
    changed = copy.deepcopy(figures)
    changed["training"]["one.train loss"][0] *= 1.003
    assert verdict(changed, GOLDEN) is not None


def test_golden_figures_cannot_be_written_under_an_old_version(monkeypatch, tmp_path, capsys):
    changed = {"training": GOLDEN["figures"]["training"] | {"one.train loss": [1.0]}}
    monkeypatch.setattr(golden_figures, "FILE", tmp_path / "golden.json")
    golden_figures.FILE.write_text(FILE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(golden_figures, "compute", lambda folder: changed)
    assert golden_figures.main() == 2
    assert capsys.readouterr().err.startswith("error: training behaves differently: raise TRAINING_BEHAVIOUR")
    assert json.loads(golden_figures.FILE.read_text()) == GOLDEN
    monkeypatch.setattr(training, "TRAINING_BEHAVIOUR", 99)
    assert golden_figures.main() == 0
    written = json.loads(golden_figures.FILE.read_text())
    assert written["versions"]["training"] == 99 and written["figures"] == changed
