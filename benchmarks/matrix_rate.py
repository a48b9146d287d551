"""The machine's rate of matrix products at the model's shapes, in float32 and bfloat16, with 1 and more threads.

python -m benchmarks.run matrix-rate
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.flops import Shape
from benchmarks.measure import ROOT, Progress, median, run_command
from stagewise.config.load_config import load

# Rows of a product: 4 items of about 90 tokens, and a scoring batch.
ROWS = (336, 1536)
TYPES = ("float32", "bfloat16")

# The embedded model's sizes, which its config.json repeats once it is fetched.
EMBEDDED = Shape(576, 1536, 30, 9, 3, 49152, 64)


def run(folder: Path, settings: dict, progress: Progress) -> dict:
    """Measure the rate of each type with one thread and with all."""
    shape = embedded_shape(settings.get("models"))
    rates: dict[str, dict[str, float]] = {}
    for name in TYPES:
        for threads in sorted({1, settings["threads"]}):
            command = [sys.executable, "-m", "benchmarks.matrix_rate", name, json.dumps(vars(shape))]
            runs = [json.loads(run_command(command, OMP_NUM_THREADS=str(threads)).output) for _ in range(2)]
            rates.setdefault(name, {})[str(threads)] = round(median(runs, "gflops"), 1)
            progress.say(f"{name}, threads {threads}: {rates[name][str(threads)]:.0f} GFLOP/s")
    return {"rows": list(ROWS), "shape": vars(shape), "gflops": rates}


def embedded_shape(models: Path | None = None) -> Shape:
    """Sizes of the default model."""
    config = (models or ROOT / "models") / load(str(ROOT / "config.yaml")).model / "config.json"
    return Shape.of(json.loads(config.read_text(encoding="utf-8"))) if config.exists() else EMBEDDED


def measure_rate(shape: Shape, dtype: str, device: str = "cpu", rows=ROWS, seconds: float = 1.0) -> float:
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


def main(argv=None) -> int:
    """Print a rate as JSON: arguments are the type and the shape as JSON."""
    dtype, shape = sys.argv[1:] if argv is None else argv
    print(json.dumps({"gflops": measure_rate(Shape(**json.loads(shape)), dtype)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
