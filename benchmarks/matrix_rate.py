"""The machine's rate of matrix products at the model's shapes, in float32 and bfloat16, with 1 and more threads.

python -m benchmarks.run matrix-rate
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.flops import Shape, forward_flops, head_flops, share_of_rate, training_flops
from benchmarks.measure import ROOT, Figures, Progress, median, run_command
from stagewise.config.load_config import load

# Rows of a product: 4 items of about 90 tokens, and a scoring batch.
ROWS = (336, 1536)
TYPES = ("float32", "bfloat16")

ANSWER_TOKENS = 2
"""Positions of an item that the loss counts: the label's word and the end token."""

# The embedded model's sizes, which its config.json repeats once it is fetched.
EMBEDDED = Shape(576, 1536, 30, 9, 3, 49152, 64)


def run(folder: Path, settings: dict, progress: Progress) -> dict:
    """Measure the rate of each type with one thread and with all."""
    shape = embedded_shape(settings["models"])
    rates: dict[str, dict[str, float]] = {}
    for name in TYPES:
        for threads in sorted({1, settings["threads"]}):
            command = [sys.executable, "-m", "benchmarks.matrix_rate", name, json.dumps(vars(shape))]
            runs = [json.loads(run_command(command, OMP_NUM_THREADS=str(threads)).output) for _ in range(2)]
            rates.setdefault(name, {})[str(threads)] = round(median(runs, "gflops"), 1)
            progress.say(f"{name}, threads {threads}: {rates[name][str(threads)]:.0f} GFLOP/s")
    return {"rows": list(ROWS), "shape": vars(shape), "gflops": rates}


def embedded_shape(models: Path) -> Shape:
    """Sizes of the default model."""
    config = models / load(str(ROOT / "config.yaml")).model / "config.json"
    return Shape.of(json.loads(config.read_text(encoding="utf-8"))) if config.exists() else EMBEDDED


def measure_rate(shape: Shape, dtype: str, device: str = "cpu", rows=ROWS, seconds: float = 0.5) -> float:
    """Measure the rate of a layer's products, forward and backward to the input, in GFLOP/s.

    The passes are repeated for about `seconds` for each number of rows, after one to warm up.
    """
    import torch

    kind, generator = getattr(torch, dtype), torch.Generator(device).manual_seed(0)
    weights = [torch.randn(o, i, generator=generator, device=device, dtype=kind) / i**0.5 for i, o in shape.products]
    done = taken = 0.0
    for count in rows:
        sides = [
            (
                torch.randn(count, weight.shape[1], generator=generator, device=device, dtype=kind),
                torch.randn(count, weight.shape[0], generator=generator, device=device, dtype=kind),
            )
            for weight in weights
        ]

        def layer(weights=weights, sides=sides):
            for weight, (given, gradient) in zip(weights, sides, strict=True):
                torch.mm(given, weight.T)
                torch.mm(gradient, weight)
            if device != "cpu":
                torch.cuda.synchronize()

        layer()
        started, passes = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            layer()
            passes += 1
        taken += time.perf_counter() - started
        done += passes * 4 * count * shape.layer_weights
    return done / taken / 1e9


def training_shares(rate: dict, training: dict) -> dict[str, float]:
    """Share of the float32 rate that training steps make use of, by program; empty if their threads have no rate.

    `rate` and `training` are records of one machine. Only operations that are done are counted: outputs of frozen
    layers that are kept are computed once, in the first epoch.
    """
    threads = str(training["settings"]["threads"])
    if threads not in rate["gflops"]["float32"]:
        return {}
    gflops, shape = rate["gflops"]["float32"][threads], Shape(**rate["shape"])
    return {
        side: share_of_rate(median(runs, "tokens_per_second"), stage_flops(shape, runs[0]), gflops)
        for side, runs in training["runs"].items()
    }


def stage_flops(shape: Shape, run: Figures) -> float:
    """Operations per token of a step of the default stage, mean over its epochs."""
    config = load(str(ROOT / "config.yaml"))
    lora, training = config.lora, config.training
    length = run["tokens"] / (run["steps"] * training.batch_size * training.gradient_accumulation)
    kept = run.get("lower_layers_kept", False)
    flops = training_flops(shape, length, lora.r, lora.last_layers, kept)
    if kept:
        flops += forward_flops(shape, length, shape.layers - lora.last_layers) / training.epochs
    # Forward and backward of the output head.
    return flops + 2 * head_flops(shape, ANSWER_TOKENS / length)


def main(argv=None) -> int:
    """Print a rate as JSON: arguments are the type and the shape as JSON."""
    dtype, shape = sys.argv[1:] if argv is None else argv
    print(json.dumps({"gflops": measure_rate(Shape(**json.loads(shape)), dtype)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
