"""Typed configuration of an experiment, from which its JSON schema and its reference page are generated."""

import os
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from stagewise.config.arms import ADOPTED, TUNED, Arm, Stage, lora_suffix
from stagewise.config.base import MAX_SEED, FilePath, Name, Settings, Whole
from stagewise.config.base_model import Model
from stagewise.config.evaluation import Evaluation, Statistics
from stagewise.config.measure_checks import check_best_metric, check_own_measures, check_primary_measure
from stagewise.config.mirror import MIRROR_VARIABLE
from stagewise.config.orders import arms_in_orders, check_orders, name_in_order, order_of_arms
from stagewise.config.probes import Probes
from stagewise.config.step_settings import DataSettings, ProbeSettings, ScoringSettings
from stagewise.config.tasks import Duplicates, Fold, IdsSplit, Limit, Task
from stagewise.config.training import Logging, Lora, Prompting, Training
from stagewise.config.yaml_files import merge
from stagewise.measures import TASK_SCORE, own_measure

# Names of folders and files beside a child's folder in the lineage tree.
RESERVED = {"adapter", "predictions", "probes", "recipe.json", "base"}

RESERVED_STARTS = ("seed-", "fold-", "merged-", ADOPTED, TUNED)


# Names beside the tasks' folders in the data; folds have folders of their own, too.
RESERVED_TASKS = {"summary.json"}

# A name beside a child's folder gets a few characters more while a file is written; file systems take 255.
MAX_FOLDER_NAME = 200

PROJECT_FOLDERS = {
    "adapters",
    ".dvc",
    ".git",
    ".snakemake",
    "benchmarks",
    "containers",
    "data",
    "docs",
    "envs",
    "experiments",
    "logs",
    "models",
    "profiles",
    "prompts",
    "report",
    "rules",
    "schemas",
    "scripts",
    "stagewise",
    "tests",
}
"""Folders of the project and of its runs, which hold no results."""


class Config(Settings):
    """Settings of an experiment. Threads, memory and GPUs belong in a profile."""

    experiment: Name = Field(description="Name shown in the report.")
    results: FilePath = Field(
        "results", max_length=1000, description="Folder for all results, of its own: no folder of the project."
    )
    inherits: Literal["all"] | list[Name] | None = Field(
        None,
        description="In an overlay: what it takes of the default experiment (`config.yaml`), `all` or a list of its "
        "top-level settings. Null takes all, but of an overlay that declares arms and a task of its own only "
        "`model`, `models`, `tasks`, `quantization`, `dtype` and `prompting`.",
    )
    mirror: FilePath | None = Field(
        None,
        description="Folder that is searched for raw files and model packages before any download, checked by the same "
        f"SHA-256. The environment variable {MIRROR_VARIABLE} has the same effect.",
    )
    model: Name = Field(description="Name of the base model, one of `models`.")
    models: dict[Name, Model | None] = Field(description="Base models by name.")
    quantization: Annotated[str, Field(pattern="^(none|nf4)$")] = Field(
        "none", description="`nf4`: frozen weights in 4 bit with double quantization (QLoRA, arXiv:2305.14314)."
    )
    dtype: Annotated[str, Field(pattern="^(auto|float32|bfloat16)$")] = Field(
        "auto",
        description="Compute type; `auto` is bfloat16 on GPUs of compute capability 8.0 or newer, else float32.",
    )
    prompting: Prompting = Field(Prompting(), description="Form of the prompts.")
    tasks: dict[Name, Task | None] = Field(description="Tasks by name; null removes one.")
    limit: Limit = Field(Limit(), description="Maximal numbers of items, to try an experiment in minutes.")
    duplicates: Duplicates = Field(Duplicates(), description="Treatment of repeated texts.")
    seeds: list[Annotated[Whole, Field(ge=0, le=MAX_SEED)]] = Field(
        [0], min_length=1, description="Training seeds; each arm runs once per seed."
    )
    folds: list[Fold] | None = Field(
        None,
        min_length=1,
        description="Cross-validation folds; each arm runs once per fold and seed. A task whose split has a `fold` "
        "takes each in its place, the others stay as they are; null leaves every task its own.",
    )
    arms: dict[Name, Arm | None] = Field(description="Arms by name; null removes one.")
    orders: dict[Name, Annotated[list[Name], Field(min_length=1)] | None] = Field(
        {},
        description="Orders of tasks by name; null removes one. An arm whose stages name tasks by their position "
        "stands there once for each, as `ARM-ORDER`.",
    )
    probes: Probes = Field(Probes(), description="What is scored and never learnt.")
    lora: Lora = Field(Lora(), description="Shape of the adapters.")
    training: Training = Field(Training(), description="Training settings of all stages, which a stage may override.")
    logging: Logging = Field(Logging(), description="Logs of training.")
    evaluation: Evaluation = Field(Evaluation(), description="Scoring of the adapters.")
    statistics: Statistics = Field(Statistics(), description="Confidence intervals and tests.")
    published: FilePath | None = Field(
        None, description="JSON file of the published experiment's figures, for comparison; null shows none."
    )

    @field_validator("results")
    @classmethod
    def plain_path(cls, results):
        """Spell the folder in one way: every path below it is compared as text."""
        path = os.path.normpath(results)
        parts = [part for part in path.split("/") if part]
        first = os.path.relpath(path).split("/")[0]
        if path == "/" or os.path.relpath(path) == "." or parts[-1] == "..":
            raise ValueError("name a folder of its own for the results, such as results-2")
        if parts[0] == "..":
            raise ValueError("write a folder outside the project with its whole path, from the root")
        if any(part != part.strip() or part.startswith("-") or len(part) > MAX_FOLDER_NAME for part in parts):
            raise ValueError(
                "the name of a folder neither begins with a hyphen, begins or ends with a blank, nor has more than "
                f"{MAX_FOLDER_NAME} characters"
            )
        if first in PROJECT_FOLDERS:
            raise ValueError(f"'{first}' is a folder of the project; name another for the results, such as results-2")
        return path

    @field_validator("seeds")
    @classmethod
    def distinct_seeds(cls, seeds):
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is given twice")
        return seeds

    @field_validator("experiment", "model", mode="before")
    @classmethod
    def named(cls, value):
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def references_exist(self):
        for kind, chosen in (("models", self.models), ("tasks", self.tasks), ("arms", self.arms)):
            if kind == "tasks" and self.probes.item_scored:
                continue
            if not any(value is not None for value in chosen.values()):
                raise ValueError(f"{kind} is empty; declare at least one")
        for task in self.tasks:
            if task in RESERVED_TASKS or task.startswith("fold-"):
                raise ValueError(
                    f"tasks.{task} has the name of a file or folder beside the tasks' data; choose another"
                )
        if not self.models.get(self.model):
            raise ValueError(f"model '{self.model}' is not one of models ({', '.join(self.models)})")
        check_own_measures(self.tasks)
        check_orders(self.arms, self.orders, self.tasks)
        for arm_name, arm in self.active_arms.items():
            if not self.models.get(self.model_of(arm)):
                raise ValueError(f"arms.{arm_name}.model '{arm.model}' is not one of models ({', '.join(self.models)})")
            for variant in self.arm_variants[arm_name].values():
                for number, stage in enumerate(variant.stages):
                    self._check_stage(f"arms.{arm_name}.stages[{number}]", stage, first=number == 0, arm=arm)
        for task in self.probes.tasks:
            if not self.tasks.get(task):
                raise ValueError(f"probes.tasks names the task '{task}', which tasks does not declare")
        for name in self.probes.item_scored:
            if name in self.tasks:
                raise ValueError(f"probes: '{name}' is a task, too; rename it, or name the task in probes.tasks")
        if self.active_arms and self.model not in map(self.model_of, self.active_arms.values()):
            raise ValueError(
                f"model '{self.model}' is the base model of no arm, as each has a 'model' of its own; name one of "
                "those as the experiment's"
            )
        check_primary_measure(self.statistics.primary_measure, {task.kind for task in self.active_tasks.values()})
        references = {"statistics": self.statistics.reference}
        references |= {f"arms.{name}": arm.reference for name, arm in self.arms.items() if arm is not None}
        for key, name in references.items():
            if name is not None and self.arms.get(name) is None:
                arms = ", ".join(name for name, arm in self.arms.items() if arm is not None)
                raise ValueError(f"{key}.reference '{name}' is not one of the arms ({arms})")
        return self

    def _check_stage(self, key: str, stage: Stage, first: bool, arm: Arm) -> None:
        for task in stage.tasks:
            if not self.tasks.get(task):
                raise ValueError(f"{key} names the task '{task}', which tasks does not declare")
        if stage.model is not None:
            if not self.models.get(stage.model):
                raise ValueError(f"{key}.model '{stage.model}' is not one of models ({', '.join(self.models)})")
            if stage.model == self.model_of(arm):
                raise ValueError(f"{key}.model '{stage.model}' is the base model itself")
            if arm.adapters == "per_task":
                raise ValueError(f"{key}.model: an arm with adapters 'per_task' has no models")
        if (stage.model is None) != (arm.stages[0].model is None):
            raise ValueError(f"{key}: in an arm with a 'model', every stage is one")
        if stage.is_trained and (stage.folder in RESERVED or stage.folder.startswith(RESERVED_STARTS)):
            raise ValueError(f"{key}.name '{stage.folder}' is a reserved word; choose another")
        folder = stage.folder + lora_suffix(arm.changed_lora(self.lora))
        if len(folder) > MAX_FOLDER_NAME:
            raise ValueError(
                f"{key}: the folder '{folder[:40]}…' has a name of {len(folder)} characters; "
                f"give the stage a 'name' of {MAX_FOLDER_NAME} at most"
            )
        self._check_training(f"{key}.training", stage, first)
        if stage.training.optimizer_state == "parent" and (first or arm.adapters == "per_task"):
            raise ValueError(f"{key}.training.optimizer_state: the stage has no parent to resume")

    def _check_training(self, key: str, stage: Stage, first: bool) -> None:
        """Refuse settings of a stage that do not go with the experiment's."""
        try:
            training = self.stage_training(stage, first)
        except ValidationError as error:
            raise ValueError(f"{key}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
        check_best_metric(key, training.best_metric, {task: self.tasks[task].kind for task in stage.tasks})
        limited = [task for task in stage.tasks if self.tasks[task].max_length is not None]
        if stage.training.max_length is not None and len(limited) == len(stage.tasks):
            raise ValueError(
                f"{key}.max_length has no effect, tasks.{limited[0]}.max_length takes its place; take one of them out"
            )

    @model_validator(mode="after")
    def sweeps_can_be_judged(self):
        swept = next((name for name, arm in self.active_arms.items() if arm.is_swept), None)
        if swept and not {"validation", "test"} <= set(self.evaluation.splits):
            raise ValueError(
                f"arms.{swept} has a sweep, which validation decides and test judges; evaluation.splits needs both"
            )
        return self

    @model_validator(mode="after")
    def folds_are_used(self):
        if self.folds is not None:
            if len(set(self.folds)) < len(self.folds):
                raise ValueError("folds: a fold is given twice")
            if not any(_has_fold(task) for task in self.active_tasks.values()):
                raise ValueError(
                    "folds: no task of the arms has a split with a fold; take folds out or choose such a split"
                )
        return self

    # Planning reads both for every adapter, and each goes through every arm: cached, so that planning stays linear.
    @cached_property
    def active_arms(self) -> dict[str, Arm]:
        """Arms that are not null, by name; those that name tasks by position stand there once for each order."""
        return arms_in_orders(self.arms, self.orders)

    @cached_property
    def arm_variants(self) -> dict[str, dict[str, Arm]]:
        """Variants of each arm by what its sweeps set (`Arm.variants`), by arm."""
        return {name: arm.variants for name, arm in self.active_arms.items()}

    @cached_property
    def _order_of(self) -> dict[str, str]:
        return order_of_arms(self.arms, self.orders)

    @cached_property
    def active_tasks(self) -> dict[str, Task]:
        """Tasks that an arm learns, and probes among the tasks, in declaration order."""
        scored = {*self.learnt_tasks, *self.probes.tasks}
        return {name: task for name, task in self.tasks.items() if name in scored and task is not None}

    @property
    def learnt_tasks(self) -> list[str]:
        """Tasks that a stage of an arm learns, or learnt elsewhere."""
        return list(
            dict.fromkeys(task for arm in self.active_arms.values() for stage in arm.stages for task in stage.tasks)
        )

    @property
    def own_measures(self) -> dict[str, str]:
        """The measure that claims about each active task are about, by task."""
        primary = self.statistics.primary_measure
        return {name: task.measure or own_measure(task.kind, primary) for name, task in self.active_tasks.items()}

    @property
    def primary_measure(self) -> str:
        """The measure that all tasks share, or `task_score`: of each task its own."""
        names = dict.fromkeys(self.own_measures.values())
        return TASK_SCORE if len(names) > 1 else next(iter(names), self.statistics.primary_measure)

    @property
    def unused_tasks(self) -> list[str]:
        """Tasks that are declared, and neither learnt nor probed: nothing is made of them."""
        return [name for name, task in self.tasks.items() if task is not None and name not in self.active_tasks]

    @property
    def used_models(self) -> dict[str, Model]:
        """The base models, and fully fine-tuned ones that arms name, by name."""
        tuned = [stage.model for arm in self.active_arms.values() for stage in arm.stages if stage.model is not None]
        return {name: self.models[name] for name in dict.fromkeys([*self.base_models, *tuned])}

    @property
    def reference(self) -> str:
        """Name of the arm that the others are compared with; that of the first order, if it is in several."""
        return self._reference_in(next(iter(self._order_of.values()), ""), self.statistics.reference)

    def reference_of(self, arm: str) -> str:
        """Name of the arm that an arm is compared with: its own reference, in its own order if it is in several."""
        name = self.active_arms[arm].reference or self.statistics.reference
        return self._reference_in(self._order_of.get(arm, next(iter(self._order_of.values()), "")), name)

    def _reference_in(self, order: str, name: str | None) -> str:
        name = name or next(name for name, arm in self.arms.items() if arm is not None)
        in_order = name_in_order(name, order)
        return in_order if in_order in self._order_of else name

    def with_choice(self, choice: dict[str, str]) -> "Config":
        """Put the chosen variant in the place of each arm that is swept.

        Parameters
        ----------
        choice
            Label of the chosen variant by arm; arms that are not there keep their first.
        """
        arms = {}
        for name, variants in self.arm_variants.items():
            chosen = variants[choice.get(name, next(iter(variants)))]
            arms[name] = chosen.model_copy(update={"reference": self.reference_of(name)})
        statistics = self.statistics.model_copy(update={"reference": self.reference})
        config = self.model_copy(update={"arms": arms, "orders": {}, "statistics": statistics})
        for cached in ("active_arms", "active_tasks", "arm_variants", "_order_of"):
            config.__dict__.pop(cached, None)
        return config

    @property
    def runs(self) -> list[tuple[int | None, int]]:
        """(fold, seed) of each run of the arms; fold is None without folds."""
        return [(fold, seed) for fold in self.folds or [None] for seed in self.seeds]

    def _narrowed_tasks(self, fold: int | None = None) -> dict[str, Task]:
        """Reduce tasks to their chosen source and split, so that editing another one reruns nothing."""
        return {
            name: task.model_copy(
                update={
                    "sources": {task.source: task.sources[task.source]},
                    "splits": {
                        task.split: task.splits[task.split].model_copy(update={"fold": fold})
                        if fold is not None and _has_fold(task)
                        else task.splits[task.split]
                    },
                }
            )
            for name, task in self.active_tasks.items()
        }

    def model_of(self, arm: Arm) -> str:
        """Name of an arm's base model."""
        return arm.model or self.model

    @property
    def base_models(self) -> dict[str, Model]:
        """Base models of the arms by name, the experiment's own first."""
        names = dict.fromkeys([self.model, *map(self.model_of, self.active_arms.values())])
        return {name: self.models[name] for name in names}

    def data_settings(self, fold: int | None = None) -> "DataSettings":
        """Select the settings that determine the splits of one fold."""
        return DataSettings(tasks=self._narrowed_tasks(fold), limit=self.limit, duplicates=self.duplicates)

    def scoring_settings(self) -> "ScoringSettings":
        """Select the settings that determine an adapter's predictions."""
        return ScoringSettings(
            tasks=self._narrowed_tasks(),
            prompting=self.prompting,
            quantization=self.quantization,
            dtype=self.dtype,
            max_length=self.training.max_length,
            evaluation=self.evaluation,
        )

    def probe_settings(self) -> "ProbeSettings":
        """Select the settings that determine an adapter's scores on harness tasks and texts."""
        return ProbeSettings(
            harness=self.probes.harness,
            texts=self.probes.active_texts,
            prompting=self.prompting,
            quantization=self.quantization,
            dtype=self.dtype,
        )

    def stage_lora(self, arm: Arm, stage: Stage) -> Lora:
        """Complete a stage's LoRA settings with its arm's and the experiment's."""
        arms, own = (overrides.model_dump(exclude_none=True) for overrides in (arm.lora, stage.lora))
        return Lora(**self.lora.model_dump() | arms | own)

    def stage_training(self, stage: Stage, first: bool) -> Training:
        """Complete a stage's training settings with the experiment's; `first` if it starts from the base model."""
        values = merge(self.training.model_dump(), stage.training.model_dump(exclude_none=True, exclude_unset=True))
        if first:
            values["optimizer_state"] = "fresh"
        return Training(**values)


def _has_fold(task: Task) -> bool:
    """Check whether a task's split chooses one of several folds."""
    rule = task.splits[task.split]
    return isinstance(rule, IdsSplit) and rule.fold is not None
