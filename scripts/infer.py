"""Ask a trained adapter, or the untuned base model, about one item or a file of them.

An adapter remembers the prompt, labels and model of its own task and of the stages before it; for any other
task, and for the base model, they come from the settings (config.yaml if --settings is not given).
"""

import argparse
import json
import sys

from stagewise.cli import add_settings, positive
from stagewise.config.step_settings import ScoringSettings
from stagewise.errors import exit_on_input_error
from stagewise.inference.item_files import item_from_fields, item_from_json, read_item_file, write_answers
from stagewise.inference.question import ask_model, describe_answer, find_model, find_question
from stagewise.models.compute_type import with_compute_type
from stagewise.models.tuned import scored_model

EPILOG = """examples:
  python -m scripts.infer --adapter results/base/seed-0/pubmedqa --field question="Does ...?" --field context="..."
  python -m scripts.infer --adapter DIR --task dreaddit --input posts.csv --output answers.jsonl
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.infer",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--adapter", help="folder of the adapter; none asks the untuned base model")
    parser.add_argument("--task", help="task of the items; the adapter's own if not given")
    parser.add_argument("--model", help="folder of the base model; models/NAME if not given")
    items = parser.add_mutually_exclusive_group(required=True)
    items.add_argument("--item", metavar="JSON", help='one item, such as {"question": "...", "context": "..."}')
    items.add_argument("--field", action="append", metavar="NAME=TEXT", help="one field of one item; repeat it")
    items.add_argument("--input", metavar="FILE", help="items: JSON lines, or CSV with one column per field")
    parser.add_argument("--output", metavar="FILE", help="write the answers here: .csv, else JSON lines")
    parser.add_argument("--json", action="store_true", help="print JSON for a single item too")
    parser.add_argument("--tokens-per-batch", type=positive, default=4096, help="padded tokens per batch (%(default)s)")
    add_settings(parser, ScoringSettings, with_compute_type, required=False)
    return parser


@exit_on_input_error
def main(argv=None) -> int:
    args = build_parser().parse_args(argv)
    question = find_question(args.adapter, args.task, args.settings, args.parse_settings)
    if args.input:
        items = read_item_file(args.input, question)
    elif args.item:
        items = [item_from_json(args.item, question)]
    else:
        items = [item_from_fields(args.field, question)]
    model = find_model(args.model, question)
    scored = scored_model(model, args.adapter)
    answers = ask_model(question, items, scored.model_dir, scored.adapter_dir, args.tokens_per_batch)
    if not args.input:
        del answers[0]["id"]  # a single item has no name
    if args.output:
        write_answers(args.output, answers)
        print(f"{args.output}: {len(answers)} answers", file=sys.stderr)
    elif args.input or args.json:
        for answer in answers:
            print(json.dumps(answer, ensure_ascii=False))
    else:
        print(describe_answer(answers[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
