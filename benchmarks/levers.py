"""Levers on a training step, each as a ratio to a step without it: what pays, and what was left out.

python -m benchmarks.levers --model models/smollm2-135m-instruct
python -m benchmarks.levers --model models/smollm2-135m-instruct packing compile
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.lengths import read_lengths, typical_lengths
from benchmarks.measure import Figures, Progress, alternate, median, ratio, run_command
from benchmarks.records import write_record
from stagewise.errors import InputError, exit_on_input_error

# 4 items a step, as in config.yaml, with the sample's lengths.
ITEMS, STEPS, LAST_LAYERS = 4, 8, 10
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PLAIN, TWO, CROWDED = "plain", "two-threads", "two-threads-crowded"
SHORT_SPIN, LONG_SPIN, PASSIVE = {"GOMP_SPINCOUNT": "1000"}, {}, {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Lever:
    """A changed training step, or a changed way to run it."""

    note: str
    to: str = PLAIN
    """Lever that it is compared with."""
    threads: int = 1
    waiting: dict[str, str] = field(default_factory=lambda: SHORT_SPIN)
    """Environment that says how OpenMP's threads wait for each other."""
    neighbour: bool = False
    """True if another process keeps one core busy meanwhile."""

    @property
    def figure(self) -> str:
        """Figure that is compared: by CPU time, but for what concerns several threads."""
        return "tokens_per_cpu_second" if self.threads == 1 else "tokens_per_second"


LEVERS = {
    PLAIN: Lever("last 10 layers adapted, float32"),
    "all-layers": Lever("all 30 layers adapted"),
    "bfloat16": Lever("computed in bfloat16"),
    "compile": Lever("torch.compile of the decoder layers; its warm-up is not counted"),
    "packing": Lever("the items of a step in one row without padding, under a mask that keeps them apart"),
    "trim": Lever("the last layer's MLP at the answers' positions alone"),
    TWO: Lever("two threads; speeds are of wall time", threads=2),
    "long-spin": Lever("threads wait as OpenMP has them", TWO, 2, LONG_SPIN),
    "passive": Lever("threads sleep at once", TWO, 2, PASSIVE),
    CROWDED: Lever("another process keeps one core busy", TWO, 2, neighbour=True),
    "long-spin-crowded": Lever("the same, threads wait as OpenMP has them", CROWDED, 2, LONG_SPIN, True),
    "passive-crowded": Lever("the same, threads sleep at once", CROWDED, 2, PASSIVE, True),
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
    return {
        "tokens_per_cpu_second": round(steps * tokens / cpu, 1),
        "tokens_per_second": round(steps * tokens / wall, 1),
    }


def in_process(model_dir: str, name: str, steps: int) -> Figures:
    """Measure a lever in a process of its own."""
    lever = LEVERS[name]
    command = [sys.executable, "-m", "benchmarks.levers", "--model", model_dir, "--once", name, "--steps", steps]
    environment = lever.waiting | {"OMP_NUM_THREADS": str(lever.threads), "HF_HUB_OFFLINE": "1"}
    neighbour = multiprocessing.Process(target=keep_busy, daemon=True)
    if lever.neighbour:
        neighbour.start()
    try:
        return json.loads(run_command(command, without=SHORT_SPIN | PASSIVE, **environment).output)
    finally:
        if lever.neighbour:
            neighbour.terminate()


def keep_busy() -> None:
    """Occupy a core for ever."""
    while True:
        pass


def compare(runs: dict[str, list[Figures]]) -> dict[str, Figures]:
    """Speeds of each lever, and the ratio to the one that it is compared with, if that was measured too."""
    levers = {}
    for name, of_lever in runs.items():
        lever = LEVERS[name]
        speeds = {figure: median(of_lever, figure) for figure in of_lever[0]}
        ratios = round(ratio(runs, name, lever.to, lever.figure), 3) if lever.to in runs else None
        levers[name] = speeds | {"to": lever.to, "ratio": ratios, "note": lever.note}
    return levers


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.levers", description=__doc__.split("\n")[0])
    parser.add_argument("levers", nargs="*", metavar="LEVER", help=f"levers to measure (all): {', '.join(LEVERS)}")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--once", choices=LEVERS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.once:
        print(json.dumps(measure_step(args.model, args.once, args.steps)))
        return 0
    names = args.levers or list(LEVERS)
    if unlisted := [name for name in names if name not in LEVERS]:
        raise InputError(f"'{unlisted[0]}' is no lever; choose from {', '.join(LEVERS)}")
    progress = Progress("levers", 900)
    sides = {name: lambda _, name=name: in_process(args.model, name, args.steps) for name in names}
    runs = alternate(sides, args.rounds, progress)
    settings = {"rounds": args.rounds, "steps": args.steps, "items": ITEMS}
    levers = compare(runs)
    print(f"written to {write_record('levers', settings, {'runs': runs, 'levers': levers})}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
