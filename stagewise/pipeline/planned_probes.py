"""Probes with one score per item, as a plan declares them."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from stagewise.errors import InputError
from stagewise.pipeline.artifact import Artifact, DvcOut
from stagewise.pipeline.experiment import Experiment
from stagewise.predictions.fingerprint import adapter_group
from stagewise.probes.fingerprint import HARNESS_PACKAGE, probe_files, probe_inputs
from stagewise.probes.harness_package import harness_version
from stagewise.probes.score_files import keep_scores
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT


def probe_artifacts(experiment: Experiment) -> Iterator[Artifact]:
    """Declare the scores of the base models and of every adapter on the probes with one score per item."""
    probes, settings = experiment.config.probes.item_scored, experiment.config.probe_settings()
    if not probes:
        return
    files = probe_files(settings, experiment.raw)

    @cache
    def shared_inputs(base: str, harness: str | None) -> dict:
        model = experiment.base_model(base).fingerprint
        return probe_inputs(settings, model, harness, experiment.checksum_if_there, experiment.raw)

    for lineage in (*experiment.untuned, *experiment.adapters):
        folder = experiment.results / lineage / "probes"
        adapter = experiment.adapters.get(lineage)
        receipt = experiment.results / lineage / "adapter" / RECEIPT if adapter else None
        shared = partial(shared_inputs, experiment.base_of(lineage))
        expected = partial(expected_probe_inputs, shared, receipt, folder / RECEIPT)
        yield Artifact(
            rule="probe",
            phase="probes",
            label=f"{lineage}/probes",
            outputs=tuple(folder / name for name in (*(f"{probe}.csv" for probe in probes), RECEIPT)),
            inputs=(
                *((receipt,) if receipt else ()),
                experiment.model_receipt(lineage),
                *(experiment.taken_from(adapter) if adapter and adapter.tuned_model else ()),
                *files.values(),
            ),
            reasons=partial(experiment.record_reasons, folder / RECEIPT, expected),
            record=folder / RECEIPT,
            expected=expected,
            tracked=(DvcOut(folder),),
            keep=partial(keep_scores, folder, experiment.checkpoints, experiment.image),
            packages=folder / RECEIPT,
        )


def expected_probe_inputs(shared_inputs: Callable[[str | None], dict], adapter: Path | None, receipt: Path) -> dict:
    """Record what the probes of one model are made from.

    Parameters
    ----------
    shared_inputs
        Record of all but the adapter, by the version of lm-evaluation-harness.
    adapter
        Receipt of the adapter; None for the base model.
    receipt
        Receipt of the scores, if they are there. On a machine without lm-evaluation-harness, which cannot score its
        tasks anyway, the version that made them counts.
    """
    inputs = shared_inputs(harness_version() or _recorded_version(receipt))
    return inputs | adapter_group(read_json(adapter, "an adapter's receipt") if adapter else None)


def _recorded_version(receipt: Path) -> str | None:
    try:
        return read_json(receipt, "the probes' receipt")["inputs"]["behaviour"].get(HARNESS_PACKAGE)
    except (InputError, OSError, LookupError, TypeError, AttributeError):
        return None
