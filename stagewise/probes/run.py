"""Score a model on every probe, unless finished scores of the same inputs are there."""

import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stagewise.config.step_settings import ProbeSettings
from stagewise.data.probe_texts import check_text, read_text, text_path
from stagewise.errors import InputError
from stagewise.inference.finite import check_finite_logprobs
from stagewise.models.frozen_layers import KeptLayers
from stagewise.models.gpu_lock import take_gpus
from stagewise.models.receipts import model_receipt
from stagewise.models.shared_base import SharedBase
from stagewise.models.tuned import scored_model
from stagewise.predictions.fingerprint import adapter_group
from stagewise.probes.fingerprint import inputs_of_probe, probe_inputs
from stagewise.probes.harness_package import check_harness, harness_version
from stagewise.probes.score_files import SCORES, collect_scores, is_current
from stagewise.probes.scores import ProbeScores
from stagewise.provenance import cache
from stagewise.provenance.files import replaced_folder
from stagewise.provenance.lock import locked
from stagewise.provenance.packages import package_versions
from stagewise.provenance.receipts import RECEIPT, write_receipt


@dataclass(frozen=True)
class ProbeJob:
    """One model's probes, with the checked facts of what their scores are made from."""

    settings: ProbeSettings
    """With a resolved compute type."""
    model_dir: Path
    """Folder of the base model, or of a fully fine-tuned one."""
    adapter_dir: Path | None
    """Folder of the adapter; None for the model alone."""
    inputs: dict
    """Inputs record of all probes."""
    image: str | None
    """SHA-256 of the container image that this runs in, if it does."""
    batch_size: int = 8
    """Requests per forward pass of the harness; scores change by rounding only."""

    @classmethod
    def open(cls, settings: ProbeSettings, model_dir, adapter_dir, image, **ways) -> "ProbeJob":
        """Read what the scores are made from, and refuse inputs that do not fit together.

        Raises
        ------
        InputError
            If an input is not the one it should be.
        """
        scored = scored_model(model_dir, adapter_dir)
        for name, text in settings.texts.items():
            check_text(name, text)
        inputs = probe_inputs(settings, model_receipt(model_dir)["fingerprint"], harness_version())
        made_from = inputs | adapter_group(scored.receipt)
        return cls(settings, scored.model_dir, scored.adapter_dir, made_from, image, **ways)

    @property
    def probes(self) -> list[str]:
        """Names of the probes: texts first, which cost least."""
        return [*self.settings.texts, *(self.settings.harness.tasks if self.settings.harness else [])]

    def inputs_of(self, probe: str) -> dict:
        return inputs_of_probe(self.inputs, probe)

    def cached(self, checkpoints, probe: str) -> Path:
        """Folder of a probe's finished scores in the cache."""
        return cache.probe_cache(checkpoints, self.inputs_of(probe), self.image)

    def is_in_cache(self, checkpoints, probe: str) -> bool:
        return is_current(self.cached(checkpoints, probe), self.inputs_of(probe), self.image, {SCORES})


class ProbedModel:
    """A model with its adapter, loaded when the first probe needs it."""

    def __init__(self, job: ProbeJob, base: SharedBase):
        self.job, self.base = job, base

    @cached_property
    def _loaded(self):
        from stagewise.models.adapters import load_adapter
        from stagewise.models.load import load_tokenizer
        from stagewise.models.torch_environment import import_libraries

        adapter_dir = self.job.adapter_dir
        import_libraries(
            "peft" if adapter_dir else "transformers.modeling_utils", quantization=self.job.settings.quantization
        )
        model = self.base.take()
        model = model if adapter_dir is None else load_adapter(model, adapter_dir)
        return model, load_tokenizer(self.base.model_dir), self.base.frozen_layers(model)

    def score(self, probe: str) -> ProbeScores:
        """Score one probe.

        Raises
        ------
        InputError
            If the probe cannot be scored, or scores are not finite.
        """
        model, tokenizer, frozen_layers = self._loaded
        settings = self.job.settings
        if text := settings.texts.get(probe):
            from stagewise.probes.texts import score_text

            content = read_text(text_path(probe, text), probe)
            try:
                scores = score_text(
                    model, tokenizer, content, text.segment_tokens, progress=probe, frozen_layers=frozen_layers
                )
            except InputError as error:
                raise InputError(f"probes.texts.{probe}: {error}") from None
        else:
            scores = self._harness.score(probe)
        values = [item.score for item in scores.items]
        check_finite_logprobs(values, probe, self.job.model_dir, self.job.adapter_dir, settings.dtype)
        return scores

    @cached_property
    def _harness(self):
        from stagewise.probes.harness import HarnessModel

        model, tokenizer, _ = self._loaded
        settings = self.job.settings
        return HarnessModel(model, tokenizer, settings.harness, settings.prompting, self.job.batch_size)

    def keep(self, probe: str, cached: Path) -> None:
        """Score one probe, put its scores and their receipt into its folder of the cache, and say how long it took."""
        device = self._loaded[0].device.type
        started = time.monotonic()
        scores = self.score(probe)
        seconds = time.monotonic() - started
        facts = {
            "inputs": self.job.inputs_of(probe),
            "image": self.job.image,
            "probe": scores.record(),
            "seconds": round(seconds, 3),
            "tokens": scores.tokens,
            "device": device,
            "dtype": self.job.settings.dtype,
            "packages": package_versions(),
        }
        with replaced_folder(cached) as folder:
            scores.write(folder / SCORES)
            write_receipt(folder, facts)
        print(
            f"{probe}: {scores.measure} {scores.value:.4f}, {len(scores.items)} items in {seconds:.1f} s, "
            f"{scores.tokens / max(seconds, 1e-3):.0f} tokens/s",
            file=sys.stderr,
        )


def score_probes(
    settings: ProbeSettings,
    model_dir,
    adapter_dir,
    output,
    checkpoints=None,
    image: str | None = None,
    kept_layers: KeptLayers | None = None,
    **ways,
) -> None:
    """Leave a folder with the scores of every probe, whole or not at all.

    A finished probe is kept in the cache at once, so that a run that was stopped, or one with another probe more, goes
    on from there.

    Parameters
    ----------
    settings, model_dir, adapter_dir, image, ways
        As for `ProbeJob`.
    output
        Folder of the scores and their receipt. It may hold nothing else.
    checkpoints
        Folder with the cache of finished scores; None uses none.
    kept_layers
        Where the frozen layers' output is kept; None computes it in every pass.

    Raises
    ------
    InputError
        If an input is not the one it should be, a probe cannot be scored, or scores are not finite.
    """
    output, job = Path(output), ProbeJob.open(settings, model_dir, adapter_dir, image, **ways)
    names = {f"{probe}.csv" for probe in job.probes}
    if is_current(output, job.inputs, image, names):
        print(f"{output}: up to date", file=sys.stderr)
        return
    if output.is_dir() and any(path.suffix != ".csv" and path.name != RECEIPT for path in output.iterdir()):
        raise InputError(f"{output}: this folder holds something else than probes; name another --output")
    with nullcontext(checkpoints) if checkpoints else tempfile.TemporaryDirectory() as there:
        _fill_cache(job, there, SharedBase(job.model_dir, settings.quantization, settings.dtype, kept_layers), output)
        with replaced_folder(output) as folder:
            cached = {probe: job.cached(there, probe) for probe in job.probes}
            collect_scores(cached, job.inputs, image, folder)


def _fill_cache(job: ProbeJob, checkpoints, base: SharedBase, output: Path) -> None:
    """Leave every probe's scores in the cache."""
    missing = [probe for probe in job.probes if not job.is_in_cache(checkpoints, probe)]
    if not missing:
        print(f"{output}: made before from the same adapter and items, copied", file=sys.stderr)
        return
    if any(probe not in job.settings.texts for probe in missing):
        check_harness(job.settings.harness)
    take_gpus(1, f"the probes {output}")  # before the locks: who has one must not wait for a GPU
    model = ProbedModel(job, base)
    for probe in missing:
        cached = job.cached(checkpoints, probe)
        with locked(cached, f"the probe {probe} of {output}"):
            if not job.is_in_cache(checkpoints, probe):  # another process may have made it meanwhile
                model.keep(probe, cached)
