"""Predict items with a loaded model."""

from dataclasses import dataclass

from stagewise.config.step_settings import ScoringSettings
from stagewise.inference.generated_answers import generate_answers
from stagewise.inference.label_words import without_missing_options
from stagewise.inference.prompts import Encoder
from stagewise.inference.template import Template
from stagewise.inference.within_memory import within_memory
from stagewise.models.frozen_layers import FrozenLayers
from stagewise.models.shared_base import SharedBase
from stagewise.predictions.answer_rows import generated_label_rows, label_set_rows, scored_rows, text_rows

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
        settings, spec = self.settings, self.settings.tasks[task]
        return Encoder.of_task(self.tokenizer, template, settings.prompting, spec, settings.max_length, task)

    def score_content_free(self, encoder: Encoder) -> list[dict]:
        """Score the labels after inputs without content, every field replaced (Zhao et al. 2021).

        Of a task that is not answered with one label, samples of its answers are scored.

        Returns
        -------
        ``{"input", "logprobs"}`` per text of `CONTENT_FREE`; log-probabilities in label order, nats.
        """
        answer = encoder.sample_answers[0]
        items = [
            {"id": f"content-free {text!r}", "label": answer, "fields": dict.fromkeys(encoder.template.fields, text)}
            for text in CONTENT_FREE
        ]
        prompts = [encoder.encode_prompt(item)[0] for item in items]
        scores = self._score(encoder, prompts)
        return [{"input": text, "logprobs": row.tolist()} for text, row in zip(CONTENT_FREE, scores, strict=True)]

    def predict(self, encoder: Encoder, items: list[dict], prompts, progress: str | None = None) -> list[dict]:
        """Predict an answer after each prompt.

        Parameters
        ----------
        encoder
            Encoder of the task; unless the task is answered with one label, with a limit (`with_answer_limit`).
        items, prompts
            Items of a split, and the token ids of their prompts.

        Returns
        -------
        Columns of each row: ``prediction``, ``valid``, and as the task needs a ``logprob:<word>`` per label, a
        ``score:<measure>`` per measure of texts, and the ``text`` that a label was read from. An invalid answer's
        prediction is empty; generated answers have no log-probabilities.
        """
        if encoder.kind == "generation":
            return text_rows(items, self._generate_answers(encoder, prompts, progress))
        if encoder.kind == "multi_label":
            return label_set_rows(encoder, self._generate_answers(encoder, prompts, progress))
        if self.settings.evaluation.method == "generation":
            texts = self._generate(encoder, prompts, progress)
            return generated_label_rows(encoder, items, texts, self.settings.evaluation.parse)
        logprobs = self._score(encoder, prompts, progress)
        if encoder.kind == "multiple_choice":
            logprobs = without_missing_options(logprobs, [item["options"] for item in items])
        return scored_rows(encoder.label_words, logprobs)

    def _generate_answers(self, encoder: Encoder, prompts, progress) -> list[str]:
        stop = self.settings.tasks[encoder.task].stop
        return self._within_memory(
            prompts,
            lambda tokens_per_batch: generate_answers(self.model, encoder, prompts, stop, tokens_per_batch, progress),
            encoder.max_new_tokens,
        )

    def _generate(self, encoder: Encoder, prompts, progress) -> list[str]:
        from stagewise.inference import generation

        return self._within_memory(
            prompts,
            lambda tokens_per_batch: generation.generate(
                self.model,
                self.tokenizer,
                prompts,
                self.settings.evaluation.max_new_tokens,
                tokens_per_batch,
                progress,
                encoder.end_token_id,
                encoder.end_text,
            ),
        )

    def _score(self, encoder: Encoder, prompts, progress=None):
        from stagewise.inference import likelihood

        scores = self._within_memory(
            prompts,
            lambda tokens_per_batch: likelihood.score(
                self.model,
                self.tokenizer,
                prompts,
                encoder.label_token_ids or [encoder.encode_answer(text) for text in encoder.sample_answers],
                tokens_per_batch,
                progress,
                frozen_layers=self.frozen_layers,
            ),
        )
        if self.frozen_layers:
            self.frozen_layers.release()  # the items of a split are scored once
        return scores

    def _within_memory(self, prompts, compute, new_tokens: int = 0):
        longest = max(map(len, prompts), default=0) + new_tokens
        result, self.tokens_per_batch = within_memory(compute, self.tokens_per_batch, longest)
        return result
