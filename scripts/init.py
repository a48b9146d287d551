"""Look at a data set and write an experiment about it: a complete, commented overlay and a prompt file.

    python -m scripts.init reviews.csv
    python -m scripts.init train.jsonl dev.jsonl test.jsonl --after pubmedqa
    python -m scripts.init owner/name@revision --label stance    # a data set of the hub

Format, labels, texts, splits and lengths are seen in the data; options overrule what was seen.
"""

import argparse
import sys
from typing import get_args

from stagewise.errors import exit_on_input_error
from stagewise.onboarding.survey import Choices
from stagewise.onboarding.write import Request, summary_lines, write_overlay
from stagewise.task_kinds import TaskKind


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.init", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="CSV, TSV, JSON, JSON lines or Parquet, [train|validation|test=]FILE; or "
        "owner/name[:configuration]@revision",
    )
    parser.add_argument("--name", help="name of the task and of the experiment (the file's)")
    parser.add_argument("--kind", choices=get_args(TaskKind), help="kind of task")
    parser.add_argument("--label", metavar="COLUMN", help="column with the answer")
    parser.add_argument("--fields", "--text", nargs="+", default=[], metavar="COLUMN", help="columns for the prompt")
    parser.add_argument("--id", metavar="COLUMN", help="column that identifies an item; an empty text for none")
    parser.add_argument("--options", nargs="+", default=[], metavar="COLUMN", help="columns with each item's options")
    parser.add_argument("--output", metavar="FILE", help="overlay to write (experiments/NAME.yaml)")
    parser.add_argument("--after", metavar="TASK", help="task to learn first: of config.yaml, or another overlay")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    return parser


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    args = build_parser().parse_args(argv)
    choices = Choices(kind=args.kind, label=args.label, fields=args.fields, id=args.id, options=args.options)
    request = Request(args.files, choices, name=args.name, output=args.output, after=args.after, force=args.force)
    for line in summary_lines(write_overlay(request)):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
