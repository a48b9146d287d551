"""Training on a GPU: speed, share of its measured bfloat16 rate and memory, in the ways that a user can choose.

python -m benchmarks.gpu        # make bench-gpu; without a GPU it says so and records nothing
python -m benchmarks.gpu --cases "llama-1b, bfloat16, micro-batch 16" "llama-1b, NF4, micro-batch 16"

Models of random weights: one of Llama-3.2-1B's sizes, one of the embedded model's. The items are filler of the real
data's token lengths (benchmarks/lengths.json); the settings are those of experiments/published.yaml, with 32 items a
step, which micro-batches of 4 to 32 divide. Speeds are those of the training steps, without evaluations.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.flops import Shape, training_flops
from benchmarks.lengths import read_lengths, typical_lengths
from benchmarks.matrix_rate import EMBEDDED, measure_rate
from benchmarks.measure import ROOT, Progress, run_command
from benchmarks.records import write_record
from benchmarks.study_model import LLAMA_1B
from benchmarks.workspace import STAGE, Workspace
from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError, exit_on_input_error

ITEMS_PER_STEP = 32
SIZES = {"llama-1b": LLAMA_1B, "embedded": EMBEDDED}
RATE_ROWS = (4096, 8192)
# So many items of the sample's layout: its split takes 240 to train on.
LAYOUT, TRAINED = 400, 224


@dataclass(frozen=True)
class Case:
    """A way to train."""

    model: str
    quantization: str = "none"
    micro_batch: int = 16
    options: tuple[str, ...] = ()
    """Options of `benchmarks.gpu_training`."""

    @property
    def name(self) -> str:
        weights = "NF4" if self.quantization == "nf4" else "bfloat16"
        words = [option.removeprefix("--").replace("-", " ") for option in self.options]
        return ", ".join([self.model, weights, f"micro-batch {self.micro_batch}", *words])


CASES = (
    *(Case("llama-1b", quantization, size) for quantization in ("none", "nf4") for size in (4, 8, 16, 32)),
    Case("llama-1b", options=("--torch-tiles",)),
    Case("llama-1b", options=("--deterministic",)),
    *(Case("embedded", micro_batch=size) for size in (4, 32)),
)


def choose_cases(names: list[str] | None) -> list[Case]:
    """Cases of these names, in the order of `CASES`; all without names.

    Raises
    ------
    InputError
        If a name is none of a case.
    """
    by_name = {case.name: case for case in CASES}
    for name in names or ():
        if name not in by_name:
            raise InputError(f"--cases '{name}' is no case; there are: {'; '.join(by_name)}")
    return [case for name, case in by_name.items() if not names or name in names]


def gpu_name() -> str | None:
    """Name of the GPU that torch would use; None if it would use none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def run(
    folder: Path, cases, tokenizer_dir: Path, sizes: dict, device: str, progress: Progress, train: Callable
) -> dict:
    """Measure every case.

    Parameters
    ----------
    tokenizer_dir
        Folder of a fetched model, for its tokenizer.
    sizes
        `Shape` of each model that the cases name.
    train
        Function of the arguments of `benchmarks.gpu_training`.

    Returns
    -------
    Figures of the record; a case that fails has the reason as its note.
    """
    gflops = measure_rate(next(iter(sizes.values())), "bfloat16", device, RATE_ROWS)
    progress.say(f"bfloat16 products: {gflops / 1000:.0f} TFLOP/s")
    models = {
        name: build_model(folder / "random" / name, shape, tokenizer_dir, device)
        for name, shape in sizes.items()
        if name in {case.model for case in cases}
    }
    figures = []
    for case in cases:
        row = {"name": case.name, "note": ""} | asdict(case)
        try:
            row |= measure_case(
                folder / case.name.replace(", ", "_").replace(" ", "-"), case, models[case.model], train
            )
        except InputError as error:  # out of memory, say
            row["note"] = str(error).strip().rpartition("\n")[2][:200]
        else:
            flops = training_flops(sizes[case.model], row["tokens_per_item"], 16)
            row["share"] = round(row["tokens_per_second"] * flops / (gflops * 1e9), 4)
        figures.append(row)
        progress.say(f"{case.name}: {row.get('tokens_per_second', row['note'])} tokens/s")
    return {"tflops": round(gflops / 1000, 3), "cases": figures}


def build_model(folder: Path, shape: Shape, tokenizer_dir: Path, device: str) -> Path:
    """Write a Llama of random bfloat16 weights with the tokenizer of another model."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        head_dim=shape.head_size,
        tie_word_embeddings=True,
        max_position_embeddings=8192,
    )
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_dir, local_files_only=True).save_pretrained(folder)
    return folder


def measure_case(folder: Path, case: Case, model: Path, train: Callable) -> dict:
    """Train one case and read its speed and memory."""
    workspace = prepare(folder, case, model)
    arguments = ["--recipe", workspace.recipe, "--model", workspace.model, "--data", workspace.data]
    arguments += ["--checkpoints", folder / "checkpoints", "--output", folder / "adapter", "--report-to"]
    if case.micro_batch != ITEMS_PER_STEP and "--micro-batch" in training_help():
        arguments += ["--micro-batch", case.micro_batch]
    train([*case.options, "--", *map(str, arguments)])
    summary = json.loads((folder / "adapter" / "training.json").read_text(encoding="utf-8"))
    return {
        "tokens_per_second": summary["tokens_per_second"],
        "tokens_per_item": round(summary["tokens"] / (summary["items"] * summary["epochs"]), 1),
        "peak_gib": round(summary["peak_memory_bytes"] / 2**30, 2),
        "dtype": summary["dtype"],
        "device": summary["device"],
    }


def training_help() -> str:
    """Help of the training step, which names its options."""
    return run_command([sys.executable, "-m", "scripts.train_adapter", "--help"]).output


def prepare(folder: Path, case: Case, model: Path) -> Workspace:
    """Write splits and recipe of filler items with the real PubMedQA's lengths."""
    published = read_yaml(ROOT / "experiments" / "published.yaml")
    overlay = STAGE | {
        "dtype": "bfloat16",
        "quantization": case.quantization,
        "model": "random",
        "models": {"random": {"path": str(model.resolve())}},
        "limit": {"train": TRAINED, "validation": 4, "test": 4},
        "lora": published["lora"],
        "training": published["training"]
        | {"batch_size": case.micro_batch, "gradient_accumulation": ITEMS_PER_STEP // case.micro_batch}
        | {"epochs": 2, "eval_every": "epoch", "optimizer_state": "fresh"},
    }
    workspace = Workspace(folder, overlay)
    sample = workspace.folder / "data" / "sample" / "pubmedqa.json"
    items = list(json.loads(sample.read_text(encoding="utf-8")).items())[:LAYOUT]
    lengths = typical_lengths(read_lengths("real")["pubmedqa"]["quantiles"], len(items))
    # The prompt around the filler has some 40 tokens, and a filler word is one.
    filler = {
        name: item | {"QUESTION": f"Item {number}?", "CONTEXTS": [" ".join(["study"] * max(length - 40, 1))]}
        for number, ((name, item), length) in enumerate(zip(items, lengths, strict=True))
    }
    sample.write_text(json.dumps(filler), encoding="utf-8")
    workspace.make_inputs()
    return workspace


def train_in_process(arguments: list[str]) -> None:
    """Train in a process of its own."""
    run_command([sys.executable, "-m", "benchmarks.gpu_training", *arguments])


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of fetched models (models)")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="cases to measure, by name (all)")
    args = parser.parse_args(argv)
    cases = choose_cases(args.cases)
    if gpu_name() is None:
        print("torch sees no GPU, so nothing was measured and the records stay as they are", file=sys.stderr)
        return 0
    tokenizer = args.models / "smollm2-135m-instruct"
    if not tokenizer.is_dir():
        raise InputError(f"{tokenizer}: fetch the embedded model first (snakemake --cores 1 --until fetch_model)")
    with tempfile.TemporaryDirectory() as temporary:
        progress = Progress("gpu", 20 * 60)
        figures = run(Path(temporary), cases, tokenizer, SIZES, "cuda", progress, train_in_process)
    path = write_record("gpu", {"items_per_step": ITEMS_PER_STEP, "items": TRAINED}, figures)
    print(f"written to {path}; python -m benchmarks.tables draws the tables anew", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
