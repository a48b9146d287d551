"""Prediction files: what determines them, how they are made and written. Only `Predictor` needs torch."""

from dataclasses import dataclass
from pathlib import Path

from forgetting import receipts
from forgetting.config import ScoringSettings
from forgetting.errors import InputError, read_json
from forgetting.lora import ADAPTER_WEIGHTS
from forgetting.prompts import Encoder, Template


def settings_fingerprint(settings: ScoringSettings, templates: dict[str, Template]) -> str:
    """Hash of the settings that predictions depend on; `templates` holds each task's prompt.

    Where items come from is left out (their checksums are facts of their own), and so is what changes only speed.
    """
    evaluation = {"method": settings.evaluation.method}
    if settings.evaluation.method == "generation":
        evaluation |= {"parse": settings.evaluation.parse, "max_new_tokens": settings.evaluation.max_new_tokens}
    return receipts.fingerprint(
        {
            "prompting": settings.prompting.model_dump(),
            "quantization": settings.quantization,
            "dtype": settings.dtype,
            "max_length": settings.max_length,
            "evaluation": evaluation,
            "tasks": {
                name: {"prompt": templates[name].text, "words": task.words, "shorten": task.shorten}
                for name, task in settings.tasks.items()
            },
        }
    )


def facts(settings: ScoringSettings, templates: dict[str, Template], model: str, data_dir, checksum=None) -> dict:
    """What predictions are made from, the adapter aside (`adapter_facts`); their receipt holds it.

    `model` is the base model's fingerprint; `checksum` tells a split's SHA-256 where it is known without reading it.
    """
    return {
        "model": model,
        "settings": settings_fingerprint(settings, templates),
        "data": data_checksums(data_dir, settings, checksum),
        "method": settings.evaluation.method,
    }


def adapter_facts(receipt: dict | None) -> dict:
    """What predictions say of the adapter with this receipt; None is the untuned base model."""
    return {
        "adapter": receipt and receipt["fingerprint"],
        # Training on a GPU is not reproducible to the bit: the recipe alone does not say which weights these are.
        "adapter_weights": receipt and receipt["files"][ADAPTER_WEIGHTS],
    }


def data_checksums(data_dir, settings: ScoringSettings, checksum=None) -> dict[str, dict[str, str]]:
    """SHA-256 of every split file that is to be scored, by task and split, checked against the data's summary.

    Raises
    ------
    InputError
        Where a split is missing or not the one that the summary describes.
    """
    data_dir = Path(data_dir)
    summary = read_json(data_dir / "summary.json", "the data's summary")
    checksums: dict[str, dict[str, str]] = {}
    for task in settings.tasks:
        for split in settings.evaluation.splits:
            path = data_dir / task / f"{split}.jsonl"
            try:
                expected = summary["tasks"][task]["splits"][split]["sha256"]
            except KeyError:
                raise InputError(
                    f"{data_dir / 'summary.json'}: says nothing of {task}'s {split} split; run the step that makes the "
                    "splits again"
                ) from None
            if not checksum and not path.is_file():
                raise InputError(f"{path}: the split is missing; run the step that makes the splits")
            if (checksum or receipts.sha256_file)(path) != expected:
                raise InputError(f"{path}: not the file that summary.json describes (edited?); make the splits again")
            checksums.setdefault(task, {})[split] = expected
    return checksums


# The inputs of Zhao et al. 2021 (arXiv:2102.09690), section 5.
CONTENT_FREE = ("N/A", "[MASK]", "")


@dataclass
class Predictor:
    """A loaded model that answers items of any task."""

    model: object
    tokenizer: object
    settings: ScoringSettings

    @classmethod
    def load(cls, settings: ScoringSettings, model_dir, adapter_dir=None) -> "Predictor":
        """Load the base model and, if given, the adapter; `models.adapter_receipt` has checked that they fit."""
        from forgetting import models

        model = models.load_base(model_dir, settings.quantization, settings.dtype)
        if adapter_dir is not None:
            model = models.load_adapter(model, adapter_dir)
        return cls(model, models.load_tokenizer(model_dir), settings)

    def encode(self, task: str, template: Template, items: list[dict]) -> tuple[Encoder, list[list[int]], int]:
        """The task's encoder, every item's prompt as token ids, and how many prompts were shortened to fit."""
        spec = self.settings.tasks[task]
        encoder = Encoder(
            self.tokenizer, template, self.settings.prompting, spec.words, self.settings.max_length, spec.shorten
        )
        prompts = [encoder.prompt(item) for item in items]
        return encoder, [ids for ids, _ in prompts], sum(shortened for _, shortened in prompts)

    def content_free(self, encoder: Encoder) -> list[dict]:
        """Log-probability of each label after inputs that say nothing, every field replaced (Zhao et al. 2021).

        Returns
        -------
        ``{"input", "logprobs"}`` per text of `CONTENT_FREE`; log-probabilities in label order, nats.
        """
        from forgetting import scoring

        prompts = [
            encoder.prompt({"id": f"content-free {text!r}", "fields": dict.fromkeys(encoder.template.fields, text)})[0]
            for text in CONTENT_FREE
        ]
        rows = scoring.score(
            self.model, self.tokenizer, prompts, encoder.answers, self.settings.evaluation.tokens_per_batch
        )
        return [{"input": text, "logprobs": row.tolist()} for text, row in zip(CONTENT_FREE, rows, strict=True)]

    def answer(self, encoder: Encoder, prompts: list[list[int]], progress: str | None = None) -> list[dict]:
        """Columns of each prompt's answer: ``prediction``, ``valid``, a ``logprob:<word>`` per label, maybe ``text``.

        An invalid answer's prediction is empty; generated answers have no log-probabilities.
        """
        from forgetting import generation, scoring

        words, evaluation = encoder.words, self.settings.evaluation
        if evaluation.method == "likelihood":
            scores = scoring.score(
                self.model, self.tokenizer, prompts, encoder.answers, evaluation.tokens_per_batch, progress
            )
            return [
                {"prediction": words[row.argmax()], "valid": True}
                | {f"logprob:{word}": float(value) for word, value in zip(words, row, strict=True)}
                for row in scores
            ]
        texts = generation.generate(
            self.model, self.tokenizer, prompts, evaluation.max_new_tokens, evaluation.tokens_per_batch, progress
        )
        letters = generation.options(encoder.template.text, words)
        rows = []
        for text in texts:
            if evaluation.parse == "strict":
                label = generation.parse_strict(text, words)
            else:
                label = generation.parse_published(text, words, letters)
            row = {"prediction": label or "", "valid": label is not None}
            rows.append(row | {f"logprob:{word}": None for word in words} | {"text": text})
        return rows


def write_predictions(path, task: str, split: str, items: list[dict], rows: list[dict]) -> None:
    """Write one prediction file; floats are written so that reading gives the same number back.

    Every text is quoted: a generated one may hold a bare carriage return, which some readers take for a row's end.
    """
    import csv

    import pandas as pd

    known = [{"id": item["id"], "task": task, "split": split, "label": item["label"]} for item in items]
    table = pd.DataFrame([before | row for before, row in zip(known, rows, strict=True)])
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC)
