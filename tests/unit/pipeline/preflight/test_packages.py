"""Optional packages and compute types."""

import pytest

from stagewise.pipeline.preflight import packages


def test_a_tracker_that_is_not_installed_fails(tiny_experiment, monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "wandb" else object())
    ((verdict, sentence),) = tiny_experiment.problems(logging={"report_to": ["tensorboard", "wandb"]})
    assert verdict == "failure" and "logging.report_to names 'wandb', which is not installed" in sentence


def test_wandb_without_a_login_is_a_warning(tiny_experiment, monkeypatch):
    """It would ask for a key in the middle of the training step."""
    monkeypatch.setattr(packages, "find_spec", lambda name: object())
    monkeypatch.setenv("HOME", str(tiny_experiment.folder))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    ((verdict, sentence),) = tiny_experiment.problems(logging={"report_to": ["wandb"]})
    assert verdict == "warning" and "run `wandb login`" in sentence
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert tiny_experiment.problems(logging={"report_to": ["wandb"]}) == []


def test_quantization_without_its_package_fails(tiny_experiment, monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    ((verdict, sentence),) = tiny_experiment.problems(quantization="nf4")
    assert verdict == "failure" and "quantization 'nf4' needs the package bitsandbytes" in sentence


def test_an_emulated_compute_type_is_a_warning(tiny_experiment, monkeypatch):
    monkeypatch.setattr(packages, "cpu_has_bfloat16", lambda: False)
    monkeypatch.setattr(packages, "expected_gpu", lambda: "")
    ((verdict, sentence),) = tiny_experiment.problems(dtype="bfloat16")
    assert verdict == "warning" and "set dtype to float32" in sentence
    assert tiny_experiment.problems(dtype="bfloat16", elsewhere=True) == []


@pytest.mark.parametrize(
    ("capability", "dtype", "verdict"),
    [((7, 5), "bfloat16", "failure"), ((7, 5), "float32", "warning"), ((8, 0), "bfloat16", None)],
)
def test_a_gpu_older_than_ampere_computes_in_float32(tiny_experiment, monkeypatch, capability, dtype, verdict):
    monkeypatch.setattr(packages, "expected_gpu", lambda: "/dev/nvidia0")
    monkeypatch.setattr(packages, "gpu_capability", lambda: capability)
    problems = [(v, text) for v, text in tiny_experiment.problems(dtype=dtype) if "dtype" in text]
    assert [v for v, _ in problems] == ([verdict] if verdict else [])
    assert all("this GPU has compute capability 7.5" in text and "Ampere or newer" in text for _, text in problems)
    assert not any("dtype" in text for _, text in tiny_experiment.problems(dtype=dtype, elsewhere=True))


def test_texts_without_the_package_that_compares_them_fail(tiny_experiment, monkeypatch):
    assert not [finding for finding in tiny_experiment.findings() if finding.check == "generated texts"]
    tiny_experiment.values["tasks"]["colours"] |= {"kind": "generation", "labels": []}
    for items in tiny_experiment.items["colours"].values():
        for item in items:
            item["references"] = [item["label"]]
    assert tiny_experiment.problems() == []
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "rouge_score" else object())
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and "need the package rouge-score; install it" in sentence
