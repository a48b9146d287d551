"""The process that makes an adapter scores it on texts: the probe step copies what it would have made itself."""

import json

import pytest

from stagewise.models import load
from stagewise.provenance.files import write_json
from tests.helpers.contradicting_tasks import AdapterFolder, write_data
from tests.helpers.probe_step import ProbeStep


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_model):
    """An adapter that its training has scored, and the probe step on it."""
    folder = tmp_path_factory.mktemp("trained")
    adapters = AdapterFolder(folder, tiny_model, write_data(folder / "data", {"yes": 4, "no": 4, "maybe": 2}))
    probes = ProbeStep(folder, tiny_model)
    write_json(adapters.data / "summary.json", {"tasks": {}})
    scoring = {key: value for key, value in probes.settings().items() if key not in ("harness", "texts")}
    scoring |= {"tasks": {}, "max_length": 96, "evaluation": {}}
    adapters.plan("one", "first", epochs=1)
    settings = json.dumps(probes.settings({"tasks": ["left_to_the_probe_step"]}))
    adapters.run("one", None, "--score", json.dumps(scoring), "--score-texts", settings)
    return adapters, probes


@pytest.fixture
def loads(monkeypatch):
    """One entry for each time that a base model was loaded."""
    entries, original = [], load.load_base
    monkeypatch.setattr(load, "load_base", lambda *given: entries.append(given) or original(*given))
    return entries


def test_scores_are_those_of_the_probe_step(trained, loads):
    adapters, probes = trained
    cache = ("--checkpoints", str(adapters.folder / "checkpoints"))
    assert probes.run(None, adapters.adapter("one"), *cache) == 0 and loads == []
    copied = (probes.output / "prose.csv").read_bytes(), probes.receipt()["inputs"]
    probes.output = adapters.folder / "again"
    assert probes.run(None, adapters.adapter("one")) == 0 and len(loads) == 1
    assert ((probes.output / "prose.csv").read_bytes(), probes.receipt()["inputs"]) == copied
