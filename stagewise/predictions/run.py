"""Predict every task and split with one model, unless finished predictions of the same inputs are there."""

import shutil
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from stagewise.config.step_settings import ScoringSettings
from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.inference.control_tokens import describe_control_tokens
from stagewise.inference.finite import check_finite_logprobs
from stagewise.inference.prompts import Template
from stagewise.models.adapters import adapter_receipt
from stagewise.models.receipts import model_receipt
from stagewise.predictions.fingerprint import adapter_group, data_checksums, prediction_inputs
from stagewise.predictions.prediction_files import write_predictions
from stagewise.predictions.predictor import Predictor
from stagewise.predictions.training_answers import TrainingAnswers
from stagewise.provenance import cache
from stagewise.provenance.files import replaced_folder
from stagewise.provenance.lock import locked
from stagewise.provenance.packages import package_versions
from stagewise.provenance.receipts import RECEIPT, read_receipt, write_receipt


def predict_splits(
    settings: ScoringSettings, model_dir, adapter_dir, data_dir, output, checkpoints=None, image: str | None = None
) -> None:
    """Leave a folder with the predictions of every task and split, whole or not at all.

    Parameters
    ----------
    settings
        Settings with a resolved compute type.
    adapter_dir
        Folder of the adapter; None for the untuned base model.
    output
        Folder of the prediction files and their receipt. It may hold nothing else.
    checkpoints
        Folder with the cache of finished predictions; None uses no cache.
    image
        SHA-256 of the container image that this runs in, if it does.

    Raises
    ------
    InputError
        If an input is not the one it should be, or log-probabilities are not finite.
    """
    output = Path(output)
    templates = {name: Template.read(task.prompt, task.fields) for name, task in settings.tasks.items()}
    adapter = adapter_receipt(adapter_dir, model_dir) if adapter_dir else None
    splits = data_checksums(data_dir, settings)
    inputs = prediction_inputs(settings, templates, model_receipt(model_dir)["fingerprint"], splits)
    inputs |= adapter_group(adapter)
    cached = cache.predictions_cache(checkpoints, inputs, image) if checkpoints else None
    if is_current(output, inputs, image):
        print(f"{output}: up to date", file=sys.stderr)
        return
    if output.is_dir() and any(path.suffix != ".csv" and path.name != RECEIPT for path in output.iterdir()):
        raise InputError(f"{output}: this folder holds something else than predictions; name another --output")
    with locked(cached, f"the predictions {output}") if cached else nullcontext():
        if cached and is_current(cached, inputs, image):
            with replaced_folder(output) as folder:
                shutil.copytree(cached, folder, dirs_exist_ok=True)
            print(f"{output}: made before from the same adapter and items, copied", file=sys.stderr)
            return
        with replaced_folder(output) as folder:
            in_training = TrainingAnswers(adapter_dir, settings, templates, splits)
            summary = write_all_predictions(folder, settings, templates, model_dir, adapter_dir, data_dir, in_training)
            write_receipt(folder, {"inputs": inputs, "image": image} | summary)
        speed, where = summary["tokens"] / max(summary["seconds"], 1e-3), f"{output}: {summary['items']} items"
        print(f"{where} in {summary['seconds']:.1f} s, {speed:.0f} tokens/s", file=sys.stderr)
        if cached:
            shutil.rmtree(cached, ignore_errors=True)  # damaged, if it is there
            cache.keep(output, cached)


def is_current(folder: Path, inputs: dict, image: str | None) -> bool:
    """Check that a folder holds the predictions that these inputs give, every file as its receipt says."""
    if not (folder / RECEIPT).is_file():
        return False
    try:
        receipt = read_receipt(folder, "the predictions")
    except InputError:
        return False  # damaged or incomplete: made again
    names = {f"{name}.csv" for name in inputs["files"]}
    same_image = image in (None, receipt.get("image"))
    return same_image and receipt.get("inputs") == inputs and set(receipt["files"]) == names


def write_all_predictions(
    folder: Path,
    settings: ScoringSettings,
    templates: dict[str, Template],
    model_dir,
    adapter_dir,
    data_dir,
    in_training: TrainingAnswers,
) -> dict:
    """Write the prediction file of every task and split; return a summary of the work for the receipt."""
    from stagewise.models.torch_environment import import_libraries

    import_libraries("peft" if adapter_dir else "transformers.modeling_utils", quantization=settings.quantization)
    predictor = Predictor.load(settings, model_dir, adapter_dir)
    started, tokens, count, content_free, changed = time.monotonic(), 0, 0, {}, {}
    shortened: dict[str, int] = {}
    control_tokens: dict[str, int] = {}
    device = predictor.model.device.type
    for task, spec in settings.tasks.items():
        encoder = predictor.encoder(task, templates[task])
        answers = predictor.score_content_free(encoder)
        # Generated answers show no numbers, so this is where a model without any is noticed.
        check_finite_logprobs([a["logprobs"] for a in answers], task, model_dir, adapter_dir, settings.dtype)
        if settings.evaluation.method == "likelihood":
            content_free[task] = answers
        for split in settings.evaluation.splits:
            items = read_split(Path(data_dir) / task / f"{split}.jsonl", spec.words)
            prompts = encoder.encode_prompts(items)
            rows = predictor.predict(encoder, prompts.ids, progress=f"{task}.{split}")
            check_finite_logprobs(_logprobs(rows), task, model_dir, adapter_dir, settings.dtype)
            write_predictions(folder / f"{task}.{split}.csv", task, split, items, rows)
            tokens += sum(map(len, prompts.ids))
            count += len(items)
            shortened[f"{task}.{split}"] = prompts.shortened
            control_tokens[f"{task}.{split}"] = prompts.control_tokens
            if split == "validation" and task in in_training.codes:
                changed[task] = in_training.count_changes(task, [row["prediction"] for row in rows], device)
    if sum(control_tokens.values()):
        print(describe_control_tokens(sum(control_tokens.values())), file=sys.stderr)
    return {
        "method": settings.evaluation.method,
        "seconds": round(time.monotonic() - started, 3),
        "tokens": tokens,
        "items": count,
        "shortened": shortened,
        "control_tokens": control_tokens,
        "content_free": content_free,
        "changed_answers": changed,
        "device": device,
        "dtype": settings.dtype,
        "packages": package_versions(),
    }


def _logprobs(rows: list[dict]) -> list[float]:
    """Collect the log-probabilities of prediction rows; generated answers have none."""
    return [value for row in rows for name, value in row.items() if name.startswith("logprob:") and value is not None]
