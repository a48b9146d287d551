"""Every output of an experiment, and how its content shows whether it is current."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.tasks import SPLITS
from stagewise.data.raw_files import RAW, raw_path
from stagewise.errors import InputError
from stagewise.inference.prompts import Template
from stagewise.lineage import BASE, Adapter, data_folder, data_folders
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.models.compute_type import with_compute_type
from stagewise.pipeline import origins
from stagewise.pipeline.build_recipe import build_recipe, recipe_settings
from stagewise.pipeline.freshness import Output
from stagewise.predictions.fingerprint import adapter_facts, prediction_facts
from stagewise.provenance import cache
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT, read_receipt
from stagewise.recipe import Recipe, RecipeModel, describe_base_model

ADAPTER_FILES = {
    "weights": ADAPTER_WEIGHTS,
    "config": "adapter_config.json",
    "card": "README.md",
    "log": "training_log.csv",
    "summary": "training.json",
    "receipt": RECEIPT,
}

REPORT_FILES = {
    "html": "report.html",
    "markdown": "report.md",
    "flipped": "items.html",
    "figures": f"figures/{RECEIPT}",
}


@dataclass
class Experiment:
    """Where everything of an experiment lies, and what it should be made from."""

    config: Config
    adapters: dict[str, Adapter]
    model: Path
    """Folder of the base model."""
    image: str | None = None
    """Checksum of the container image that this run uses, if it uses one."""
    definition: tuple[Path, ...] = ()
    """What the steps that fetch have for an input: with none, Snakemake would never fetch again."""
    raw: str = RAW
    expected: dict[str, Recipe] = field(default_factory=dict)
    """Recipes as they should be, by lineage; filled parents first."""

    def __post_init__(self):
        # As declared, and with the compute type resolved: the metrics show both.
        self.declared, self.config = self.config, with_compute_type(self.config)
        self.results = Path(self.config.results)
        self.checkpoints = self.results / "checkpoints"
        self.folders = data_folders(self.config)
        self.checksum = origins.remembering()
        self._summaries: dict[str, dict] = {}

    def outputs(self) -> Iterator[Output]:
        """Every job's output, inputs before what is made from them."""
        yield from self._raw_files()
        yield Output([self.model / RECEIPT], list(self.definition), self._model_is_current)
        for fold in dict.fromkeys(fold for fold, _ in self.config.runs):
            yield self._splits(data_folder(fold), fold)
        for adapter in self.adapters.values():
            yield self._recipe(adapter)
            yield self._adapter(adapter)
        for lineage in (BASE, *self.adapters):
            yield self._predictions(lineage)
        yield self._metrics()
        yield self._report()

    # What is read once and asked for often.

    def _summary(self, folder: str) -> dict:
        if folder not in self._summaries:
            self._summaries[folder] = read_json(self.results / folder / "summary.json", "the data's summary")
        return self._summaries[folder]

    def _split_checksum(self, path: Path) -> str:
        """Checksum of a split as its folder's summary has it: the split itself may not be here."""
        folder = path.parent.parent.relative_to(self.results).as_posix()
        return self._summary(folder)["tasks"][path.parent.name]["splits"][path.stem]["sha256"]

    def _checksum(self, path) -> str:
        return self._split_checksum(Path(path)) if Path(path).suffix == ".jsonl" else self.checksum(path)

    @cached_property
    def _base_model(self) -> dict | None:
        """The base model's receipt; None where the model is not here."""
        return read_json(self.model / RECEIPT, "the base model's receipt") if (self.model / RECEIPT).is_file() else None

    def _known_model(self, recipe: Recipe | None) -> RecipeModel:
        """Name, fingerprint and origin of the base model: as it is here, or else as `recipe` has it."""
        if self._base_model:
            if not self._model_is_current():
                raise InputError(f"{self.model}: not the model that the configuration names")
            return describe_base_model(self._base_model)
        if recipe is None or recipe.model.origin != self.config.base_model.origin or not recipe.model.origin:
            raise InputError(f"{self.model}: another model")
        return recipe.model

    def _ran_here(self, facts: dict) -> bool:
        """Whether it was made in this run's image; a run without one takes what any made."""
        return self.image is None or facts.get("image") == self.image

    def _split_files(self, folder: str, tasks, splits=SPLITS) -> list[Path]:
        return [self.results / folder / task / f"{split}.jsonl" for task in tasks for split in splits]

    # One method per rule.

    def _raw_files(self) -> Iterator[Output]:
        for name, task in self.config.active_tasks.items():
            for role, file in task.sources[task.source].files.items():
                if file.url:
                    path = raw_path(name, role, file, self.raw)
                    same = lambda path=path, file=file: self.checksum(path) == file.sha256  # noqa: E731
                    yield Output([path], list(self.definition), same)

    def _model_is_current(self) -> bool:
        receipt = self._base_model
        return (receipt["model"], receipt["origin"]) == (self.config.model, self.config.base_model.origin)

    def _splits(self, folder: str, fold: int | None) -> Output:
        settings = self.config.data_settings(fold)
        items = self._split_files(folder, settings.tasks)

        def current() -> bool:
            summary = self._summary(folder)
            return (
                summary["made_from"] == origins.of_splits(settings, self.raw, self.checksum)
                and self._ran_here(summary)
                and all(self._split_checksum(path) == self.checksum(path) for path in items if path.is_file())
            )

        aside = [self.results / folder / task / "set_aside.csv" for task in settings.tasks]
        files = [*items, *aside, self.results / folder / "summary.json"]
        return Output(files, origins.split_inputs(settings, self.raw), current, spare=(*items, *aside))

    def _recipe(self, adapter: Adapter) -> Output:
        file = self.results / adapter.lineage / "recipe.json"

        def current() -> bool:
            settings = recipe_settings(self.config, adapter)
            known = [self.expected[parent] for parent in adapter.parents]
            found = Recipe.read(file)
            expected = build_recipe(
                settings, self._known_model(found), self.results / adapter.data, known, self._checksum
            )
            self.expected[adapter.lineage] = expected
            return found == expected

        inputs = [
            self.model / RECEIPT,
            *self._split_files(adapter.data, adapter.learnt_tasks, SPLITS[:2]),
            *(Path(self.config.active_tasks[task].prompt) for task in adapter.learnt_tasks),
            *adapter.remedies.files,
            *(self.results / parent / "recipe.json" for parent in adapter.parents),
        ]
        return Output([file], inputs, current)

    def _adapter(self, adapter: Adapter) -> Output:
        folder = self.results / adapter.lineage / "adapter"
        parents = [self.results / parent / "adapter" / RECEIPT for parent in adapter.parents]

        def current() -> bool:
            receipt = read_json(folder / RECEIPT, "an adapter's receipt")
            known = [read_json(parent, "an adapter's receipt") for parent in parents]
            return (
                receipt["fingerprint"] == self.expected[adapter.lineage].fingerprint
                and receipt["parents"] == [parent["files"][ADAPTER_WEIGHTS] for parent in known]
                and self._ran_here(receipt)
            )

        def keep() -> None:
            receipt = read_json(folder / RECEIPT, "an adapter's receipt")
            place = (self.checkpoints, receipt["fingerprint"], receipt["parents"], self.image)
            cache.keep(folder, cache.adapter_place(*place) / "adapter")

        inputs = [self.results / adapter.lineage / "recipe.json", self.model / RECEIPT, *parents]
        inputs += self._split_files(adapter.data, adapter.learnt_tasks, SPLITS[:2])
        return Output([folder / name for name in ADAPTER_FILES.values()], inputs, current, keep)

    @cached_property
    def _scoring(self) -> Callable[[str, str], dict]:
        """Facts of predictions by data folder and the base model's fingerprint."""
        settings = self.config.scoring_settings()
        templates = {name: Template.read(task.prompt, task.fields) for name, task in settings.tasks.items()}
        made: dict[tuple[str, str], dict] = {}

        def facts(folder: str, model: str) -> dict:
            if (folder, model) not in made:
                place = self.results / folder
                made[folder, model] = prediction_facts(settings, templates, model, place, self._checksum)
            return made[folder, model]

        return facts

    def _predictions(self, lineage: str) -> Output:
        folder, adapter = self.results / lineage / "predictions", self.results / lineage / "adapter" / RECEIPT
        own = self.adapters.get(lineage)
        data = own.data if own else self.folders[0]
        tasks, splits = self.config.active_tasks, self.config.evaluation.splits

        def facts() -> dict:
            # The adapters know the base model, should it not be here itself.
            known = self._known_model(next(iter(self.expected.values()), None))
            made = adapter_facts(read_json(adapter, "an adapter's receipt") if own else None)
            return made | self._scoring(data, known.fingerprint)

        def current() -> bool:
            receipt = read_receipt(folder, "the predictions")
            return all(receipt[key] == value for key, value in facts().items()) and self._ran_here(receipt)

        def keep() -> None:
            cache.keep(folder, cache.predictions_place(self.checkpoints, facts(), self.image))

        inputs = [self.model / RECEIPT, self.results / data / "summary.json", *([adapter] if own else [])]
        inputs += [*self._split_files(data, tasks, splits), *(Path(task.prompt) for task in tasks.values())]
        files = [folder / f"{task}.{split}.csv" for task in tasks for split in splits]
        return Output([*files, folder / RECEIPT], inputs, current, keep)

    def _metrics(self) -> Output:
        file = self.results / "report_metrics.json"
        inputs = origins.metrics_inputs(self.config, self.results, self.folders, self.adapters)

        def current() -> bool:
            known = read_json(file, "report_metrics.json")
            made = origins.of_metrics(self.declared, inputs, self.checksum)
            return known["made_from"] == made and self._ran_here(known)

        items = [path for folder in self.folders for path in self._split_files(folder, self.config.active_tasks)]
        return Output([file, self.results / "metrics.json"], inputs + items, current)

    def _report(self) -> Output:
        inputs = origins.report_inputs(self.results / "report_metrics.json", self.results, self.folders, self.adapters)
        # Holds the data's text, so it is not passed on.
        local = self.results / REPORT_FILES["flipped"]

        def current() -> bool:
            receipt = read_receipt(self.results / "figures", "the figures")
            pages = {self.results / name: sha256 for name, sha256 in receipt["pages"].items()}
            return (
                receipt["made_from"] == origins.of_report(inputs, self.checksum)
                and self._ran_here(receipt)
                and all(self.checksum(path) == sha256 for path, sha256 in pages.items() if path.is_file())
            )

        files = [self.results / name for name in REPORT_FILES.values()]
        tasks, splits = self.config.active_tasks, self.config.evaluation.splits
        items = [path for folder in self.folders for path in self._split_files(folder, tasks, splits)]
        return Output(files, inputs + items, current, spare=(local,))
