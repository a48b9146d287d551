"""Scoring of texts by the process that has made an adapter, with the base model that it has loaded.

Harness tasks take too long for that, and are left to the probe step.
"""

from dataclasses import dataclass
from pathlib import Path

from stagewise.config.step_settings import ProbeSettings
from stagewise.data.probe_texts import text_path
from stagewise.models.shared_base import SharedBase
from stagewise.predictions.run import Scoring
from stagewise.probes.run import ProbedModel, ProbeJob
from stagewise.provenance.lock import locked_if_free


@dataclass(frozen=True)
class ScoringWithTexts:
    """Scoring of adapters on tasks and on texts, by the process that has made them."""

    tasks: Scoring
    probes: ProbeSettings
    """With a resolved compute type; its harness tasks are not scored."""

    def seconds(self, data_dir: Path, per_byte: float) -> float:
        """Expect the seconds that scoring takes, as `Scoring.seconds` does."""
        paths = [text_path(name, text) for name, text in self.probes.texts.items()]
        size = sum(path.stat().st_size for path in paths if path.is_file())
        return self.tasks.seconds(data_dir, per_byte) + per_byte * size

    def keep_predictions(
        self, base: SharedBase, adapter_dir: Path, data_dir: Path, checkpoints: Path, image: str | None, name: str
    ) -> None:
        """Leave an adapter's predictions and its scores on the texts in the cache, as `Scoring.keep_predictions` does.

        Nothing is done for a text whose scores are there, or that another process scores.

        Raises
        ------
        InputError
            If an input is not the one it should be, or numbers are not finite.
        """
        self.tasks.keep_predictions(base, adapter_dir, data_dir, checkpoints, image, name)
        texts = self.probes.model_copy(update={"harness": None})
        model = ProbedModel(ProbeJob.open(texts, base.model_dir, adapter_dir, image), base)
        for text in texts.texts:
            cached = model.job.cached(checkpoints, text)
            with locked_if_free(cached) as is_held:
                if is_held and not model.job.is_in_cache(checkpoints, text):
                    model.keep(text, cached)
