"""Every output of an experiment, declared once: its rule, its inputs, its identity, and what DVC tracks of it.

Freshness, the check of the rules, DVC's stages and the stand-ins of tests and benchmarks follow from these functions,
one a rule, in the order in which data flows.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stagewise.config.tasks import SPLITS
from stagewise.lineage import Adapter, data_folder
from stagewise.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_inputs
from stagewise.models.tuned import MODEL_FILE
from stagewise.pipeline import fetched_artifacts, inputs
from stagewise.pipeline.artifact import DECLARATIONS, Artifact, DvcOut, declares
from stagewise.pipeline.experiment import Experiment
from stagewise.pipeline.planned_probes import probe_artifacts
from stagewise.pipeline.splits_inputs import splits_files, splits_inputs
from stagewise.predictions.kept_files import keep_files
from stagewise.provenance import cache
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT
from stagewise.recipe import Recipe

FETCHED = fetched_artifacts  # what is fetched is declared first

_FACTS = ("README.md", "training_log.csv", "training.json", RECEIPT)
ADAPTER_FILES = (ADAPTER_WEIGHTS, ADAPTER_CONFIG, *_FACTS)
TUNED_FILES = (MODEL_FILE, *_FACTS)


def declared_artifacts(experiment: Experiment) -> Iterator[Artifact]:
    """Every output of the experiment, inputs before what is made from them."""
    for declare in DECLARATIONS.values():
        yield from declare(experiment)


@declares("make_splits")
def declare_splits(experiment: Experiment) -> Iterator[Artifact]:
    """Items of every task and split, per fold."""
    for fold in dict.fromkeys(fold for fold, _ in experiment.config.runs):
        folder = data_folder(fold)
        settings = experiment.config.data_settings(fold)
        path = experiment.results / folder
        items = experiment.split_files(folder, settings.tasks)
        aside = [path / task / "set_aside.csv" for task in settings.tasks]
        summary = path / "summary.json"
        code, checksum = experiment.code.packages, experiment.checksum_if_there
        expected = partial(splits_inputs, settings, experiment.raw, code, checksum)
        # Texts are not passed on if their licence does not allow it, so they may be elsewhere.
        texts = (*items, *aside)
        tracked = [
            DvcOut(path / name, push=task.sources[task.source].redistribute) for name, task in settings.tasks.items()
        ]
        yield Artifact(
            rule="make_splits",
            phase="splits",
            label=folder,
            outputs=(*texts, summary),
            # Raw files may be dated 1970, which is no later than a stale output.
            inputs=(*splits_files(settings, experiment.raw), experiment.definition),
            reasons=partial(experiment.record_reasons, summary, expected, texts),
            record=summary,
            expected=expected,
            tracked=(*tracked, DvcOut(summary)),
            optional=texts,
        )


@declares("run_preflight")
def declare_preflight(experiment: Experiment) -> Iterator[Artifact]:
    """Nothing: the record of the checks is no result, and the plan decides by itself when it is made again."""
    yield from ()


@declares("write_recipe")
def declare_recipes(experiment: Experiment) -> Iterator[Artifact]:
    """Recipes of the adapters."""
    for adapter in experiment.adapters.values():
        path = experiment.results / adapter.lineage / "recipe.json"
        expected = partial(experiment.expected_recipe, adapter.lineage)

        def reasons(path=path, expected=expected) -> list[str]:
            recipe = Recipe.read(path)
            return experiment.differences(inputs.recipe_inputs(recipe), inputs.recipe_inputs(expected()))

        yield Artifact(
            rule="write_recipe",
            phase=stage_name(adapter),
            label=adapter.lineage,
            outputs=(path,),
            inputs=(
                experiment.model_receipt(adapter.lineage),
                *experiment.taken_from(adapter),
                *experiment.split_files(adapter.data, adapter.learnt_tasks, SPLITS[:2]),
                *(Path(experiment.config.active_tasks[task].prompt) for task in adapter.learnt_tasks),
                *adapter.remedies.files,
                *(experiment.results / parent / "recipe.json" for parent in adapter.parents),
            ),
            reasons=reasons,
            tracked=(DvcOut(path),),
            expected=expected,
        )


@declares("adopt_adapter")
def declare_adopted_adapters(experiment: Experiment) -> Iterator[Artifact]:
    """Adapters that are taken from elsewhere."""
    yield from _declare_adapters(experiment, "adopt_adapter", lambda adapter: adapter.adopted is not None)


@declares("adopt_model")
def declare_adopted_models(experiment: Experiment) -> Iterator[Artifact]:
    """Fully fine-tuned models in the place of adapters."""
    yield from _declare_adapters(experiment, "adopt_model", lambda adapter: bool(adapter.tuned_model), TUNED_FILES)


@declares("train_adapter")
def declare_trained_adapters(experiment: Experiment) -> Iterator[Artifact]:
    """Adapters that are trained."""
    yield from _declare_adapters(experiment, "train_adapter", lambda adapter: adapter.training is not None)


@declares("merge_adapters")
def declare_merged_adapters(experiment: Experiment) -> Iterator[Artifact]:
    """Adapters that are merged from others."""
    yield from _declare_adapters(experiment, "merge_adapters", lambda adapter: bool(adapter.sources))


def _declare_adapters(
    experiment: Experiment, rule: str, belongs, files: tuple[str, ...] = ADAPTER_FILES
) -> Iterator[Artifact]:
    for adapter in filter(belongs, experiment.adapters.values()):
        folder = experiment.results / adapter.lineage / "adapter"
        parents = [experiment.results / parent / "adapter" / RECEIPT for parent in adapter.parents]

        def expected(adapter=adapter, parents=parents) -> dict:
            receipts = [read_json(parent, "an adapter's receipt") for parent in parents]
            recipe = experiment.expected_recipe(adapter.lineage)
            return adapter_inputs(recipe.fingerprint, recipe.model.fingerprint, receipts)

        def keep(folder=folder) -> None:
            made_from = read_json(folder / RECEIPT, "an adapter's receipt")["inputs"]
            cached = cache.adapter_cache(experiment.checkpoints, made_from, experiment.image)
            cache.keep(folder, cached / "adapter", experiment.checksum)

        yield Artifact(
            rule=rule,
            phase=stage_name(adapter),
            label=adapter.lineage,
            outputs=tuple(folder / name for name in files),
            inputs=(
                experiment.results / adapter.lineage / "recipe.json",
                experiment.model_receipt(adapter.lineage),
                *experiment.taken_from(adapter),
                *parents,
                *experiment.split_files(adapter.data, adapter.learnt_tasks, SPLITS[:2]),
            ),
            reasons=partial(experiment.record_reasons, folder / RECEIPT, expected),
            record=folder / RECEIPT,
            expected=expected,
            tracked=(DvcOut(folder, push=adapter.adopted is None),),
            keep=keep,
            packages=folder / "training.json",
        )


@declares("predict")
def declare_predictions(experiment: Experiment) -> Iterator[Artifact]:
    """Predictions of the base models and of every adapter."""
    config = experiment.config
    tasks, scored = config.active_tasks, config.evaluation.splits
    for lineage in (*experiment.untuned, *experiment.adapters):
        folder = experiment.results / lineage / "predictions"
        adapter = experiment.adapters.get(lineage)
        data = adapter.data if adapter else experiment.data_folders[0]
        receipt = experiment.results / lineage / "adapter" / RECEIPT if adapter else None
        files = [f"{task}.{split}.csv" for task in tasks for split in scored]

        expected = partial(experiment.prediction_inputs, lineage, data, receipt)
        keep = partial(keep_files, folder, experiment.checkpoints, experiment.image, experiment.checksum)
        yield Artifact(
            rule="predict",
            phase="predictions",
            label=f"{lineage}/predictions",
            outputs=tuple(folder / name for name in (*files, RECEIPT)),
            inputs=(
                *((receipt,) if receipt else ()),
                experiment.model_receipt(lineage),
                *(experiment.taken_from(adapter) if adapter and adapter.tuned_model else ()),
                *experiment.split_files(data, tasks, scored),
                experiment.results / data / "summary.json",
                *(Path(task.prompt) for task in tasks.values()),
            ),
            reasons=partial(experiment.record_reasons, folder / RECEIPT, expected),
            record=folder / RECEIPT,
            expected=expected,
            tracked=(DvcOut(folder),),
            keep=keep,
            keep_parts=keep,
            packages=folder / RECEIPT,
        )


declare_probes = declares("probe")(probe_artifacts)


@declares("metrics")
def declare_metrics(experiment: Experiment) -> Iterator[Artifact]:
    """All figures, and the main ones by name."""
    results, config = experiment.results, experiment.config
    full, flat = results / "report_metrics.json", results / "metrics.json"
    files = inputs.metrics_files(config, results, experiment.data_folders, experiment.adapters)
    items = [path for folder in experiment.data_folders for path in experiment.split_files(folder, config.active_tasks)]
    code, checksum = experiment.code.packages, experiment.checksum_if_there
    expected = partial(inputs.metrics_inputs, experiment.declared, files, results, code, checksum)
    yield Artifact(
        rule="metrics",
        phase="report",
        label="report_metrics.json",
        outputs=(full, flat),
        inputs=(*files, *items),
        reasons=partial(experiment.record_reasons, full, expected),
        record=full,
        expected=expected,
        tracked=(DvcOut(full), DvcOut(flat, metrics=True)),
    )


@declares("report")
def declare_report(experiment: Experiment) -> Iterator[Artifact]:
    """Pages and pictures."""
    results, config = experiment.results, experiment.config
    page, markdown, local = (results / name for name in ("report.html", "report.md", "items.html"))
    receipt = results / "figures" / RECEIPT
    metrics = results / "report_metrics.json"
    files = inputs.report_files(metrics, results, experiment.data_folders, experiment.adapters)
    scored = config.evaluation.splits
    items = [
        path
        for folder in experiment.data_folders
        for path in experiment.split_files(folder, config.active_tasks, scored)
    ]

    def expected() -> dict:
        read = inputs.report_files(metrics, results, experiment.data_folders, _shown_adapters(metrics, experiment))
        return inputs.report_inputs(read, results, experiment.code.packages, experiment.checksum_if_there)

    yield Artifact(
        rule="report",
        phase="report",
        label="report",
        outputs=(page, markdown, receipt, local),
        inputs=(*files, *items),
        reasons=partial(experiment.record_reasons, receipt, expected, (local,)),
        record=receipt,
        expected=expected,
        # The local page holds the data's texts, so it is never pushed.
        tracked=(DvcOut(page), DvcOut(markdown), DvcOut(receipt.parent), DvcOut(local, push=False)),
        optional=(local,),
    )


def _shown_adapters(metrics: Path, experiment: Experiment) -> list[str]:
    """Lineages of the adapters that the report shows: those that sweeps have chosen."""
    try:
        return [adapter["lineage"] for adapter in read_json(metrics, "report_metrics.json")["adapters"]]
    except (LookupError, TypeError):  # damaged, so the metrics are made again, and then the report
        return list(experiment.adapters)


def stage_name(adapter: Adapter) -> str:
    """Name the DVC stage that makes an adapter."""
    return f"stage-{adapter.stage}"
