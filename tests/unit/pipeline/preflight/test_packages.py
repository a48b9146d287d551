"""Optional packages and compute types."""

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
