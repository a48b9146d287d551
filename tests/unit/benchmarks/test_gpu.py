"""The GPU set, with a tiny model on the CPU in the GPU's place."""

import json

import pytest

from benchmarks import gpu, gpu_training
from benchmarks.flops import training_flops
from benchmarks.measure import Progress
from stagewise.errors import InputError
from tests.unit.benchmarks.test_flops import TINY


def test_without_a_gpu_nothing_is_recorded(capsys, monkeypatch):
    monkeypatch.setattr(gpu, "gpu_name", lambda: None)
    monkeypatch.setattr(gpu, "write_record", lambda *_: pytest.fail("a record was written"))
    assert gpu.main([]) == 0
    assert capsys.readouterr().err == "torch sees no GPU, so nothing was measured and the records stay as they are\n"


def test_the_cases_are_the_micro_batches_types_and_kernels_that_a_user_can_choose():
    names = [case.name for case in gpu.CASES]
    assert len(set(names)) == len(names)
    assert {"llama-1b, NF4, micro-batch 4", "llama-1b, bfloat16, micro-batch 16, torch tiles"} <= set(names)
    assert "llama-1b, bfloat16, micro-batch 16, deterministic" in names
    assert all(gpu.ITEMS_PER_STEP % case.micro_batch == 0 for case in gpu.CASES)


def test_cases_are_chosen_by_name_in_the_order_of_all():
    names = [gpu.CASES[-1].name, gpu.CASES[0].name]
    assert gpu.choose_cases(names) == [gpu.CASES[0], gpu.CASES[-1]]
    assert gpu.choose_cases(None) == list(gpu.CASES)
    with pytest.raises(InputError, match="^--cases 'llama' is no case; there are: llama-1b, bfloat16, micro-batch 4; "):
        gpu.choose_cases(["llama"])


def test_only_models_of_the_chosen_cases_are_built(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(gpu, "build_model", lambda folder, *_: built.append(folder.name) or folder)
    monkeypatch.setattr(gpu, "measure_case", lambda *_: {"tokens_per_second": 1.0, "tokens_per_item": 80.0})
    monkeypatch.setattr(gpu, "measure_rate", lambda *_: 1.0)
    gpu.run(tmp_path, [gpu.Case("b")], tmp_path, {"a": TINY, "b": TINY}, "cpu", Progress("gpu", 60), print)
    assert built == ["b"]


def test_a_case_that_does_not_fit_leaves_the_others_measured(tmp_path, tiny_model, monkeypatch):
    def measure_case(folder, case, model, train):
        if case.quantization == "nf4":
            raise InputError("train_adapter ended with 2:\nerror: the GPU has too little memory")
        return {"tokens_per_second": 1e6, "tokens_per_item": 80.0, "peak_gib": 1.5}

    monkeypatch.setattr(gpu, "measure_case", measure_case)
    monkeypatch.setattr(gpu, "measure_rate", lambda *_: 1000.0)
    cases = [gpu.Case("tiny"), gpu.Case("tiny", "nf4")]
    figures = gpu.run(tmp_path, cases, tiny_model, {"tiny": TINY}, "cpu", Progress("gpu", 60), print)
    measured, failed = figures["cases"]
    assert figures["tflops"] == 1
    assert measured["share"] == pytest.approx(1e6 * training_flops(TINY, 80, 16) / 1e12, abs=1e-4)
    assert failed["note"] == "error: the GPU has too little memory" and "tokens_per_second" not in failed


@pytest.mark.workflow
def test_a_case_is_trained_in_steps_of_its_micro_batch(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr(gpu, "TRAINED", 32)
    monkeypatch.setattr(gpu, "training_help", lambda: "")
    monkeypatch.setattr(gpu, "read_lengths", lambda _: {"pubmedqa": {"quantiles": [50, 60]}})
    model = gpu.build_model(tmp_path / "model", TINY, tiny_model, "cpu")
    assert json.loads((model / "config.json").read_text())["dtype"] == "bfloat16"
    figures = gpu.measure_case(tmp_path / "case", gpu.Case("tiny", micro_batch=8), model, gpu_training.main)
    assert figures["tokens_per_second"] > 0 and figures["peak_gib"] > 0 and figures["dtype"] == "bfloat16"
    # The tiny tokenizer splits a word into letters: longer than the real one would be, shorter than the limit.
    assert 50 < figures["tokens_per_item"] < 1024
    training = json.loads((tmp_path / "case" / "results" / "base/seed-0/pubmedqa/recipe.json").read_text())["training"]
    items = training.get("items_per_step") or training["batch_size"] * training["gradient_accumulation"]
    assert items == gpu.ITEMS_PER_STEP


def test_the_kernels_of_a_case_are_set_before_it_trains(monkeypatch):
    import torch
    from trl.kernels import chunked_logprob

    given = []
    monkeypatch.setattr(gpu_training, "train", lambda arguments: given.append(arguments) or 0)
    monkeypatch.setattr(chunked_logprob, "_use_triton", lambda device: True)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda on: given.append(on))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    assert gpu_training.main(["--", "--recipe", "r.json"]) == 0
    assert given == [["--recipe", "r.json"]] and chunked_logprob._use_triton("cuda")
    assert gpu_training.main(["--torch-tiles", "--deterministic", "--", "x"]) == 0
    assert given[1:] == [True, ["x"]] and not chunked_logprob._use_triton("cuda")
