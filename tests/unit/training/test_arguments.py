"""TRL's arguments, on a CPU and under a pretended GPU: what trl and transformers make of them."""

import pytest
import torch

from stagewise.config.training import Training
from stagewise.training.arguments import sft_config
from stagewise.training.distributed import StepShare
from tests.helpers.pretended_torch import forget_device, pretend_gpu


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """Builds the arguments of a stage, on a GPU if its compute capability is given."""
    forget_device()

    def build(capability=None, gradient_checkpointing=False):
        if capability:
            pretend_gpu(monkeypatch, capability)
        return sft_config(
            Training(),
            StepShare(items=16, micro_batch=8),
            gradient_checkpointing=gradient_checkpointing,
            seed=0,
            steps=8,
            output_dir=tmp_path,
            use_cpu=capability is None,
            resumed=False,
        )

    yield build
    forget_device()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("capability", [(7, 0), (7, 5), (8, 0), (9, 0), (10, 0), (12, 0)])
def test_on_a_gpu(arguments, capability, checkpointing):
    config = arguments(capability, gradient_checkpointing=checkpointing)
    assert config.device == torch.device("cuda", 0) and config.n_gpu == 1
    # The compute type is the model's and `compute_context`'s; trl would cast adapters to bfloat16 and scale losses.
    assert not config.bf16 and not config.fp16
    assert config.optim == "adamw_torch_fused" and config.dataloader_pin_memory
    assert config.activation_checkpointing is checkpointing, "trl's default is True"
    assert not config.torch_compile and not config.use_liger_kernel


def test_on_a_cpu(arguments):
    config = arguments()
    assert config.device == torch.device("cpu")
    assert not config.bf16 and not config.fp16 and not config.dataloader_pin_memory
    assert config.activation_checkpointing is False
