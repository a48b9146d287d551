"""Token lengths of both tasks' items, as numbers: the shape of the GPU benchmark's batches and of the study's passes.

python -m benchmarks.lengths --models models    # of the real data too, if STAGEWISE_MIRROR names them
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import ROOT
from benchmarks.workspace import Workspace
from stagewise.config.mirror import MIRROR_VARIABLE
from stagewise.config.yaml_files import read_yaml
from stagewise.data.items import read_split
from stagewise.errors import exit_on_input_error
from stagewise.inference.prompts import Encoder, Template
from stagewise.models.load import load_tokenizer
from stagewise.provenance.files import write_json

FILE = ROOT / "benchmarks" / "lengths.json"
QUANTILES = 41
"""Quantiles kept of each task's lengths, the shortest and the longest among them."""


def read_lengths(data: str | None = None) -> dict[str, dict]:
    """Lengths by task of the `real` items, or of the `sample`."""
    return json.loads(FILE.read_text(encoding="utf-8"))["data"][data or "real"]


def typical_lengths(quantiles: list[float], count: int) -> list[int]:
    """So many lengths with the distribution that the quantiles describe, in ascending order."""
    places = (np.arange(count) + 0.5) / count
    return np.interp(places, np.linspace(0, 1, len(quantiles)), quantiles).round().astype(int).tolist()


def count_lengths(workspace: Workspace) -> dict[str, dict]:
    """Count the tokens of prompt and answer of every training item, and the items of each split."""
    tokenizer, config = load_tokenizer(workspace.model), workspace.config
    tasks = {}
    for task, spec in config.scoring_settings().tasks.items():
        template = Template.read(workspace.folder / spec.prompt, spec.variables)
        encoder = Encoder.of_task(tokenizer, template, config.prompting, spec, config.training.max_length, task)
        splits = {
            split: read_split(workspace.data / task / f"{split}.jsonl", spec.words)
            for split in ("train", "validation", "test")
        }
        items = splits["train"]
        prompts = encoder.encode_prompts(items).ids
        lengths = [len(p) + len(encoder.encode_own_answer(i)) for p, i in zip(prompts, items, strict=True)]
        tasks[task] = {
            "items": {split: len(of_split) for split, of_split in splits.items()},
            "mean": round(float(np.mean(lengths)), 1),
            "quantiles": [round(value, 1) for value in np.quantile(lengths, np.linspace(0, 1, QUANTILES)).tolist()],
        }
    return tasks


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lengths", description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of fetched models (models)")
    args = parser.parse_args(argv)
    overlays = {"sample": {"experiment": "sample"}}
    if os.environ.get(MIRROR_VARIABLE):
        overlays["real"] = read_yaml(ROOT / "experiments" / "real.yaml")
    data = json.loads(FILE.read_text(encoding="utf-8"))["data"] if FILE.exists() else {}
    for name, overlay in overlays.items():
        with tempfile.TemporaryDirectory() as temporary:
            workspace = Workspace(Path(temporary), overlay, f"{name}.yaml", args.models)
            workspace.make_inputs()
            data[name] = count_lengths(workspace)
    write_json(FILE, {"tokenizer": workspace.config.model, "prompt": "chat", "data": data})
    return 0


if __name__ == "__main__":
    sys.exit(main())
