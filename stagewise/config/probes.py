"""Settings of probes: what every adapter is scored on and no stage learns."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from stagewise.config.base import MAX_COUNT, FilePath, Name, Settings, Sha256, Whole
from stagewise.config.sources import Url

HarnessTask = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
"""Name of a task of lm-evaluation-harness."""


class Harness(Settings):
    """Tasks of lm-evaluation-harness, with one score per item."""

    tasks: list[HarnessTask] = Field(min_length=1, description="Names of harness tasks, such as `arc_easy`.")
    include: FilePath | None = Field(None, description="Folder of further task files (YAML) of the harness.")
    num_fewshot: Annotated[Whole, Field(ge=0, le=1000)] | None = Field(
        None, description="Examples before each item; null leaves it to the task."
    )
    limit: Annotated[Whole, Field(ge=2, le=MAX_COUNT)] | None = Field(
        None, description="Maximal number of items per task, the first ones; null takes all."
    )
    apply_chat_template: bool = Field(False, description="Put each item into the model's chat template.")

    @field_validator("tasks")
    @classmethod
    def distinct(cls, tasks):
        if len(set(tasks)) < len(tasks):
            raise ValueError("a task is given twice")
        return tasks


class HeldOutText(Settings):
    """A text whose bits per byte are measured."""

    path: FilePath | None = Field(None, description="Local text file (UTF-8), relative to the working directory.")
    url: Url | None = Field(None, description="URL of the file.")
    sha256: Sha256 | None = Field(None, description="SHA-256 of the file. Required with `url`.")
    segment_tokens: Whole = Field(
        256,
        ge=16,
        le=100_000,
        description="Tokens of a segment: each is scored by itself, and intervals take segments as items.",
    )

    @model_validator(mode="after")
    def one_origin(self):
        if (self.path is None) == (self.url is None):
            raise ValueError("give exactly one of 'path' and 'url'")
        if self.url and not self.sha256:
            raise ValueError("a text with a 'url' needs its 'sha256'")
        return self


class Probes(Settings):
    """Tasks, texts and benchmarks that every adapter and the base model are scored on, and no stage learns."""

    tasks: list[Name] = Field([], description="Tasks, of `tasks`, that are scored whether or not an arm learns them.")
    harness: Harness | None = Field(
        None, description="Tasks of lm-evaluation-harness; a list is short for `{tasks: […]}`."
    )
    texts: dict[Name, HeldOutText | None] = Field(
        {}, description="Held-out texts by name, scored in bits per byte; a path is short for `{path: …}`."
    )

    @field_validator("tasks")
    @classmethod
    def distinct(cls, tasks):
        if len(set(tasks)) < len(tasks):
            raise ValueError("a task is given twice")
        return tasks

    @field_validator("harness", mode="before", json_schema_input_type=Harness | list[HarnessTask] | None)
    @classmethod
    def short_harness(cls, value):
        return {"tasks": value} if isinstance(value, list) else value

    @field_validator("texts", mode="before", json_schema_input_type=dict[Name, HeldOutText | str | None])
    @classmethod
    def short_texts(cls, value):
        if isinstance(value, dict):
            return {name: {"path": text} if isinstance(text, str) else text for name, text in value.items()}
        return value

    @model_validator(mode="after")
    def distinct_names(self):
        names = [*self.tasks, *self.item_scored]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two probes are called '{repeated[0]}'; rename one of them")
        return self

    @property
    def active_texts(self) -> dict[str, HeldOutText]:
        """Texts that are not null, by name."""
        return {name: text for name, text in self.texts.items() if text is not None}

    @property
    def item_scored(self) -> list[str]:
        """Names of the probes with one score per item: harness tasks and texts."""
        return [*(self.harness.tasks if self.harness else []), *self.active_texts]
