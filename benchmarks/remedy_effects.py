"""Measure the effect of every remedy on two small tasks that contradict each other, and record it.

OMP_NUM_THREADS=1 python -m benchmarks.remedy_effects    # some two minutes on one core
python -m benchmarks.tables                              # draws the tables of docs/reference/remedies.md anew

A tiny random Llama learns the first task, then the second, with and without the remedy, for ten seeds
(`tests/helpers/remedy_effects.py`); `tests/unit/remedies/test_effects.py` checks the same figures against bounds.
"""

import argparse
import gc
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.records import write_record
from stagewise.cli import positive
from stagewise.errors import InputError, exit_on_input_error
from stagewise.models.torch_environment import import_libraries
from tests.helpers import tiny_llama
from tests.helpers.remedy_effects import CASES, CONFIDENCE, SEEDS, SEQUENTIAL, Case, EffectStudy, Run

FIGURES = ("kept", "learnt", "both")


def means(runs: list[Run]) -> dict[str, float]:
    """Mean of each figure over seeds, and the median of CPU seconds."""
    figures = {name: round(statistics.fmean(getattr(run, name) for run in runs), 4) for name in ("kept", "learnt")}
    return figures | {"cpu_seconds": round(statistics.median(run.cpu_seconds for run in runs), 3)}


def measure(study: EffectStudy, name: str, case: Case) -> dict:
    """Settings and figures of a case; effects are [mean, low, high]."""
    effect = study.effect(name, case)
    intervals = {figure: asdict(effect.interval(figure)).values() for figure in FIGURES}
    return {
        "remedies": case.remedies,
        "training": case.training,
        "rare_label": case.rare_label,
        "writes_texts": case.writes_texts,
        "reason": case.reason,
        **means(effect.runs),
        "effects": {figure: [round(value, 4) for value in interval] for figure, interval in intervals.items()},
    }


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remedy_effects", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=positive, default=len(SEEDS), help="trainings of every case, two or more")
    args = parser.parse_args(argv)
    if args.seeds < 2:
        raise InputError("--seeds must be at least 2: an interval is over seeds")
    os.environ["STAGEWISE_DEVICE"] = "cpu"
    import_libraries("stagewise.training.trainer")
    gc.collect()
    gc.freeze()  # each training collects garbage, through all that was imported otherwise
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        study = EffectStudy(folder, tiny_llama.build(folder / "model"), range(args.seeds))
        plain = study.effect("sequential", SEQUENTIAL)
        figures = {
            "first": means([study.first(seed) for seed in study.seeds]),
            "sequential": means(plain.runs),
            "rare_label": means(study.effect("sequential", replace(SEQUENTIAL, rare_label=True)).runs),
            "cases": {},
        }
        for name, case in CASES.items():
            figures["cases"][name] = measure(study, name, case)
            print(f"{name}: {figures['cases'][name]}", file=sys.stderr, flush=True)
    path = write_record("remedy-effects", {"seeds": args.seeds, "confidence": CONFIDENCE}, figures)
    print(f"written to {os.path.relpath(path)}; python -m benchmarks.tables draws the documents' tables anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
