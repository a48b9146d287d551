"""Ask a trained adapter, or the untuned base model, about one item or a file of them.

An adapter remembers the prompt, labels and model of its own task and of the stages before it; for any other
task, and for the base model, the settings say them (config.yaml if --settings is not given).
"""

import argparse
import json
import math
import sys
from pathlib import Path

from stagewise.cli import add_settings
from stagewise.config.step_settings import ScoringSettings
from stagewise.errors import InputError, exit_on_input_error
from stagewise.inference.question import Question, every_task, remembered
from stagewise.models.adapters import adapter_receipt, load_adapter
from stagewise.models.compute_type import with_compute_type
from stagewise.models.load import load_base, load_tokenizer

DEFAULT_SETTINGS = "config.yaml"
EPILOG = """examples:
  python -m scripts.infer --adapter results/base/seed-0/pubmedqa --field question="Does ...?" --field context="..."
  python -m scripts.infer --adapter DIR --task dreaddit --input posts.csv --output answers.jsonl
"""


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.infer",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--adapter", help="folder of the adapter; none asks the untuned base model")
    parser.add_argument("--task", help="task of the items; the adapter's own if not given")
    parser.add_argument("--model", help="folder of the base model; models/NAME if not given")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--item", metavar="JSON", help='one item, such as {"question": "...", "context": "..."}')
    given.add_argument("--field", action="append", metavar="NAME=TEXT", help="one field of one item; repeat it")
    given.add_argument("--input", metavar="FILE", help="items: JSON lines, or CSV with one column per field")
    parser.add_argument("--output", metavar="FILE", help="write the answers here: .csv, else JSON lines")
    parser.add_argument("--json", action="store_true", help="print JSON for a single item too")
    parser.add_argument("--tokens-per-batch", type=int, default=4096, help="padded tokens per batch (%(default)s)")
    named = {}

    def narrow(config):
        named["model"] = config.model
        return every_task(with_compute_type(config))

    add_settings(parser, ScoringSettings, narrow, required=False)
    args = parser.parse_args(argv)

    question = choose(args, lambda values: (args.parse_settings(values), named.get("model")))
    items = read_items(args, question)
    model_dir = find_model(args.model, question)
    if args.adapter:
        adapter_receipt(args.adapter, model_dir)
    answers = ask(question, items, model_dir, args)
    if args.output:
        write(Path(args.output), answers)
        print(f"{args.output}: {len(answers)} answers", file=sys.stderr)
    elif args.input or args.json:
        for answer in answers:
            print(json.dumps(answer, ensure_ascii=False))
    else:
        shares = ", ".join(f"{word} {share:.3f}" for word, share in answers[0]["probabilities"].items())
        print(f"{answers[0]['label']}  ({shares})")
    return 0


def choose(args, read_settings) -> Question:
    """The task to ask about: from --settings if given, else as the adapter remembers it, else from config.yaml."""
    known = remembered(args.adapter) if args.adapter else {}
    task = args.task or next(iter(known), None)
    if task is None:
        raise InputError("--task: name the task to ask about")
    if args.settings is None and task in known:
        return Question.from_recipe(known[task], task)
    if args.settings is None and not Path(DEFAULT_SETTINGS).is_file():
        remembers = f"the adapter remembers {', '.join(known)} and " if known else ""
        raise InputError(f"--task '{task}': {remembers}there is no {DEFAULT_SETTINGS} here; name it with --settings")
    settings, model = read_settings(args.settings or [DEFAULT_SETTINGS])
    return Question.from_settings(settings, task, model)


def find_model(given: str | None, question: Question) -> str:
    if given:
        return given
    if question.model is None:
        raise InputError("--model: name the folder of the base model")
    folder = Path("models") / question.model
    if not (folder / "receipt.json").is_file():
        raise InputError(
            f"{folder}: the base model is not there; fetch it (scripts.fetch_model) or name it with --model"
        )
    return str(folder)


def read_items(args, question: Question) -> list[dict]:
    """The items to ask about, each checked."""
    if args.field:
        pairs = [text.partition("=") for text in args.field]
        if broken := next((name for name, sign, _ in pairs if not sign), None):
            raise InputError(f"--field '{broken}': write NAME=TEXT")
        if len({name for name, _, _ in pairs}) < len(pairs):
            raise InputError("--field: a field is given twice; one item has each field once")
        return [question.item({name: text for name, _, text in pairs}, "--field")]
    if args.item:
        return [question.item(_object(args.item, "--item"), "--item")]
    path = Path(args.input)
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            if path.suffix == ".csv":
                import csv

                rows = [{k: v for k, v in row.items() if k is not None} for row in csv.DictReader(handle)]
            else:
                rows = [_object(line, f"{path}: line {n}") for n, line in enumerate(handle, 1) if line.strip()]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    if not rows:
        raise InputError(f"{path}: no items in this file")
    return [question.item(row, f"{path}: item {n}", n) for n, row in enumerate(rows, 1)]


def _object(text: str, where: str) -> dict:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{where}: an item is a JSON object with one text per field")
    return values


def ask(question: Question, items: list[dict], model_dir: str, args) -> list[dict]:
    """Label and probabilities of each item, renormalized over the task's labels."""
    from stagewise.models.torch_environment import before_torch

    before_torch()
    from stagewise.inference import likelihood

    tokenizer = load_tokenizer(model_dir)
    encoder = question.encoder(tokenizer)
    prompts = [encoder.prompt(item) for item in items]
    if cut := sum(shortened for _, shortened in prompts):
        print(f"{cut} of {len(items)} items were shortened to {question.max_length} tokens", file=sys.stderr)
    model = load_base(model_dir, question.quantization, question.dtype)
    if args.adapter:
        model = load_adapter(model, args.adapter)
    progress = question.task if len(items) > 1 else None
    rows = likelihood.score(
        model, tokenizer, [ids for ids, _ in prompts], encoder.answers, args.tokens_per_batch, progress
    )
    answers = []
    for item, row in zip(items, rows, strict=True):
        weights = [math.exp(value - max(row)) for value in row]
        shares = {word: weight / sum(weights) for word, weight in zip(question.words, weights, strict=True)}
        answer = {"label": question.words[row.argmax()], "probabilities": shares}
        answers.append({"id": item["id"]} | answer if args.input else answer)
    return answers


def write(path: Path, answers: list[dict]) -> None:
    import csv

    from stagewise.provenance.files import atomic

    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as handle:
        if path.suffix == ".csv":
            rows = [{k: v for k, v in a.items() if k != "probabilities"} | a["probabilities"] for a in answers]
            writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        else:
            handle.writelines(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)


if __name__ == "__main__":
    sys.exit(main())
