"""Items that do not fit into memory together are scored in smaller batches."""

import pytest
import torch

from stagewise.errors import InputError
from stagewise.inference.within_memory import within_memory


def test_batches_are_halved_until_they_fit(capsys):
    tried = []

    def compute(tokens: int) -> str:
        tried.append(tokens)
        if tokens > 700:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "scores"

    assert within_memory(compute, 4096, longest=600) == ("scores", 600)
    assert tried == [4096, 2048, 1024, 600]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "out of memory with 4096 tokens per batch; it goes on with 2048" and len(said) == 3


def test_one_item_that_does_not_fit_is_one_sentence():
    def compute(tokens: int):
        raise RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    with pytest.raises(InputError, match=r"one item of 600 tokens does not fit into memory \(CPU, .* free"):
        within_memory(compute, 1000, longest=600)


def test_another_error_is_no_matter_of_memory():
    def compute(tokens: int):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        within_memory(compute, 1000, longest=600)
