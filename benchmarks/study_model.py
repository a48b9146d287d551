"""Calculate how long the three-seed study of all remedies takes on one H100, and how busy it keeps the GPU.

python -m benchmarks.study_model                    # before and after, as a table
python -m benchmarks.study_model --starts 57 --micro-batch 16 --jobs-per-gpu 2

Calculated, not measured: the jobs are counted in the plan of benchmarks/twenty_arms.yaml, the items and token lengths
in the real data (benchmarks/lengths.json), and every other figure is a named constant with its source. A pass takes as
long as its arithmetic or as the host needs to launch it, whichever is longer. What is left out: remedies' own passes
(rehearsed items, teachers, Fisher information), Snakemake's own time, and waiting for disks.
"""

import argparse
import math
import sys
from dataclasses import dataclass, replace

from benchmarks.flops import Shape, forward_flops, training_flops
from benchmarks.lengths import read_lengths
from benchmarks.measure import ROOT
from benchmarks.process_starts import separate_starts, shared_starts
from stagewise.cli import positive
from stagewise.config.experiment import Config
from stagewise.config.load_config import load
from stagewise.lineage import Adapter, lineage_tree

LLAMA_1B = Shape(2048, 8192, 16, 32, 8, 128256, 64)
"""Sizes of Llama-3.2-1B-Instruct, from its config.json."""

ARITHMETIC = 400e12
"""Operations a second that an H100 reaches in bfloat16. Assumption: 40 % of the data sheet's 989e12 (dense, SXM)."""

HOST_SECONDS = {"nf4": (0.036, 0.094), "none": (0.019, 0.054)}
"""Host's seconds of a forward pass, and of a forward and backward pass, by quantization: `benchmarks.host_time` on one
core of a Xeon with avx512_bf16; a newer core is faster (0.033 and 0.074, 0.018 and 0.038 on an EPYC)."""

START_SECONDS = 18.0
"""A process that loads the model: imports (8 s), checksum (2 to 5 s) and loading of 2.5 GB, CUDA context, tokenizing.
Assumption, from measured imports and checksums on a CPU."""

COPY_SECONDS = 1.0
"""A job that copies what another process made. Assumption: start of Python and of its shell."""

TRAINING_SECONDS = 3.0
"""Preparing, evaluating nothing and saving one more training in a process that has the model. Assumption."""

CHECKPOINT_SECONDS = 0.5
"""A checkpoint of a LoRA adapter and its optimizer, 180 MB, written and synced. Assumption."""

TRAININGS = 4
"""Adapters of one parent that a process trains at most: the default of rules/adapters.smk."""

MICRO_BATCH = 16
"""Items of a training pass: all of an optimizer step, which fit in an H100's memory (`benchmarks.gpu`)."""

JOBS_PER_GPU = 2
"""Jobs that share the GPU."""


@dataclass(frozen=True)
class Way:
    """A way to run the study."""

    name: str
    quantization: str
    micro_batch: int
    """Items of a training pass."""
    starts: int
    """Processes that load the model."""
    scoring_passes: int
    """Passes of a batch of items to score: with two, the labels' answers have one of their own after the prompts."""
    validation_loss_pass: bool
    """True if an evaluation reads its items a second time, for the loss."""
    jobs_per_gpu: int = 1
    """Jobs that share the GPU: their hosts work side by side."""


@dataclass(frozen=True)
class Hours:
    """Result of the calculation, in hours."""

    total: float
    arithmetic: float
    launching: float
    starting: float
    saving: float

    @property
    def busy(self) -> float:
        """Share of the time in which the GPU computes."""
        return self.arithmetic / self.total


@dataclass
class Work:
    """Seconds of arithmetic on the GPU and of the host's launching, added up pass by pass."""

    arithmetic: float = 0.0
    host: float = 0.0
    passes: float = 0.0
    """Seconds of the passes: the longer of the two, each time."""

    def add(self, count: float, flops: float, host: float) -> None:
        """Add `count` passes of so many operations, each launched in `host` seconds."""
        arithmetic = flops / ARITHMETIC
        self.arithmetic += count * arithmetic
        self.host += count * host
        self.passes += count * max(arithmetic, host)


def study() -> Config:
    """Configuration of the study."""
    return load(str(ROOT / "config.yaml"), str(ROOT / "benchmarks" / "twenty_arms.yaml"))


def calculate(config: Config, way: Way, lengths: dict[str, dict], shape: Shape = LLAMA_1B) -> Hours:
    """Calculate the hours of a study.

    Parameters
    ----------
    lengths
        By task: ``items`` by split, and ``mean`` tokens (`benchmarks.lengths`).
    """
    adapters = lineage_tree(config)
    work, checkpoints = Work(), 0
    for adapter in adapters.values():
        if adapter.training is not None:
            checkpoints += add_training(work, config, adapter, way, lengths, shape)
    for _ in range(len(adapters) + 1):
        for task in lengths:
            items = sum(split_items(config, lengths[task], split) for split in config.evaluation.splits)
            add_scoring(work, config, items, lengths[task]["mean"], way, shape)
    trainings = sum(adapter.training is not None for adapter in adapters.values())
    further = max(separate_starts(config).total - way.starts, 0)
    starting = way.starts * START_SECONDS + further * COPY_SECONDS + max(trainings - way.starts, 0) * TRAINING_SECONDS
    saving = checkpoints * CHECKPOINT_SECONDS
    # Jobs side by side share the GPU's arithmetic; each has a host of its own.
    total = max((work.passes + starting + saving) / way.jobs_per_gpu, work.arithmetic)
    return Hours(*(seconds / 3600 for seconds in (total, work.arithmetic, work.host, starting, saving)))


def add_training(work: Work, config: Config, adapter: Adapter, way: Way, lengths: dict, shape: Shape) -> int:
    """Add the passes of a training and of its evaluations; return its checkpoints."""
    training, rank = adapter.training, config.lora.r
    step = training.batch_size * training.gradient_accumulation
    host_score, host_train = HOST_SECONDS[way.quantization]
    steps = 0
    for task in adapter.tasks:
        task_steps = math.ceil(math.ceil(split_items(config, lengths[task], "train") / step) * training.epochs)
        mean = lengths[task]["mean"]
        flops = way.micro_batch * mean * training_flops(shape, mean, rank, config.lora.last_layers)
        work.add(task_steps * step / way.micro_batch, flops, host_train)
        steps += task_steps
    interval = steps / training.epochs if training.eval_every == "epoch" else min(training.eval_every, steps)
    saved = math.ceil(steps / interval)
    for task in adapter.learnt_tasks:
        items, mean = split_items(config, lengths[task], "validation"), lengths[task]["mean"]
        for _ in range(saved + 1):  # one more before the first step
            add_scoring(work, config, items, mean, way, shape)
        if way.validation_loss_pass and task in adapter.tasks:
            flops = training.batch_size * mean * forward_flops(shape, mean)
            work.add((saved + 1) * math.ceil(items / training.batch_size), flops, host_score)
    return saved


def add_scoring(work: Work, config: Config, items: int, mean: float, way: Way, shape: Shape) -> None:
    """Add the passes that score so many items."""
    per_pass = max(1, int(config.evaluation.tokens_per_batch // mean))
    count = math.ceil(items / per_pass)
    work.add(count, items / count * mean * forward_flops(shape, mean), HOST_SECONDS[way.quantization][0])
    # The answers are a few tokens: all host.
    work.add(count * (way.scoring_passes - 1), 0, HOST_SECONDS[way.quantization][0])


def split_items(config: Config, task: dict, split: str) -> int:
    """Items of a split, at most the configuration's limit."""
    limit = getattr(config.limit, split)
    return task["items"][split] if limit is None else min(limit, task["items"][split])


def ways(
    config: Config, starts: int | None = None, micro_batch: int = MICRO_BATCH, jobs: int = JOBS_PER_GPU
) -> list[Way]:
    """The study as it was, and as it is: by one job at a time, and by several on the GPU.

    `starts` are the processes that load the model, if not those of `TRAININGS`.
    """
    starts = starts or shared_starts(config, TRAININGS).total
    batch = next(adapter.training.batch_size for adapter in lineage_tree(config).values() if adapter.training)
    before = Way(f"NF4, {batch} items a pass, a process per step", "nf4", batch, separate_starts(config).total, 2, True)
    after = Way(f"bfloat16, {micro_batch} items a pass, {starts} processes", "none", micro_batch, starts, 1, False)
    shared = replace(after, name=f"{after.name}, {jobs} jobs on the GPU", jobs_per_gpu=jobs)
    return [before, after, shared]


def table(starts: int | None = None, micro_batch: int = MICRO_BATCH, jobs: int = JOBS_PER_GPU) -> str:
    """The calculation as a Markdown table."""
    config, lengths = study(), read_lengths("real")
    adapters = lineage_tree(config).values()
    trainings = sum(adapter.training is not None for adapter in adapters)
    tokens = ", ".join(f"{task} {counted['mean']:.0f} tokens" for task, counted in lengths.items())
    lines = [
        f"Calculated, not measured: {trainings} trainings, {len(adapters) - trainings} merges, "
        f"{len(adapters) + 1} predictions; {tokens} an item.",
        "",
        "| way | minutes | GPU busy | arithmetic | launching | starting | saving |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for way in ways(config, starts, micro_batch, jobs):
        hours = calculate(config, way, lengths)
        parts = (hours.arithmetic, hours.launching, hours.starting, hours.saving)
        cells = " | ".join(f"{60 * part:.0f}" for part in parts)
        lines.append(f"| {way.name} | {60 * hours.total:.0f} | {100 * hours.busy:.0f} % | {cells} |")
    return "\n".join(lines)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_model", description=__doc__.split("\n")[0])
    parser.add_argument("--starts", type=positive, help="processes that load the model, of the way after")
    parser.add_argument(
        "--micro-batch", type=positive, default=MICRO_BATCH, help="items of a training pass, of the way after"
    )
    parser.add_argument(
        "--jobs-per-gpu", type=positive, default=JOBS_PER_GPU, help="jobs that share the GPU, of the last way"
    )
    args = parser.parse_args(argv)
    print(table(args.starts, args.micro_batch, args.jobs_per_gpu))
    return 0


if __name__ == "__main__":
    sys.exit(main())
