"""Settings of arms and their stages; orders of tasks, and sweeps over settings, as arms that name single ones."""

import re
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from stagewise.config.adopted import AdapterSource, short_name
from stagewise.config.base import Name, Settings, Whole, shown, validate
from stagewise.config.training import Lora, LoraOverrides, TrainingOverrides
from stagewise.errors import InputError
from stagewise.remedies.registry import Remedies

NEW_BRANCH = ("r", "alpha", "target_modules", "last_layers", "dora", "rslora")
"""Settings of `lora` with which a later stage trains a LoRA of its own, beside its parent's."""

_SWEPT_GROUPS = ("training", "lora", "remedies")

Position = Annotated[Whole, Field(ge=1, le=1000)]
"""Number of a task in each of `orders`, from 1."""


ADOPTED, TUNED = "adopted-", "tuned-"
"""Prefixes of the folders of stages that adopt an adapter, or a fully fine-tuned model."""

Tasks = Name | Position | Annotated[list[Name | Position], Field(min_length=1)]


class Stage(Settings):
    """A fine-tuning step of an arm, or an adapter or a model that one left elsewhere."""

    task: Tasks | None = Field(
        None,
        description="Task of this stage; a list is learnt at once (multitask). A number is the task with this position "
        "in each of `orders`. A stage has one of `task`, `adapter` and `model`.",
    )
    adapter: AdapterSource | None = Field(
        None,
        description="A PEFT LoRA adapter from elsewhere that is taken as it is, on the base model alone: its folder, "
        "or `owner/name@revision` on the hub (a commit, tag or branch). `{seed}` and `{fold}` in it stand for those of "
        "each run.",
    )
    model: Name | None = Field(
        None,
        description="A fully fine-tuned model that is taken as it is, one of `models`. All stages of such an arm are.",
    )
    learnt: Tasks | None = Field(
        None,
        description="Task, or tasks, that `adapter` or `model` learnt elsewhere, if they are among `tasks`.",
    )
    name: Name | None = Field(
        None,
        description="Folder name in the lineage; by default composed of the tasks, the remedies and what `sweep` sets. "
        "Where the file system takes `A` and `a` for one folder, names differ in more than that.",
    )
    remedies: Remedies = Field(Remedies(), description="Remedies against forgetting.")
    training: Annotated[TrainingOverrides, Field(description="Training settings of this stage only.")] = (
        TrainingOverrides()
    )
    lora: Annotated[
        LoraOverrides,
        Field(
            description="LoRA settings of this stage only. A later stage that sets more than `dropout` trains a LoRA "
            "of its own beside its parent's, which is frozen."
        ),
    ] = LoraOverrides()
    sweep: dict[str, Annotated[list[Any], Field(min_length=2)]] = Field(
        {},
        description="Values to try by setting, such as `remedies.anchor.strength: [0.01, 0.1, 1]`; any key of "
        "`training`, `lora` or `remedies.<name>`. Each combination is trained and scored; validation chooses the one "
        "that the report is about.",
    )

    @field_validator("task", "learnt")
    @classmethod
    def distinct_tasks(cls, task):
        if isinstance(task, list) and len(set(task)) < len(task):
            raise ValueError("a task is given twice")
        return task

    @model_validator(mode="after")
    def one_origin(self):
        origins = [key for key in ("task", "adapter", "model") if getattr(self, key) is not None]
        if len(origins) != 1:
            raise ValueError(
                f"a stage has one of 'task', 'adapter' and 'model' ({' and '.join(origins) or 'none'} given)"
            )
        if origins == ["task"]:
            if self.learnt is not None:
                raise ValueError("'learnt' goes with 'adapter' or 'model'; a trained stage has 'task'")
            return self
        settings = {"training": self.training, "lora": self.lora}
        given = [key for key, value in settings.items() if value.model_dump(exclude_none=True)]
        given += [f"remedies.{name}" for name in self.remedies.in_training] + (["sweep"] if self.sweep else [])
        if self.model is not None:
            given += [f"remedies.{name}" for name in self.remedies.chosen if f"remedies.{name}" not in given]
        if given:
            raise ValueError(f"'{given[0]}' does not go with '{origins[0]}', which is taken as it is; take it out")
        return self

    @model_validator(mode="after")
    def sweep_is_possible(self):
        for key, values in self.sweep.items():
            group, _, rest = key.partition(".")
            if group not in _SWEPT_GROUPS or not rest or (group == "remedies" and "." not in rest):
                raise ValueError(
                    f"sweep: '{shown(key)[1:-1]}' is no setting of a stage; write training.KEY, lora.KEY or "
                    "remedies.NAME.KEY"
                )
            if any(value in values[:number] for number, value in enumerate(values)):
                raise ValueError(f"sweep: '{key}' has a value twice")
        try:
            self.variants  # noqa: B018
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that the stage learns, or its adapter or model learnt elsewhere; maybe none."""
        tasks = self.task if self.learnt is None else self.learnt
        return tasks if isinstance(tasks, list) else [] if tasks is None else [tasks]

    @property
    def is_trained(self) -> bool:
        """True if the workflow trains it; False if it is taken from elsewhere."""
        return self.task is not None

    @property
    def folder(self) -> str:
        """Name of the adapter's folder."""
        if self.adapter is not None:
            return f"{ADOPTED}{self.name or short_name(self.adapter)}"
        if self.model is not None:
            return f"{TUNED}{self.name or self.model}"
        labels = [remedy.label for remedy in self.remedies.in_training.values()]
        return self.name or "+".join([*map(str, self.tasks), *labels])

    @property
    def has_own_lora(self) -> bool:
        """True if a later stage trains a LoRA of its own, beside its parent's."""
        return any(getattr(self.lora, key) is not None for key in NEW_BRANCH)

    @property
    def variants(self) -> dict[str, "Stage"]:
        """Stages without `sweep` by what it sets, such as ``strength=0.1``; without one the stage itself.

        Raises
        ------
        InputError
            If a swept key is none, or takes no such value.
        """
        if not self.sweep:
            return {"": self}
        variants = {}
        for values in product(*self.sweep.values()):
            setting = dict(zip(self.sweep, values, strict=True))
            label = ", ".join(f"{short}={_text(value)}" for short, value in zip(self._short_keys, values, strict=True))
            stage = validate(Stage, self._with(setting), f"sweep: {label}")
            variants[label] = stage.model_copy(update={"name": self._variant_name(stage, setting)})
        return variants

    @property
    def _short_keys(self) -> list[str]:
        """Last parts of the swept keys, with the parts before where several end alike."""
        ends = [key.rpartition(".")[2] for key in self.sweep]
        return [end if ends.count(end) == 1 else key for end, key in zip(ends, self.sweep, strict=True)]

    def _with(self, setting: dict[str, Any]) -> dict:
        """Plain data of the stage with these values by dotted key."""
        values = self.model_dump(exclude={"sweep"}, exclude_unset=True, serialize_as_any=True)
        for key, value in setting.items():
            group, _, rest = key.partition(".")
            # The name of a remedy may hold dots.
            *name, last = rest.rpartition(".")[::2] if group == "remedies" else rest.split(".")
            inner = values.setdefault(group, {})
            for part in name:
                inner[part] = inner.get(part) or {}
                inner = inner[part]
            inner[last] = value
        return values

    def _variant_name(self, stage: "Stage", setting: dict[str, Any]) -> str:
        """Name of a variant's folder: what the remedies' labels tell apart by themselves is not repeated."""
        return stage.folder + "".join(
            _folder_part(short, setting[key])
            for short, key in zip(self._short_keys, self.sweep, strict=True)
            if not self._is_in_folder(key)
        )

    def _is_in_folder(self, key: str) -> bool:
        """True if each value of a swept key gives a remedy, and with it a folder, another label."""
        group, _, rest = key.partition(".")
        name = rest.rpartition(".")[0]
        if group != "remedies":
            return False
        labels = set()
        for value in self.sweep[key]:
            remedies = validate(Stage, self._with({key: value}), f"sweep: {key}={_text(value)}").remedies
            if self.name and name in remedies.in_training:
                return False  # the folder has the user's name alone
            labels.add(remedies.chosen[name].label)
        return len(labels) == len(self.sweep[key])


def lora_suffix(settings: dict[str, Any]) -> str:
    """End of a folder's name that tells LoRA settings (`Arm.changed_lora`), such as ``_r-4_alpha-8``; maybe empty."""
    return "".join(_folder_part(key, value) for key, value in settings.items())


def _text(value) -> str:
    """Write a swept value for a label and for a folder's name."""
    if isinstance(value, list):
        return "+".join(map(_text, value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _folder_part(key: str, value) -> str:
    """Write a setting for the end of a folder's name, such as ``_r-4``."""
    return "_" + re.sub("[^A-Za-z0-9_.+-]", "-", f"{key}-{_text(value)}")


def _is_empty(overrides: LoraOverrides) -> bool:
    return not overrides.model_dump(exclude_none=True)


class Arm(Settings):
    """A way through the stages."""

    model: Name | None = Field(
        None,
        exclude_if=lambda value: value is None,  # so that results of older versions stay current
        description="Base model of all stages of this arm, one of `models`; by default the experiment's `model`.",
    )
    lora: LoraOverrides = Field(
        LoraOverrides(),
        exclude_if=_is_empty,
        description="LoRA settings of all stages of this arm, in the place of the experiment's; a stage's own go "
        "before. They end the names of the folders of stages that start from the base model, as in `pubmedqa_r-4`.",
    )
    adapters: Literal["one", "per_task"] = Field(
        "one",
        description="`one`: each stage trains its predecessor's adapter further. `per_task`: each stage starts from "
        "the base model, and its adapter answers its own tasks only.",
    )
    stages: list[Stage] = Field(min_length=1, description="Stages in order.")
    reference: Name | None = Field(
        None, description="Arm that this one is compared with; by default `statistics.reference`."
    )

    @model_validator(mode="after")
    def lora_has_a_use(self):
        first = self.stages[:1] if self.adapters == "one" else self.stages
        if not _is_empty(self.lora) and not any(stage.is_trained for stage in first):
            raise ValueError(
                "'lora' has no effect: the arm goes on with what it takes from elsewhere, as it is; take it out, and "
                "give a later stage that trains a LoRA beside it a 'lora' of its own"
            )
        return self

    def changed_lora(self, experiment: Lora) -> dict[str, Any]:
        """Values of the arm's LoRA settings that differ from the experiment's, in the order of declaration."""
        given = self.lora.model_dump(exclude_none=True)
        return {key: value for key, value in given.items() if value != getattr(experiment, key)}

    @property
    def has_positions(self) -> bool:
        """True if a stage names its task by its position in `orders`."""
        return any(isinstance(task, int) for stage in self.stages for task in stage.tasks)

    def in_order(self, tasks: list[str]) -> "Arm":
        """Put the tasks of an order in the place of their positions."""

        def named(task):
            if isinstance(task, list):
                return list(map(named, task))
            return tasks[task - 1] if isinstance(task, int) else task

        stages = [
            stage.model_copy(update={"task": named(stage.task), "learnt": named(stage.learnt)}) for stage in self.stages
        ]
        return self.model_copy(update={"stages": stages})

    @property
    def is_swept(self) -> bool:
        return any(stage.sweep for stage in self.stages)

    @property
    def variants(self) -> dict[str, "Arm"]:
        """Arms without sweeps by what they set; the arm itself, by an empty text, if nothing is swept."""
        several = sum(bool(stage.sweep) for stage in self.stages) > 1
        variants = {}
        for stages in product(*(stage.variants.items() for stage in self.stages)):
            labels = [f"stage {n} {label}" if several else label for n, (label, _) in enumerate(stages, 1) if label]
            variants[", ".join(labels)] = self.model_copy(update={"stages": [stage for _, stage in stages]})
        return variants
