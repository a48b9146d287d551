"""Context of the checks: an experiment's settings, and those of its files that are there."""

from collections import Counter
from functools import cached_property
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.mirror import mirror_from_environment
from stagewise.config.tasks import SPLITS
from stagewise.config.training import Lora
from stagewise.data.items import SplitItem, read_split
from stagewise.data.raw_files import RAW
from stagewise.errors import InputError
from stagewise.lineage import BASE, Adapter, data_folders, lineage_tree, untuned_lineages
from stagewise.models.adopted import lora_settings
from stagewise.models.compute_type import experiment_compute_type
from stagewise.models.module_tree import ModuleTree, read_module_tree, text_settings
from stagewise.models.receipts import model_files
from stagewise.pipeline.planned_adapter import ADAPTERS
from stagewise.pipeline.preflight.record import is_marked_stale
from stagewise.provenance.files import read_json
from stagewise.provenance.receipts import RECEIPT


class Context:
    """An experiment before it runs.

    Parameters
    ----------
    config
        The experiment.
    elsewhere
        True if trainings run on other machines than this one: each then refuses a machine that it cannot run on.
    planned
        True if a plan has just marked the adapters that are to be made again (`freshness.settle`). If none is, what
        only trainings need cannot fail.
    base
        Lineage of the untuned base model that checks of a model are about, and whose adapters alone count; None for
        the experiment's own model, and the adapters of all.
    """

    def __init__(self, config: Config, elsewhere: bool = False, planned: bool = False, base: str | None = None):
        self.config, self.elsewhere, self.planned, self._base = config, elsewhere, planned, base
        self.model = untuned_lineages(config)[base or BASE]
        self.results, self.model_dir = Path(config.results), Path("models") / self.model
        self.raw, self.mirror = Path(RAW), config.mirror or mirror_from_environment()
        self._items: dict[tuple[str, str], list[SplitItem]] = {}

    @cached_property
    def by_model(self) -> list["Context"]:
        """The experiment as each of its base models has it; a single one's is the experiment itself."""
        bases = list(untuned_lineages(self.config))
        if len(bases) == 1 or self._base is not None:
            return [self]
        contexts = [type(self)(self.config, self.elsewhere, self.planned, base) for base in bases]
        for context in contexts:
            context._items = self._items
        return contexts

    def has(self, need: str) -> bool:
        """Tell if every base model, or the splits, are there."""
        if need == "model":
            return all(each._has_model for each in self.by_model)
        return all((self.results / folder / "summary.json").is_file() for folder in self.folders) and all(
            (self.results / self.folders[0] / task / f"{split}.jsonl").is_file()
            for task in self.config.active_tasks
            for split in SPLITS
        )

    def has_fetched(self, model: str) -> bool:
        """Tell if a base model, by its name, has been fetched."""
        return (Path("models") / model / RECEIPT).is_file()

    @property
    def _has_model(self) -> bool:
        return (self.model_dir / RECEIPT).is_file() and (self.model_files / "config.json").is_file()

    @cached_property
    def folders(self) -> list[str]:
        """Folders of the splits, one a fold."""
        return data_folders(self.config)

    @cached_property
    def adapters(self) -> dict[str, Adapter]:
        adapters = lineage_tree(self.config)
        return {name: adapter for name, adapter in adapters.items() if self._base in (None, adapter.base)}

    @property
    def trainings(self) -> list[Adapter]:
        """Adapters that are trained, those of the first run alone: the others have the same settings."""
        run = self.config.runs[0]
        return [a for a in self.adapters.values() if a.training is not None and (a.fold, a.seed) == run]

    @property
    def loras(self) -> list[Lora]:
        """LoRA settings of all trainings, each once."""
        loras: list[Lora] = []
        for adapter in self.trainings:
            if (lora := self.lora_of(adapter)) not in loras:
                loras.append(lora)
        return loras

    def lora_of(self, adapter: Adapter) -> Lora:
        """LoRA settings of a training: its own, or those of the fetched adapter that it goes on from."""
        first = adapter
        while first.lora_of_parent:
            first = self.adapters[first.parent]
        folder = ADAPTERS / first.adopted.folder if first.adopted else None
        return lora_settings(folder) if folder and (folder / RECEIPT).is_file() else adapter.lora

    @cached_property
    def nothing_to_train(self) -> bool:
        """True if every adapter is finished and current."""
        trained = [a.lineage for a in self.adapters.values() if a.training is not None]
        receipts = [self.results / lineage / "adapter" / RECEIPT for lineage in trained]
        return self.planned and all(path.is_file() and not is_marked_stale(path) for path in receipts)

    @cached_property
    def dtype(self) -> str:
        return experiment_compute_type(self.config, self.results)

    @cached_property
    def model_files(self) -> Path:
        """Folder of the model's files."""
        return model_files(self.model_dir)

    @cached_property
    def model_settings(self) -> dict:
        """The model's ``config.json``."""
        return text_settings(self.model_files)

    @cached_property
    def tree(self) -> ModuleTree:
        return read_module_tree(self.model_files)

    @cached_property
    def tokenizer(self):
        from stagewise.models.load import load_tokenizer

        try:
            return load_tokenizer(self.model_dir)
        except (ValueError, OSError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{self.model_files}: the tokenizer cannot be loaded ({reason})") from None

    def summary(self, folder: str) -> dict:
        """The summary of a folder of splits."""
        return read_json(self.results / folder / "summary.json", "the data's summary")

    def items(self, task: str, split: str) -> list[SplitItem]:
        """Items of a split; with folds those of the first one."""
        if (task, split) not in self._items:
            path = self.results / self.folders[0] / task / f"{split}.jsonl"
            self._items[task, split] = read_split(path, self.config.active_tasks[task].words)
        return self._items[task, split]

    def labels(self, task: str, split: str) -> Counter:
        """Number of items that have each label; labels without items count 0."""
        counts = Counter(word for item in self.items(task, split) for word in item.get("labels", [item["label"]]))
        return Counter({word: counts[word] for word in self.config.active_tasks[task].words})
