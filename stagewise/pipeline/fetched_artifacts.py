"""What is fetched, declared once: raw files, models, and adapters from elsewhere; `pipeline.artifacts` has the rest."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stagewise.config.sources import File
from stagewise.config.sources_lock import SOURCES_LOCK, expected_sha256
from stagewise.data.probe_texts import fetched_texts
from stagewise.data.raw_files import raw_path
from stagewise.models.adopted import ADOPTED_FILES
from stagewise.pipeline.artifact import Artifact, DvcOut, declares
from stagewise.pipeline.experiment import Experiment
from stagewise.provenance.receipts import RECEIPT


@declares("fetch_data")
def declare_raw_files(experiment: Experiment) -> Iterator[Artifact]:
    """Raw files and held-out texts that are fetched."""
    for path, (file, redistribute) in _fetched_files(experiment).items():

        def reasons(path=path, file=file) -> list[str]:
            expected = expected_sha256(file)
            if expected is None:
                return [f"{SOURCES_LOCK} has no checksum of it"]
            return [] if experiment.checksum(path) == expected else ["not the file that its sha256 names"]

        yield Artifact(
            rule="fetch_data",
            phase="fetch",
            label=str(path),
            outputs=(path,),
            inputs=(experiment.definition,),
            reasons=reasons,
            tracked=(DvcOut(path, push=redistribute),),
        )


def _fetched_files(experiment: Experiment) -> dict[Path, tuple[File, bool]]:
    """List the files that are fetched, each with whether it may be passed on."""
    files = {}
    for name, task in experiment.config.active_tasks.items():
        source = task.sources[task.source]
        for role, file in source.files.items():
            if file.is_fetched:
                files[raw_path(name, role, file, experiment.raw)] = file, source.redistribute
    texts = fetched_texts(experiment.config.probes.active_texts, experiment.raw)
    return files | {path: (file, False) for path, file in texts.items()}


@declares("fetch_model")
def declare_models(experiment: Experiment) -> Iterator[Artifact]:
    """The base model, and fully fine-tuned ones, beside their receipts."""
    for model in experiment.models.values():
        folder = model.folder
        # A directory of the user's own is used where it is: its folder holds the receipt, and its path, which stays.
        tracked = DvcOut(folder, cache=model.settings.redistribute, dependency=folder / RECEIPT)
        if model.settings.path is not None and not model.settings.is_gguf:
            tracked = DvcOut(folder / RECEIPT)
        yield Artifact(
            rule="fetch_model",
            phase="fetch",
            label=str(folder),
            outputs=(folder / RECEIPT,),
            inputs=(experiment.definition,),
            reasons=partial(getattr, model, "changes"),
            tracked=(tracked,),
            keep=model.locate,
        )


@declares("fetch_adapter")
def declare_fetched_adapters(experiment: Experiment) -> Iterator[Artifact]:
    """Adapters from elsewhere, beside their receipts."""
    for adapter in experiment.adopted_adapters.values():
        yield Artifact(
            rule="fetch_adapter",
            phase="fetch",
            label=str(adapter.folder),
            outputs=tuple(adapter.folder / name for name in (*ADOPTED_FILES, RECEIPT)),
            inputs=(experiment.definition,),
            reasons=partial(getattr, adapter, "changes"),
            tracked=(DvcOut(adapter.folder, push=False),),  # its licence is somebody else's
        )
