"""Predict every task and split with one model, unless finished predictions of the same inputs are there."""

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from stagewise.config.step_settings import ScoringSettings
from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.inference.control_tokens import describe_control_tokens
from stagewise.inference.finite import check_finite_logprobs
from stagewise.inference.generated_answers import with_answer_limit
from stagewise.inference.template import Template
from stagewise.models.frozen_layers import KeptLayers
from stagewise.models.gpu_lock import take_gpus
from stagewise.models.receipts import model_receipt
from stagewise.models.shared_base import SharedBase
from stagewise.models.tuned import ScoredModel, scored_model
from stagewise.predictions.fingerprint import adapter_group, data_checksums, prediction_inputs, split_name
from stagewise.predictions.kept_files import KeptFiles, is_current
from stagewise.predictions.prediction_files import write_predictions
from stagewise.predictions.predictor import Predictor
from stagewise.predictions.training_answers import TrainingAnswers
from stagewise.provenance.files import replaced_folder
from stagewise.provenance.lock import locked, locked_if_free
from stagewise.provenance.packages import PACKAGES, package_versions
from stagewise.provenance.receipts import RECEIPT
from stagewise.task_kinds import LABEL_KINDS


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
        templates = {name: Template.read(task.prompt, task.variables) for name, task in settings.tasks.items()}
        scored = scored_model(model_dir, adapter_dir)
        splits = data_checksums(data_dir, settings)
        inputs = prediction_inputs(settings, templates, model_receipt(model_dir)["fingerprint"], splits)
        inputs |= adapter_group(scored.receipt)
        return cls(settings, templates, scored, Path(data_dir), splits, inputs, image)

    def kept(self, checkpoints) -> KeptFiles:
        """Finished files in the cache."""
        return KeptFiles(Path(checkpoints), self.inputs, self.image)

    def make(self, names: list[str], kept: KeptFiles, base: SharedBase, title) -> None:
        """Make these files, named as ``task.split``, and keep them one by one; say how long it took.

        Raises
        ------
        InputError
            If log-probabilities are not finite.
        """
        facts = make_files(names, kept, self, base)
        items, tokens, seconds = (sum(entry[key] for entry in facts) for key in ("items", "tokens", "seconds"))
        took = f"{items} items in {seconds:.1f} s, {tokens / max(seconds, 1e-3):.0f} tokens/s"
        print(f"{title}: {took}", file=sys.stderr)


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
    if is_current(output, job.inputs, image):
        print(f"{output}: up to date", file=sys.stderr)
        return
    if output.is_dir() and any(path.suffix != ".csv" and path.name != RECEIPT for path in output.iterdir()):
        raise InputError(f"{output}: this folder holds something else than predictions; name another --output")
    with nullcontext(checkpoints) if checkpoints else TemporaryDirectory() as folder:
        kept, title = job.kept(folder), f"the predictions {output}"
        kept.take(output)
        kept.take(kept.together)
        if kept.missing():  # before the lock: who has it must not wait for a GPU
            take_gpus(1, title)
        with locked(kept.together, title):
            names = kept.missing()
            if names:
                base = SharedBase(job.scored.model_dir, settings.quantization, settings.dtype, kept_layers)
                job.make(names, kept, base, output)
            with replaced_folder(output) as made:
                kept.copy_all(made)
        if copied := len(job.inputs["files"]) - len(names):
            of = f"{copied} of {copied + len(names)} files" if names else "all files"
            print(f"{output}: {of} made before from the same adapter and items, copied", file=sys.stderr)


@dataclass(frozen=True)
class Scoring:
    """Scoring of adapters by the process that has made them, with the base model that it has loaded."""

    settings: ScoringSettings
    """With a resolved compute type."""

    def seconds(self, data_dir: Path, per_byte: float) -> float:
        """Expect the seconds that scoring takes, at so many per byte of the items' files.

        They are infinite if answers are generated, which takes nobody knows how long.
        """
        kinds = {task.kind for task in self.settings.tasks.values()}
        if self.settings.evaluation.method != "likelihood" or not kinds <= set(LABEL_KINDS):
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
        kept = job.kept(checkpoints)
        kept.take(kept.together)
        with locked_if_free(kept.together) as is_held:
            if is_held and (names := kept.missing()):
                job.make(names, kept, base, f"predictions of {name}")


def make_files(names: list[str], kept: KeptFiles, job: PredictionJob, base: SharedBase) -> list[dict]:
    """Score the items of files named as ``task.split``, and keep each file; return how each was made (`FACTS`)."""
    from stagewise.models.torch_environment import import_libraries

    settings, adapter_dir = job.settings, job.scored.adapter_dir
    import_libraries("peft" if adapter_dir else "transformers.modeling_utils", quantization=settings.quantization)
    predictor = Predictor.load(settings, base, adapter_dir)
    in_training = TrainingAnswers(adapter_dir, settings, job.templates, job.splits)
    splits: dict[str, list[str]] = {}
    for task, split in map(split_name, names):
        splits.setdefault(task, []).append(split)
    facts = [entry for task in splits for entry in _make_task(task, splits[task], kept, job, predictor, in_training)]
    if count := sum(entry["control_tokens"] for entry in facts):
        print(describe_control_tokens(count), file=sys.stderr)
    return facts


def _make_task(
    task: str,
    splits: list[str],
    kept: KeptFiles,
    job: PredictionJob,
    predictor: Predictor,
    in_training: TrainingAnswers,
) -> Iterator[dict]:
    """Score the items of a task's splits, and keep a file for each; yield how each was made."""
    settings, started = job.settings, time.monotonic()  # what is done once for a task counts with its first file
    spec = settings.tasks[task]
    model_dir, adapter_dir = job.scored.model_dir, job.scored.adapter_dir
    check = partial(
        check_finite_logprobs, task=task, model_dir=model_dir, adapter_dir=adapter_dir, dtype=settings.dtype
    )
    encoder = predictor.encoder(task, job.templates[task])
    content_free = predictor.score_content_free(encoder)
    # Generated answers show no numbers, so this is where a model without any is noticed.
    check([answer["logprobs"] for answer in content_free])
    # An input without content has no number of options, on which the letters' distribution rests.
    calibrates = settings.evaluation.method == "likelihood" and spec.kind in ("classification", "ordinal")
    for split in splits:
        items = read_split(job.data_dir / task / f"{split}.jsonl", spec.words)
        asked = with_answer_limit(encoder, items, spec.max_new_tokens)
        prompts = asked.encode_prompts(items)
        rows = predictor.predict(asked, items, prompts.ids, progress=f"{task}.{split}")
        check(_logprobs(items, rows, spec.words))
        device, changed = predictor.model.device.type, None
        if split == "validation" and task in in_training.codes:
            changed = in_training.count_changes(task, [row["prediction"] for row in rows], device)
        facts = {
            "method": settings.evaluation.method,
            "seconds": round(time.monotonic() - started, 3),
            "tokens": sum(map(len, prompts.ids)),
            "items": len(items),
            "shortened": prompts.shortened,
            "control_tokens": prompts.control_tokens,
            "content_free": content_free if calibrates else None,
            "tokens_per_batch": predictor.tokens_per_batch,
            "changed_answers": changed,
            "device": device,
            "dtype": settings.dtype,
            "packages": package_versions(PACKAGES if spec.kind != "generation" else (*PACKAGES, "rouge-score")),
        }
        write = partial(write_predictions, task=task, split=split, items=items, rows=rows)
        kept.write(f"{task}.{split}", write, facts)
        started = time.monotonic()
        yield facts


def _logprobs(items: list[dict], rows: list[dict], words: list[str]) -> list[float]:
    """Collect the log-probabilities of the labels that each item has; generated answers have none."""
    return [
        value
        for item, row in zip(items, rows, strict=True)
        for word in words[: item.get("options")]
        if (value := row.get(f"logprob:{word}")) is not None
    ]
