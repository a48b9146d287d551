"""Arms with base models of their own: every check of a model is done for each of them."""

import json

import pytest

from stagewise.models.receipts import write_model_receipt
from tests.helpers.probe_step import TEXT
from tests.helpers.tiny_llama import build, build_tokenizer

STAGES = [{"task": "colours"}, {"task": "warmth"}]


@pytest.fixture
def with_other(tiny_experiment):
    """The tiny experiment with an arm on another model, whose folder is in `other`."""
    tiny_experiment.other = build(tiny_experiment.folder / "other", "other", seed=5)
    tiny_experiment.values["models"]["other"] = {"path": str(tiny_experiment.other)}
    tiny_experiment.values["arms"]["other"] = {"model": "other", "lora": {"r": 2}, "stages": STAGES}
    return tiny_experiment


def findings(experiment, check, **overlay):
    write_model_receipt("models/other", "other", {"path": str(experiment.other)}, files_at=experiment.other)
    return [finding for finding in experiment.findings(**overlay) if finding.check == check]


def test_each_model_is_checked_with_the_lora_of_its_arms(with_other):
    layers = [finding.found for finding in findings(with_other, "adapted layers")]
    assert layers == ["tiny: 14 linear layers, rank 4", "other: 14 linear layers, rank 2"]
    assert len(findings(with_other, "memory")) == 2 and len(findings(with_other, "prompts")) == 2 * 2
    (disk,) = findings(with_other, "disk")  # all adapters go to one
    assert "for 4 adapters" in disk.found


def test_what_does_not_fit_one_of_the_models_names_it(with_other):
    path = with_other.other / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_position_embeddings": 16}))
    first, *_, last = findings(with_other, "prompts")
    assert (first.verdict, last.verdict) == ("ok", "failure")
    assert "the base model has 16 positions" in last.sentence and last.sentence.endswith("(base model other)")
    broken = {"arms": {"other": {"lora": {"target_modules": ["query_key_value"]}}}}
    verdicts = {finding.found: finding.verdict for finding in findings(with_other, "adapted layers", **broken)}
    assert verdicts == {"tiny: 14 linear layers, rank 4": "ok", "other: refused": "failure"}


def test_a_checkpoint_without_its_head_is_refused_before_it_is_loaded(with_other):
    path = with_other.other / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": False}))
    first, last = findings(with_other, "model")
    assert (first.verdict, last.verdict) == ("ok", "failure")
    assert "lm_head.weight is missing and would be random" in last.sentence


def test_a_text_that_tokenizers_cut_differently_is_refused_before_anything_is_trained(with_other):
    (with_other.folder / "prose.txt").write_text(TEXT, encoding="utf-8")
    probes = {"texts": {"prose": {"path": "prose.txt", "segment_tokens": 16}}}
    (same,) = findings(with_other, "segments of several models", probes=probes)
    assert (same.verdict, same.found) == ("ok", "prose: the same for 2 models")
    build_tokenizer(300).save_pretrained(with_other.other)
    (other,) = findings(with_other, "segments of several models", probes=probes)
    assert (
        other.verdict == "failure" and "the tokenizers of the models 'tiny' and 'other' cut the text" in other.sentence
    )


def test_a_model_that_is_not_here_is_waited_for(with_other):
    found = {finding.check: finding.found for finding in with_other.findings()}
    assert found["adapted layers"] == "waits for the model"
