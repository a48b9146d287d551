"""Predict items with a loaded model."""

from dataclasses import dataclass

from stagewise.config.step_settings import ScoringSettings
from stagewise.inference.prompts import Encoder, Template
from stagewise.inference.within_memory import within_memory
from stagewise.models.frozen_layers import FrozenLayers
from stagewise.models.shared_base import SharedBase

# The inputs of Zhao et al. 2021 (arXiv:2102.09690), section 5.
CONTENT_FREE = ("N/A", "[MASK]", "")


@dataclass
class Predictor:
    """A loaded model that predicts items of any task."""

    model: object
    tokenizer: object
    settings: ScoringSettings
    frozen_layers: FrozenLayers | None = None

    def __post_init__(self):
        self.tokens_per_batch = self.settings.evaluation.tokens_per_batch
        """Padded tokens per forward pass: fewer than the settings' once that many did not fit into memory."""

    @classmethod
    def load(cls, settings: ScoringSettings, base: SharedBase, adapter_dir=None) -> "Predictor":
        """Load the base model and, if given, the adapter; `models.adapter_receipt` has checked that they fit."""
        from stagewise.models.adapters import load_adapter
        from stagewise.models.load import load_tokenizer

        model = base.take()
        if adapter_dir is not None:
            model = load_adapter(model, adapter_dir)
        return cls(model, load_tokenizer(base.model_dir), settings, base.frozen_layers(model))

    def encoder(self, task: str, template: Template) -> Encoder:
        """Build a task's encoder."""
        spec = self.settings.tasks[task]
        prompting, max_length = self.settings.prompting, spec.max_length or self.settings.max_length
        return Encoder(self.tokenizer, template, prompting, spec.words, max_length, spec.shorten, task)

    def score_content_free(self, encoder: Encoder) -> list[dict]:
        """Score the labels after inputs without content, every field replaced (Zhao et al. 2021).

        Returns
        -------
        ``{"input", "logprobs"}`` per text of `CONTENT_FREE`; log-probabilities in label order, nats.
        """
        items = [
            {"id": f"content-free {text!r}", "fields": dict.fromkeys(encoder.template.fields, text)}
            for text in CONTENT_FREE
        ]
        prompts = [encoder.encode_prompt(item)[0] for item in items]
        scores = self._score(encoder, prompts)
        return [{"input": text, "logprobs": row.tolist()} for text, row in zip(CONTENT_FREE, scores, strict=True)]

    def predict(self, encoder: Encoder, prompts: list[list[int]], progress: str | None = None) -> list[dict]:
        """Predict a label after each prompt.

        Returns
        -------
        Columns of each row: ``prediction``, ``valid``, a ``logprob:<word>`` per label and, if generated, ``text``. An
        invalid answer's prediction is empty; generated answers have no log-probabilities.
        """
        if self.settings.evaluation.method == "likelihood":
            return self._predict_by_likelihood(encoder, prompts, progress)
        return self._predict_by_generation(encoder, prompts, progress)

    def _predict_by_likelihood(self, encoder: Encoder, prompts, progress) -> list[dict]:
        words = encoder.label_words
        return [
            {"prediction": words[row.argmax()], "valid": True}
            | {f"logprob:{word}": float(value) for word, value in zip(words, row, strict=True)}
            for row in self._score(encoder, prompts, progress)
        ]

    def _predict_by_generation(self, encoder: Encoder, prompts, progress) -> list[dict]:
        from stagewise.inference import generation

        words, evaluation = encoder.label_words, self.settings.evaluation
        texts = self._within_memory(
            prompts,
            lambda tokens_per_batch: generation.generate(
                self.model,
                self.tokenizer,
                prompts,
                evaluation.max_new_tokens,
                tokens_per_batch,
                progress,
                encoder.end_token_id,
                encoder.end_text,
            ),
        )
        letters = generation.option_letters(encoder.template.text, words)
        rows = []
        for text in texts:
            if evaluation.parse == "strict":
                label = generation.parse_strict(text, words)
            else:
                label = generation.parse_published(text, words, letters)
            row = {"prediction": label or "", "valid": label is not None}
            rows.append(row | {f"logprob:{word}": None for word in words} | {"text": text})
        return rows

    def _score(self, encoder: Encoder, prompts, progress=None):
        from stagewise.inference import likelihood

        scores = self._within_memory(
            prompts,
            lambda tokens_per_batch: likelihood.score(
                self.model,
                self.tokenizer,
                prompts,
                encoder.label_token_ids,
                tokens_per_batch,
                progress,
                frozen_layers=self.frozen_layers,
            ),
        )
        if self.frozen_layers:
            self.frozen_layers.release()  # the items of a split are scored once
        return scores

    def _within_memory(self, prompts, compute):
        longest = max(map(len, prompts), default=0)
        result, self.tokens_per_batch = within_memory(compute, self.tokens_per_batch, longest)
        return result
