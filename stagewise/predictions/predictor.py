"""Score items with a loaded model."""

from dataclasses import dataclass

from stagewise.config.step_settings import ScoringSettings
from stagewise.inference.prompts import Encoder, Template

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
        from stagewise.models.adapters import load_adapter
        from stagewise.models.load import load_base, load_tokenizer

        model = load_base(model_dir, settings.quantization, settings.dtype)
        if adapter_dir is not None:
            model = load_adapter(model, adapter_dir)
        return cls(model, load_tokenizer(model_dir), settings)

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
        from stagewise.inference import likelihood

        prompts = [
            encoder.prompt({"id": f"content-free {text!r}", "fields": dict.fromkeys(encoder.template.fields, text)})[0]
            for text in CONTENT_FREE
        ]
        rows = likelihood.score(
            self.model, self.tokenizer, prompts, encoder.answers, self.settings.evaluation.tokens_per_batch
        )
        return [{"input": text, "logprobs": row.tolist()} for text, row in zip(CONTENT_FREE, rows, strict=True)]

    def answer(self, encoder: Encoder, prompts: list[list[int]], progress: str | None = None) -> list[dict]:
        """Columns of each prompt's answer: ``prediction``, ``valid``, a ``logprob:<word>`` per label, maybe ``text``.

        An invalid answer's prediction is empty; generated answers have no log-probabilities.
        """
        from stagewise.inference import generation, likelihood

        words, evaluation = encoder.words, self.settings.evaluation
        if evaluation.method == "likelihood":
            scores = likelihood.score(
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
