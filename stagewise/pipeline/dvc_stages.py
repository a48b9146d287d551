"""The experiment as DVC stages: each calls snakemake for its targets, so that both tools run the same steps.

What each stage reads and leaves follows from the plan, so a stage more or another task needs no hand in ``dvc.yaml``.
Every output persists: DVC would delete the others before a stage, and what must be made again Snakemake decides.
"""

import shlex
from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.config.tasks import SPLITS, IdsSplit
from stagewise.data.raw_files import raw_path
from stagewise.lineage import BASE, data_folders, lineage_tree

HEAD = """\
# The experiment as DVC stages, each calling snakemake for its targets: both tools run the same steps.
# Written by `python -m scripts.write_dvc{arguments}`; write it again when arms, tasks, seeds or the model change.
"""

# Top-level keys of the configuration that each stage depends on.
_DATA = ("tasks", "limit", "duplicates", "folds", "arms")

_TRAINING = ("model", "models", "tasks", "arms", "seeds", "folds", "quantization", "dtype", "prompting", "lora")

_SCORING = ("model", "models", "tasks", "arms", "quantization", "dtype", "prompting", "training", "evaluation")


def stages(config: Config, files: dict[str, dict]) -> dict:
    """Contents of ``dvc.yaml``.

    Parameters
    ----------
    config
        The experiment.
    files
        What each configuration file holds, by path, later ones winning.
    """
    return _Writer(config, files).document()


class _Writer:
    def __init__(self, config: Config, files: dict[str, dict]):
        self.config, self.files = config, files
        self.adapters = lineage_tree(config)
        self.results, self.folders = Path(config.results), data_folders(config)
        self.model = f"models/{config.model}"
        overlays = [path for path in files if path != "config.yaml"]
        # `--` ends the list of configuration files.
        given = ["--configfile", *overlays, "--"] if overlays else []
        self.snakemake = ["snakemake", "--cores", "all", *given]
        # The prompts of all tasks are few and small; a stage that reads some depends on all.
        self.prompts = sorted({task.prompt for task in config.active_tasks.values()})

    def document(self) -> dict:
        stages = {"fetch": self.fetch(), "splits": self.splits()}
        for number in sorted({adapter.stage for adapter in self.adapters.values()}):
            stages[f"stage-{number}"] = self.training(number)
        stages |= {"predictions": self.predictions(), "report": self.report()}
        figures = f"{self.results}/figures"
        plots = [
            {
                "learning curves": {
                    "template": "curves",
                    "x": "step",
                    "y": {f"{figures}/curves.csv": "value"},
                }
            },
            {
                "stage and task": {
                    "template": "matrix",
                    "x": "stage",
                    "y": {f"{figures}/stage-task-matrix.csv": "mean"},
                }
            },
        ]
        return {"stages": stages, "plots": plots}

    def _stage(self, about: str, targets: list[str], deps: list[str], keys, outs: list, **more) -> dict:
        given = [{path: [key for key in keys if key in content]} for path, content in self.files.items()]
        return {
            "desc": about,
            "cmd": shlex.join([*self.snakemake, *targets]),
            **({"deps": list(dict.fromkeys(deps))} if deps else {}),
            "params": [entry for entry in given if any(entry.values())],
            "outs": outs,
            **more,
        }

    def _out(self, path, push: bool = True, cache: bool = True) -> dict:
        return {str(path): {"persist": True} | ({} if cache else {"cache": False}) | ({} if push else {"push": False})}

    def _sources(self):
        """(task's name, task, its source)."""
        for name, task in self.config.active_tasks.items():
            yield name, task, task.sources[task.source]

    def fetch(self) -> dict:
        outs, targets = [], []
        for name, _, source in self._sources():
            for role, file in source.files.items():
                if file.url:
                    targets.append(str(raw_path(name, role, file)))
                    outs.append(self._out(targets[-1], push=source.redistribute))
        base = self.config.base_model
        # A directory of the user's is used in place: the folder holds its receipt alone.
        outs.append(self._out(self.model, cache=base.redistribute or base.path is not None))
        targets.append(f"{self.model}/receipt.json")
        return self._stage(
            "The base model and the raw files, checked by checksum", targets, [], ("model", "models", "tasks"), outs
        )

    def splits(self) -> dict:
        deps, outs, targets = [], [], []
        for name, task, source in self._sources():
            rule = task.splits[task.split]
            deps += [str(raw_path(name, role, file)) for role, file in source.files.items()]
            deps += [rule.ids] if isinstance(rule, IdsSplit) else []
        for folder in self.folders:
            place = self.results / folder
            for name, _, source in self._sources():
                targets += [f"{place}/{name}/{split}.jsonl" for split in SPLITS]
                outs.append(self._out(place / name, push=source.redistribute))
            targets.append(f"{place}/summary.json")
            outs.append(self._out(place / "summary.json"))
        about = "Items per task and split, and what was set aside; texts without a licence are never pushed"
        return self._stage(about, targets, deps, _DATA, outs)

    def _items(self) -> list[str]:
        tasks = self.config.active_tasks
        return [f"{self.results}/{folder}/{task}" for folder in self.folders for task in tasks]

    def training(self, number: int) -> dict:
        nodes = [adapter for adapter in self.adapters.values() if adapter.stage == number]
        inner = {adapter.lineage for adapter in nodes}
        deps, outs, targets = [], [], []
        for adapter in nodes:
            outside = [parent for parent in adapter.parents if parent not in inner]
            deps += [f"{self.results}/{parent}/{part}" for parent in outside for part in ("recipe.json", "adapter")]
            deps += map(str, adapter.remedies.files)
            targets.append(f"{self.results}/{adapter.lineage}/adapter/receipt.json")
            outs += [self._out(self.results / adapter.lineage / part) for part in ("recipe.json", "adapter")]
        deps += [f"{self.model}/receipt.json", *self._items(), *self.prompts]
        about = (
            "Adapters that learn a first task"
            if number == 1
            else f"Adapters of stage {number}, and their parents' weights"
        )
        return self._stage(about, targets, deps, (*_TRAINING, "training"), outs)

    def predictions(self) -> dict:
        lineages = [BASE, *self.adapters]
        deps = [f"{self.results}/{lineage}/adapter" for lineage in self.adapters]
        summaries = [f"{self.results}/{folder}/summary.json" for folder in self.folders]
        deps += [f"{self.model}/receipt.json", *self._items(), *summaries, *self.prompts]
        targets = [f"{self.results}/{lineage}/predictions/receipt.json" for lineage in lineages]
        outs = [self._out(self.results / lineage / "predictions") for lineage in lineages]
        return self._stage("Every model, scored on every task", targets, deps, _SCORING, outs)

    def report(self) -> dict:
        deps = [f"{self.results}/{lineage}/predictions" for lineage in (BASE, *self.adapters)]
        deps += [f"{self.results}/{lineage}/adapter" for lineage in self.adapters] + self._items()
        deps += [self.config.published] if self.config.published else []
        outs = [
            self._out(self.results / name) for name in ("report_metrics.json", "report.html", "report.md", "figures")
        ]
        outs.append(self._out(self.results / "items.html", push=False))  # holds the data's text
        targets = [str(self.results / name) for name in ("metrics.json", "report.html", "items.html")]
        metrics = [self._out(self.results / "metrics.json")]
        about = "All figures, and the page that shows them"
        return self._stage(about, targets, deps, list(Config.model_fields), outs, metrics=metrics)
