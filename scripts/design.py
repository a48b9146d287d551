"""Say what an experiment could show, before anything is trained: a table, and a picture.

    python -m scripts.design --configfile config.yaml experiments/remedies.yaml

For a range of assumed training noise it prints the difference that each kind of claim finds with 80 % power, and how
many seeds, or test items, an effect of a given size would take. Test items are counted in the raw files, which
`snakemake splits` fetches; --items TASK=NUMBER says how many there will be instead, and how many a harness task has.
"""

import argparse
import math
import re
import sys
from pathlib import Path

from stagewise.config.load_config import load
from stagewise.errors import InputError, exit_on_input_error
from stagewise.provenance.files import atomic

NOISE = (0.0, 1.0, 2.0, 3.0, 6.0)


@exit_on_input_error
def main(argv=None) -> int:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.design", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configfile", nargs="+", default=["config.yaml"], metavar="FILE", help="later ones win")
    parser.add_argument("--noise", type=_points, nargs="+", default=[n / 100 for n in NOISE], help="points")
    parser.add_argument("--effect", type=_points, nargs="+", default=[0.05, 0.1], help="effects to plan for, points")
    parser.add_argument("--disagreement", type=_percent, default=0.2, help="%% of items on which two trainings differ")
    parser.add_argument("--accuracy", type=_percent, default=0.65, help="assumed accuracy, %%")
    spread = "points by which two trainings' scores of an item differ (standard deviation), of generated answers"
    parser.add_argument("--deviation", type=_points, default=0.3, help=spread)
    parser.add_argument("--items", type=_items, nargs="+", default=[], metavar="TASK=NUMBER", help="test items")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="SVG to write; design.svg in the results folder")
    arguments = parser.parse_args(argv)
    files = arguments.configfile
    config = load(*(files if files[0] == "config.yaml" else ["config.yaml", *files]))

    from stagewise.metrics.design import Assumed, plan_of
    from stagewise.pipeline.planned_items import count_items
    from stagewise.pipeline.study_design import design_picture, design_tables

    given = dict(arguments.items)
    planned = [*config.active_tasks, *(config.probes.harness.tasks if config.probes.harness else [])]
    if unknown := sorted(set(given) - set(planned)):
        raise InputError(f"--items: '{unknown[0]}' is no task of an arm or probe; tasks are {', '.join(planned)}")
    tasks, overlap = count_items(config, given)
    design = plan_of(config, tasks, overlap)
    assumed = [
        Assumed(noise, arguments.disagreement, arguments.accuracy, deviation=arguments.deviation)
        for noise in arguments.noise
    ]
    print("\n".join(design_tables(config.experiment, design, assumed, arguments.effect)))
    path = arguments.picture or Path(config.results) / "design.svg"
    with atomic(path) as temporary:
        temporary.write_text(design_picture(config.experiment, design, assumed), encoding="utf-8")
    print(f"\nPicture: {path}")
    return 0


def _points(text: str) -> float:
    value = _number(text) / 100
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of points from 0 to 100")
    return value


def _number(text: str) -> float:
    """Read a number; what is none is not a number, and in no range."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _percent(text: str) -> float:
    value = _number(text) / 100
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no percentage between 0 and 100")
    return value


def _items(text: str) -> tuple[str, int]:
    task, separator, number = text.partition("=")
    if not separator or not re.fullmatch("[0-9]{1,9}", number) or int(number) < 2:
        raise argparse.ArgumentTypeError(f"'{text[:40]}' is not TASK=NUMBER with 2 to 999999999 items")
    return task, int(number)


if __name__ == "__main__":
    sys.exit(main())
