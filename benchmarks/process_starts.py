"""Count the processes of a study that load the base model, as a Markdown table; nothing is run.

python -m benchmarks.process_starts                                   # the three-seed study of all remedies
python -m benchmarks.process_starts --trainings 1 4 8 --config experiments/real.yaml

With `--trainings 1` a process trains and scores one adapter; with more it goes on with others from the same parent. The
counts are those of jobs that run one after the other, as on one GPU. Jobs side by side share the adapters of a parent
between them, so that there may be one process more for each further job and parent, and never more than with 1.
"""

import argparse
import math
import sys
from collections import Counter
from dataclasses import dataclass

from stagewise.config.experiment import Config
from stagewise.config.load_config import load
from stagewise.lineage import lineage_tree


@dataclass(frozen=True)
class Starts:
    """Processes that load the base model."""

    trainings: int
    merges: int
    predictions: int

    @property
    def total(self) -> int:
        return self.trainings + self.merges + self.predictions


def separate_starts(config: Config) -> Starts:
    """Count one process a training, a merge and a prediction."""
    adapters = lineage_tree(config).values()
    trained = sum(adapter.training is not None for adapter in adapters)
    return Starts(trained, len(adapters) - trained, len(adapters) + 1)


def shared_starts(config: Config, trainings: int) -> Starts:
    """Count processes that score what they make, and train up to so many adapters of one parent.

    Predictions of the untuned base model are made by a process of their own.
    """
    adapters = lineage_tree(config).values()
    families = Counter(adapter.parent for adapter in adapters if adapter.training is not None)
    processes = sum(math.ceil(size / trainings) for size in families.values())
    return Starts(processes, len(adapters) - families.total(), 1)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.process_starts", description=__doc__.split("\n")[0])
    parser.add_argument("--config", nargs="+", default=["benchmarks/twenty_arms.yaml"], help="overlays on config.yaml")
    parser.add_argument("--trainings", type=int, nargs="+", default=[1, 4, 8], help="adapters per process at most")
    args = parser.parse_args(argv)
    config = load("config.yaml", *args.config)
    rows = {"a process each": separate_starts(config)}
    rows |= {f"scored at once, {number} per process": shared_starts(config, number) for number in args.trainings}
    print("| | trainings | merges | predictions | processes |\n|---|---:|---:|---:|---:|")
    for name, starts in rows.items():
        print(f"| {name} | {starts.trainings} | {starts.merges} | {starts.predictions} | {starts.total} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
