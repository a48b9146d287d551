"""Predict every task and split with one model, unless finished predictions of the same inputs are there."""

import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from stagewise.config.step_settings import ScoringSettings
from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.inference.control_tokens import describe_control_tokens
from stagewise.inference.finite import check_finite_logprobs
from stagewise.inference.prompts import Template
from stagewise.models.frozen_layers import KeptLayers
from stagewise.models.gpu_lock import take_gpus
from stagewise.models.receipts import model_receipt
from stagewise.models.shared_base import SharedBase
from stagewise.models.tuned import ScoredModel, scored_model
from stagewise.predictions.fingerprint import adapter_group, data_checksums, prediction_inputs
from stagewise.predictions.prediction_files import write_predictions
from stagewise.predictions.predictor import Predictor
from stagewise.predictions.training_answers import TrainingAnswers
from stagewise.provenance import cache
from stagewise.provenance.files import replaced_folder
from stagewise.provenance.lock import locked, locked_if_free
from stagewise.provenance.packages import package_versions
from stagewise.provenance.receipts import RECEIPT, read_receipt, write_receipt


@dataclass(frozen=True)
class PredictionJob:
    """One model's predictions to be made, with the checked facts of what they are made from."""

    settings: ScoringSettings
    """With a resolved compute type."""
    templates: dict[str, Template]
    """Each task's prompt."""
    scored: ScoredModel
    """What is loaded: the base model, maybe with an adapter, or a fully fine-tuned model."""
    data_dir: Path
    splits: dict[str, dict[str, str]]
    """SHA-256 of the splits that are scored, by task and split."""
    inputs: dict
    """Inputs record of the predictions."""
    image: str | None
    """SHA-256 of the container image that this runs in, if it does."""

    @classmethod
    def open(cls, settings: ScoringSettings, model_dir, adapter_dir, data_dir, image) -> "PredictionJob":
        """Read what the predictions are made from, and refuse inputs that do not fit together.

        Raises
        ------
        InputError
            If an input is not the one it should be.
        """
        templates = {name: Template.read(task.prompt, task.fields) for name, task in settings.tasks.items()}
        scored = scored_model(model_dir, adapter_dir)
        splits = data_checksums(data_dir, settings)
        inputs = prediction_inputs(settings, templates, model_receipt(model_dir)["fingerprint"], splits)
        inputs |= adapter_group(scored.receipt)
        return cls(settings, templates, scored, Path(data_dir), splits, inputs, image)

    def cached(self, checkpoints) -> Path:
        """Folder of the finished predictions in the cache."""
        return cache.predictions_cache(checkpoints, self.inputs, self.image)

    def write(self, folder: Path, base: SharedBase, name) -> None:
        """Predict, and write the prediction files and their receipt to an empty folder; say how long it took.

        Raises
        ------
        InputError
            If log-probabilities are not finite.
        """
        summary = write_all_predictions(folder, self, base)
        write_receipt(folder, {"inputs": self.inputs, "image": self.image} | summary)
        speed = summary["tokens"] / max(summary["seconds"], 1e-3)
        took = f"{summary['items']} items in {summary['seconds']:.1f} s, {speed:.0f} tokens/s"
        print(f"{name}: {took}", file=sys.stderr)


def predict_splits(
    settings: ScoringSettings,
    model_dir,
    adapter_dir,
    data_dir,
    output,
    checkpoints=None,
    image: str | None = None,
    kept_layers: KeptLayers | None = None,
) -> None:
    """Leave a folder with the predictions of every task and split, whole or not at all.

    Parameters
    ----------
    settings, model_dir, adapter_dir, data_dir, image
        As for `PredictionJob`.
    output
        Folder of the prediction files and their receipt. It may hold nothing else.
    checkpoints
        Folder with the cache of finished predictions; None uses no cache.
    kept_layers
        Where the frozen layers' output is kept; None computes it in every pass.

    Raises
    ------
    InputError
        If an input is not the one it should be, or log-probabilities are not finite.
    """
    output, job = Path(output), PredictionJob.open(settings, model_dir, adapter_dir, data_dir, image)
    cached = job.cached(checkpoints) if checkpoints else None
    if is_current(output, job.inputs, image):
        print(f"{output}: up to date", file=sys.stderr)
        return
    if output.is_dir() and any(path.suffix != ".csv" and path.name != RECEIPT for path in output.iterdir()):
        raise InputError(f"{output}: this folder holds something else than predictions; name another --output")
    name = f"the predictions {output}"
    if not (cached and cached.exists()):  # before the lock: who has it must not wait for a GPU
        take_gpus(1, name)
    with locked(cached, name) if cached else nullcontext():
        if cached and is_current(cached, job.inputs, image):
            with replaced_folder(output) as folder:
                shutil.copytree(cached, folder, dirs_exist_ok=True)
            print(f"{output}: made before from the same adapter and items, copied", file=sys.stderr)
            return
        with replaced_folder(output) as folder:
            base = SharedBase(job.scored.model_dir, settings.quantization, settings.dtype, kept_layers)
            job.write(folder, base, output)
        if cached:
            shutil.rmtree(cached, ignore_errors=True)  # damaged, if it is there
            cache.keep(output, cached)


@dataclass(frozen=True)
class Scoring:
    """Scoring of adapters by the process that has made them, with the base model that it has loaded."""

    settings: ScoringSettings
    """With a resolved compute type."""

    def seconds(self, data_dir: Path, per_byte: float) -> float:
        """Expect the seconds that scoring takes, at so many per byte of the items' files.

        They are infinite if answers are generated, which takes nobody knows how long.
        """
        if self.settings.evaluation.method != "likelihood":
            return float("inf")
        splits = self.settings.evaluation.splits
        files = [data_dir / task / f"{split}.jsonl" for task in self.settings.tasks for split in splits]
        return per_byte * sum(path.stat().st_size for path in files if path.is_file())

    def keep_predictions(
        self, base: SharedBase, adapter_dir: Path, data_dir: Path, checkpoints: Path, image: str | None, name: str
    ) -> None:
        """Leave an adapter's predictions in the cache, from which the prediction step copies them.

        Nothing is done if they are there, or another process makes them. `name` is the adapter's in messages.

        Raises
        ------
        InputError
            If an input is not the one it should be, or log-probabilities are not finite.
        """
        settings = self.settings
        if (settings.quantization, settings.dtype) != (base.quantization, base.dtype):
            raise InputError(
                f"--score: quantization {settings.quantization} and dtype {settings.dtype} are not the recipe's "
                f"{base.quantization} and {base.dtype}; write the recipe again"
            )
        job = PredictionJob.open(settings, base.model_dir, adapter_dir, data_dir, image)
        cached = job.cached(checkpoints)
        with locked_if_free(cached) as is_held:
            if not is_held or is_current(cached, job.inputs, image):
                return
            with replaced_folder(cached) as folder:
                job.write(folder, base, f"predictions of {name}")


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


def write_all_predictions(folder: Path, job: PredictionJob, base: SharedBase) -> dict:
    """Write the prediction file of every task and split; return a summary of the work for the receipt."""
    from stagewise.models.torch_environment import import_libraries

    settings, adapter_dir = job.settings, job.scored.adapter_dir
    import_libraries("peft" if adapter_dir else "transformers.modeling_utils", quantization=settings.quantization)
    predictor = Predictor.load(settings, base, adapter_dir)
    in_training = TrainingAnswers(adapter_dir, settings, job.templates, job.splits)
    started, tokens, count, content_free, changed = time.monotonic(), 0, 0, {}, {}
    shortened: dict[str, int] = {}
    control_tokens: dict[str, int] = {}
    device = predictor.model.device.type
    for task, spec in settings.tasks.items():
        encoder = predictor.encoder(task, job.templates[task])
        answers = predictor.score_content_free(encoder)
        # Generated answers show no numbers, so this is where a model without any is noticed.
        check_finite_logprobs([a["logprobs"] for a in answers], task, base.model_dir, adapter_dir, settings.dtype)
        if settings.evaluation.method == "likelihood":
            content_free[task] = answers
        for split in settings.evaluation.splits:
            items = read_split(job.data_dir / task / f"{split}.jsonl", spec.words)
            prompts = encoder.encode_prompts(items)
            rows = predictor.predict(encoder, prompts.ids, progress=f"{task}.{split}")
            check_finite_logprobs(_logprobs(rows), task, base.model_dir, adapter_dir, settings.dtype)
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
        "tokens_per_batch": predictor.tokens_per_batch,
        "changed_answers": changed,
        "device": device,
        "dtype": settings.dtype,
        "packages": package_versions(),
    }


def _logprobs(rows: list[dict]) -> list[float]:
    """Collect the log-probabilities of prediction rows; generated answers have none."""
    return [value for row in rows for name, value in row.items() if name.startswith("logprob:") and value is not None]
