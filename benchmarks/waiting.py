"""Measure training speed by how OpenMP threads wait, on idle cores and beside a busy process, as ratios to the default.

python -m benchmarks.waiting --model models/smollm2-135m-instruct
"""

import argparse
import multiprocessing
import os
import subprocess
import sys

SETTINGS = {
    "default": {},
    "spin 1000 (ours)": {"GOMP_SPINCOUNT": "1000"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}


def measure_speed(model_dir: str, passes: int = 4, last_layers: int | None = None) -> float:
    """Measure tokens per second: the best of several LoRA forward and backward passes over 4 × 90 tokens.

    With `last_layers`, only the last N decoder layers are adapted.
    """
    import time

    import torch
    from peft import LoraConfig, get_peft_model

    from stagewise.models.load import load_base

    base = load_base(model_dir, "none", "auto")
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    depth = base.config.get_text_config().num_hidden_layers
    layers = None if last_layers is None else list(range(depth - last_layers, depth))
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=modules, layers_to_transform=layers, task_type="CAUSAL_LM")
    model = get_peft_model(base, lora)
    model.train()
    ids = torch.randint(100, 40000, (4, 90))
    best = 0.0
    for _ in range(passes):
        started = time.perf_counter()
        model(input_ids=ids, labels=ids, logits_to_keep=ids.shape[1]).loss.backward()
        best = max(best, ids.numel() / (time.perf_counter() - started))
    return best


def keep_busy() -> None:
    """Occupy a core for ever."""
    while True:
        pass


def main(argv=None) -> int:
    """Print a table of speeds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.once:
        print(measure_speed(args.model))
        return 0
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-m", "benchmarks.waiting", "--once", "--model", args.model]
    print("| threads wait | idle cores | one busy neighbour |\n|---|---|---|")
    speeds = {}
    for busy in (False, True):
        neighbour = multiprocessing.Process(target=keep_busy, daemon=True)
        if busy:
            neighbour.start()
        for name, variables in SETTINGS.items():
            completed = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=True)
            speeds[name, busy] = float(completed.stdout)
        if busy:
            neighbour.terminate()
    for name in SETTINGS:
        cells = [
            f"{speeds[name, b]:.0f} tokens/s ({speeds[name, b] / speeds['default', b]:.2f} ×)" for b in (False, True)
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
