"""Score every task and split with one model: the base model, or an adapter on it."""

import argparse
import shutil
import sys
import time
from pathlib import Path

from stagewise.cli import add_image, add_settings
from stagewise.config.step_settings import ScoringSettings
from stagewise.data.items import read_split
from stagewise.errors import InputError, exit_on_input_error
from stagewise.inference.prompts import Template
from stagewise.models.adapters import adapter_receipt
from stagewise.models.compute_type import resolve, with_compute_type
from stagewise.models.receipts import model_receipt
from stagewise.predictions.fingerprint import adapter_group, data_checksums, prediction_inputs
from stagewise.predictions.prediction_files import write_predictions
from stagewise.predictions.predictor import Predictor
from stagewise.provenance import cache
from stagewise.provenance.files import replaced_folder
from stagewise.provenance.packages import package_versions
from stagewise.provenance.receipts import RECEIPT, read_receipt, write_receipt


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.predict", description=__doc__)
    add_settings(parser, ScoringSettings, lambda config: with_compute_type(config).scoring_settings())
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--adapter", help="folder of the adapter; none scores the untuned base model")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument("--output", required=True, help="folder to write the prediction files to")
    parser.add_argument("--checkpoints", help="folder where finished predictions are kept by what they are made from")
    add_image(parser)
    args = parser.parse_args(argv)
    settings = args.parse_settings(args.settings)
    settings = settings.model_copy(update={"dtype": resolve(settings.dtype)})
    output = Path(args.output)

    templates = {name: Template.read(task.prompt, task.fields) for name, task in settings.tasks.items()}
    adapter = adapter_receipt(args.adapter, args.model) if args.adapter else None
    splits = data_checksums(args.data, settings)
    inputs = prediction_inputs(settings, templates, model_receipt(args.model)["fingerprint"], splits)
    inputs |= adapter_group(adapter)
    kept = cache.predictions_cache(args.checkpoints, inputs, args.image) if args.checkpoints else None
    if is_current(output, inputs, args.image):
        print(f"{output}: up to date", file=sys.stderr)
        return 0
    if output.is_dir() and any(p.suffix != ".csv" and p.name != RECEIPT for p in output.iterdir()):
        raise InputError(f"{output}: this folder holds something else than predictions; name another --output")
    if kept and is_current(kept, inputs, args.image):
        with replaced_folder(output) as folder:
            shutil.copytree(kept, folder, dirs_exist_ok=True)
        print(f"{output}: made before from the same adapter and items, copied", file=sys.stderr)
        return 0
    predict(settings, templates, inputs, args)
    if kept:
        shutil.rmtree(kept, ignore_errors=True)  # damaged, if it is there
        cache.keep(output, kept)
    return 0


def is_current(output: Path, inputs: dict, image: str | None) -> bool:
    """Check that `output` holds the predictions that these inputs give, every file as its receipt says."""
    if not (output / RECEIPT).is_file():
        return False
    try:
        receipt = read_receipt(output, "the predictions")
    except InputError:
        return False  # damaged or incomplete: made again
    names = {f"{name}.csv" for name in inputs["files"]}
    same_image = image in (None, receipt.get("image"))
    return same_image and receipt.get("inputs") == inputs and set(receipt["files"]) == names


def predict(settings: ScoringSettings, templates: dict[str, Template], inputs: dict, args) -> None:
    """Score everything and leave the files in ``args.output``, all of them or none."""
    from stagewise.models.torch_environment import before_torch

    before_torch()
    predictor = Predictor.load(settings, args.model, args.adapter)
    started, tokens, count, shortened, content_free = time.monotonic(), 0, 0, {}, {}
    with replaced_folder(args.output) as folder:
        for task in settings.tasks:
            if settings.evaluation.method == "likelihood":
                encoder, _, _ = predictor.encode(task, templates[task], [])
                content_free[task] = predictor.content_free(encoder)
            for split in settings.evaluation.splits:
                items = read_split(Path(args.data) / task / f"{split}.jsonl", settings.tasks[task].words)
                encoder, prompts, cut = predictor.encode(task, templates[task], items)
                rows = predictor.answer(encoder, prompts, progress=f"{task}.{split}")
                write_predictions(folder / f"{task}.{split}.csv", task, split, items, rows)
                tokens += sum(map(len, prompts))
                count += len(items)
                shortened[f"{task}.{split}"] = cut
        seconds = time.monotonic() - started
        device = predictor.model.device
        information = {
            "method": settings.evaluation.method,
            "seconds": round(seconds, 3),
            "tokens": tokens,
            "items": count,
            "shortened": shortened,
            "content_free": content_free,
            "device": device.type,
            "dtype": settings.dtype,
            "packages": package_versions(),
        }
        write_receipt(folder, {"inputs": inputs, "image": args.image} | information)
    print(f"{args.output}: {count} items in {seconds:.1f} s, {tokens / seconds:.0f} tokens/s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
