"""Levers on a training step, each as a ratio to the plain step: what pays, and what was left out because it does not.

python -m benchmarks.levers --model models/smollm2-135m-instruct
python -m benchmarks.levers --model models/smollm2-135m-instruct packing compile
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager

from benchmarks.lengths import read_lengths, typical_lengths
from benchmarks.measure import ROOT, Figures, Progress, alternate, median
from benchmarks.records import write_record
from stagewise.errors import exit_on_input_error

# 4 items a step, as in config.yaml, with the sample's lengths.
ITEMS, STEPS, LAST_LAYERS = 4, 8, 10
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PLAIN = "plain"
LEVERS = {
    PLAIN: "last 10 layers adapted, float32",
    "all-layers": "all 30 layers adapted",
    "bfloat16": "computed in bfloat16",
    "compile": "torch.compile of the decoder layers; its warm-up is not counted",
    "packing": "the items of a step in one row without padding, under a mask that keeps them apart",
    "trim": "the last layer's MLP at the answers' positions alone",
    "spin": "OpenMP threads that wait as the library's default has them; the workflow sets GOMP_SPINCOUNT",
    "passive": "OMP_WAIT_POLICY=PASSIVE",
}


@contextmanager
def trimmed_last_mlp(model, positions):
    """Let the last layer's MLP compute only at the positions (row, column) that the loss reads."""
    import torch

    mlp = model.get_base_model().model.layers[-1].mlp
    plain = mlp.forward

    def forward(hidden):
        out = torch.zeros_like(hidden)
        out[positions] = plain(hidden[positions])
        return out

    mlp.forward = forward
    try:
        yield
    finally:
        mlp.forward = plain


def build_step(model_dir: str, lever: str) -> tuple[Callable[[], object], int]:
    """Build a training step with a lever; return it, and its tokens without padding."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    kind = torch.bfloat16 if lever == "bfloat16" else torch.float32
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=kind, local_files_only=True)
    depth = base.config.num_hidden_layers
    layers = None if lever == "all-layers" else list(range(depth - LAST_LAYERS, depth))
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=MODULES, layers_to_transform=layers, task_type="CAUSAL_LM")
    model = get_peft_model(base, lora).train()
    if lever == "compile":
        for layer in base.model.layers:
            layer.compile(dynamic=True)
    lengths = typical_lengths(read_lengths("sample")["pubmedqa"]["quantiles"], ITEMS)
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(100, 40000, (length,), generator=generator) for length in lengths]
    batch, answers = packed(rows) if lever == "packing" else padded(rows)
    targets = batch["input_ids"][answers[0], answers[1] + 1]

    def step():
        with trimmed_last_mlp(model, answers) if lever == "trim" else unchanged():
            hidden = base.model(**batch).last_hidden_state[answers]
        logits = base.lm_head(hidden).float()
        torch.nn.functional.cross_entropy(logits, targets).backward()
        model.zero_grad()

    return step, sum(lengths)


@contextmanager
def unchanged():
    """Change nothing."""
    yield


def padded(rows) -> tuple[dict, tuple]:
    """A batch padded on the right, and the positions before each row's last two tokens."""
    import torch

    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    numbers = torch.arange(len(rows)).repeat_interleave(2)
    columns = torch.tensor([len(row) - back for row in rows for back in (3, 2)])
    return {"input_ids": ids, "attention_mask": mask}, (numbers, columns)


def packed(rows) -> tuple[dict, tuple]:
    """The same rows end to end in one, with a mask of shape (1, 1, tokens, tokens) that keeps them apart."""
    import torch

    ids = torch.cat(rows)[None]
    mask = torch.block_diag(*(torch.ones(len(row), len(row)).tril() for row in rows)).bool()
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None]
    ends = torch.cumsum(torch.tensor([len(row) for row in rows]), 0)
    columns = torch.stack([ends - 3, ends - 2], 1).flatten()
    batch = {"input_ids": ids, "attention_mask": mask[None, None], "position_ids": positions}
    return batch, (torch.zeros_like(columns), columns)


def measure_step(model_dir: str, lever: str, steps: int = STEPS) -> Figures:
    """Measure tokens per CPU second and per second of wall time over several steps, after two to warm up."""
    step, tokens = build_step(model_dir, lever)
    step()
    step()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"tokens_per_cpu_second": steps * tokens / cpu, "tokens_per_second": steps * tokens / wall}


def in_process(model_dir: str, lever: str, threads: int, steps: int) -> Figures:
    """Measure a lever in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.levers", "--model", model_dir, "--once", lever, "--steps", str(steps)]
    waiting = {"GOMP_SPINCOUNT": "1000"}
    if lever in ("spin", "passive"):
        waiting = {"OMP_WAIT_POLICY": "PASSIVE"} if lever == "passive" else {}
    plain = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = plain | waiting | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.levers", description=__doc__.split("\n")[0])
    parser.add_argument("levers", nargs="*", metavar="LEVER", help=f"levers to measure (all): {', '.join(LEVERS)}")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--once", choices=LEVERS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.once:
        print(json.dumps(measure_step(args.model, args.once, args.steps)))
        return 0
    names = [PLAIN, *(name for name in args.levers or LEVERS if name != PLAIN)]
    progress = Progress("levers", 600)
    sides = {name: lambda _, name=name: in_process(args.model, name, args.threads, args.steps) for name in names}
    runs = alternate(sides, args.rounds, progress)
    speed = {name: median(runs[name], "tokens_per_cpu_second") for name in names}
    levers = {
        name: {"tokens_per_cpu_second": round(speed[name], 1), "ratio": round(speed[name] / speed[PLAIN], 3)}
        | {"note": LEVERS[name]}
        for name in names
    }
    settings = {"threads": args.threads, "rounds": args.rounds, "steps": args.steps, "items": ITEMS}
    print(f"written to {write_record('levers', settings, {'runs': runs, 'levers': levers})}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
