"""Settings of tasks: sources, readers, labels, prompts and splits."""

import difflib
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from stagewise.config.base import Settings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[SplitName, ...] = get_args(SplitName)

FormatName = Literal["json", "jsonl", "csv", "parquet"]
"""Formats that `data.formats` registers."""


class File(Settings):
    """One raw file: a local path, or a URL with the checksum of the file that is used."""

    path: str | None = Field(None, description="Local file, relative to the working directory.")
    url: str | None = Field(None, description="Where the file, or the archive holding it, is fetched.")
    member: str | None = Field(None, description="The file's path inside the archive at `url`.")
    sha256: Sha256 | None = Field(
        None, description="SHA-256 of the file that is used (the member, for an archive). Required with `url`."
    )

    @model_validator(mode="after")
    def one_origin(self):
        if (self.path is None) == (self.url is None):
            raise ValueError("give exactly one of 'path' and 'url'")
        if self.url and not self.sha256:
            raise ValueError("a file with a 'url' needs the 'sha256' of the file that is used")
        if self.member and not self.url:
            raise ValueError("'member' names a file inside the archive at 'url', which is missing")
        return self


class Reader(Settings):
    """How a raw file becomes records."""

    format: FormatName | Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] = Field(
        "json", description="File format, or `package.module:function` for one of your own."
    )
    keyed: bool = Field(
        False, description="JSON only: the file is one object of id → record; the id becomes the column `key`."
    )
    encoding: str = Field("utf-8", description="Text encoding; a byte-order mark is accepted.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="CSV field separator.")

    @field_validator("format", mode="before")
    @classmethod
    def format_exists(cls, value):
        names = get_args(FormatName)
        if isinstance(value, str) and ":" not in value and value not in names:
            near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else "see docs/configuration.md"
            raise ValueError(f"'{value}' is not a format ({', '.join(names)}, or 'package.module:function'); {hint}")
        return value


class Source(Settings):
    """A named origin of a task's items."""

    files: dict[Name, File] = Field(description="Raw files by role; a split rule refers to roles.", min_length=1)
    reader: Reader = Field(Reader(), description="How the files are read.")
    licence: str | None = Field(None, description="Licence of the text, as far as known.")
    redistribute: bool = Field(False, description="Whether the licence lets the text be passed on.")
    agreement: dict[str, Literal["label", "share"]] = Field(
        {},
        description="Columns that say how sure the gold label is: an annotator's own `label`, or the `share` of "
        "annotators who agree (0 to 1; 0 says nothing, as an empty cell).",
    )


class Label(Settings):
    """One label: how the raw file writes it and the word the model answers with."""

    value: str = Field(description="The value in the label column.")
    word: str = Field(min_length=1, description="The answer that stands for it.")

    @field_validator("value", "word", mode="before", json_schema_input_type=str | int)
    @classmethod
    def text(cls, value):
        if isinstance(value, bool):
            raise ValueError("YAML reads an unquoted yes or no as true or false; put it in quotes, or write !!str yes")
        return str(value) if isinstance(value, int) else value


class Column(Settings):
    """A prompt variable taken from a column."""

    column: str = Field(description="Column of the raw file.")
    sections: Literal["all", "first"] = Field(
        "all", description="For a column that holds a list of sections: all of them, or (the published way) the first."
    )


class IdsSplit(Settings):
    """Splits given by item ids: either three lists, or a test list and folds."""

    rule: Literal["ids"] = Field(description="Split by item ids.")
    ids: str = Field(description="JSON file with `train`/`validation`/`test` lists, or `test` and `folds`.")
    fold: int | None = Field(None, ge=0, description="Which of the file's folds is validation; the others train.")


class FilesSplit(Settings):
    """Splits given by files; validation is a share of train unless it has a file."""

    rule: Literal["files"] = Field(description="Split by files.")
    train: Name = Field("train", description="Role of the training file.")
    test: Name = Field("test", description="Role of the test file.")
    validation: Name | None = Field(None, description="Role of the validation file, if there is one.")
    validation_share: float = Field(0.2, gt=0, lt=1, description="Share of training items kept for validation.")
    seed: int = Field(0, description="Seed of the validation draw.")


class RandomSplit(Settings):
    """Label-stratified random splits of one file, whole groups at a time where the task has groups."""

    rule: Literal["random"] = Field(description="Split at random.")
    file: Name = Field("items", description="Role of the file.")
    train: float = Field(gt=0, description="Items (a whole number above 1) or share (at most 1).")
    validation: float = Field(gt=0, description="Items or share, as `train`.")
    test: float = Field(gt=0, description="Items or share, as `train`.")
    seed: int = Field(0, description="Seed of the draw.")

    @model_validator(mode="after")
    def sizes(self):
        sizes = (self.train, self.validation, self.test)
        if all(size < 1 for size in sizes):
            if sum(sizes) > 1 + 1e-9:
                raise ValueError(f"the shares of train, validation and test add up to {sum(sizes):g}, above 1")
        elif any(size < 1 or size != int(size) for size in sizes):
            raise ValueError("give train, validation and test all as shares below 1 or all as whole numbers of items")
        return self


Split = Annotated[IdsSplit | FilesSplit | RandomSplit, Field(discriminator="rule")]


class Task(Settings):
    """A labelled classification data set with its prompt and label words."""

    prompt: str = Field(description="Text file with one `{name}` per prompt variable.")
    labels: list[Label] = Field(min_length=2, description="Raw values and answer words, in report order.")
    id: str = Field(description="Column that identifies an item.")
    label: str = Field(description="Column with the gold label.")
    fields: dict[Name, Column] = Field(min_length=1, description="Prompt variables.")
    shorten: str | None = Field(
        None, description="The variable that is cut at its end where a prompt is too long; without it that is an error."
    )
    group: str | None = Field(None, description="Column whose equal values must stay in one split.")
    identity: list[str] | None = Field(
        None, description="Variables that make two items the same text (all of them if not given)."
    )
    source: Name = Field(description="Which of `sources` is used.")
    sources: dict[Name, Source] = Field(min_length=1, description="Where the items can come from.")
    split: Name = Field(description="Which of `splits` is used.")
    splits: dict[Name, Split] = Field(min_length=1, description="How the items can be split.")

    @field_validator("fields", mode="before", json_schema_input_type=dict[Name, Column | str])
    @classmethod
    def short_form(cls, value):
        if isinstance(value, dict):
            return {k: {"column": v} if isinstance(v, str) else v for k, v in value.items()}
        return value

    @model_validator(mode="after")
    def references(self):
        for key, options in (("source", self.sources), ("split", self.splits)):
            if (chosen := getattr(self, key)) not in options:
                raise ValueError(f"{key} '{chosen}' is not one of its {key}s ({', '.join(options)})")
        for key, texts in (
            ("value", [label.value for label in self.labels]),
            ("word", [label.word.casefold() for label in self.labels]),
        ):
            if repeated := next((text for text in texts if texts.count(text) > 1), None):
                raise ValueError(f"the label {key} '{repeated}' is given twice")
        for key, names in (("shorten", [self.shorten] if self.shorten else []), ("identity", self.identity or [])):
            for name in names:
                if name not in self.fields:
                    raise ValueError(f"{key} names '{name}', which is not one of the fields ({', '.join(self.fields)})")
        roles = self.sources[self.source].files
        rule = self.splits[self.split]
        required = {
            "ids": lambda: [],
            "random": lambda: [rule.file],
            "files": lambda: [rule.train, rule.test, *([rule.validation] if rule.validation else [])],
        }[rule.rule]()
        for role in required:
            if role not in roles:
                raise ValueError(
                    f"split '{self.split}' needs a file '{role}', but source '{self.source}' has {', '.join(roles)}"
                )
        return self

    @property
    def words(self) -> list[str]:
        """Answer words in label order."""
        return [label.word for label in self.labels]


class Limit(Settings):
    """At most so many items per split, label shares kept; null means all."""

    train: int | None = Field(None, ge=2, description="Training items per task.")
    validation: int | None = Field(None, ge=2, description="Validation items per task.")
    test: int | None = Field(None, ge=2, description="Test items per task.")


class Duplicates(Settings):
    """What happens to texts that occur more than once (compared exactly and normalized)."""

    within_split: Literal["stop", "drop", "keep"] = Field(
        "stop", description="Repeated in one split. `drop` keeps the first, or none where the labels disagree."
    )
    across_splits: Literal["stop", "drop", "keep"] = Field(
        "stop", description="Repeated across splits. `drop` keeps the test copy before validation before train."
    )
    across_tasks: Literal["stop", "drop", "keep"] = Field(
        "stop", description="Repeated across tasks. `drop` takes it out of train and validation, never out of test."
    )
