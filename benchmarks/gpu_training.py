"""A training step of the workflow with another kernel for the loss, or with deterministic kernels alone.

python -m benchmarks.gpu_training [--torch-tiles] [--deterministic] -- ARGUMENTS OF scripts.train_adapter
"""

import os
import sys

from scripts.train_adapter import main as train
from stagewise.models.torch_environment import before_torch


def main(argv=None) -> int:
    """Set the kernels and train."""
    argv = sys.argv[1:] if argv is None else argv
    ours, arguments = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    before_torch()
    if "--deterministic" in ours:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when CUDA starts
        import torch

        torch.use_deterministic_algorithms(True)
    if "--torch-tiles" in ours:
        from trl.kernels import chunked_logprob

        chunked_logprob._use_triton = lambda device: False
    return train(arguments)


if __name__ == "__main__":
    sys.exit(main())
