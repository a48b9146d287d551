"""Settings of tasks: labels, prompts and splits."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from stagewise.config.base import (
    MAX_COUNT,
    MAX_SEED,
    FilePath,
    MaxLength,
    Name,
    Number,
    Settings,
    Whole,
    if_set,
)
from stagewise.config.label_texts import check_distinct, check_label_word
from stagewise.config.sources import Source
from stagewise.task_kinds import LABEL_KINDS, LETTERS, TaskKind

Fold = Annotated[Whole, Field(ge=0, le=9999)]

SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[SplitName, ...] = get_args(SplitName)


class Label(Settings):
    """A label: its value in the raw file, and the word that the model answers."""

    value: str = Field(description="Value in the label column.")
    word: Annotated[str, AfterValidator(check_label_word)] = Field(
        min_length=1, description="Label word, which is the model's answer: visible text without blanks at its ends."
    )

    @field_validator("value", "word", mode="before", json_schema_input_type=str | int)
    @classmethod
    def text(cls, value):
        if isinstance(value, bool):
            raise ValueError("YAML reads an unquoted yes or no as true or false; put it in quotes, or write !!str yes")
        return str(value) if isinstance(value, int) else value


class Column(Settings):
    """A prompt variable's column."""

    column: str = Field(
        description="Column of the raw file: a text, a number, or a list of them, which becomes lines. A path with "
        "dots leads into what a column holds: `answers.a`, `options.0`."
    )
    sections: Literal["all", "first"] = Field(
        "all",
        description="For a column that holds a list of sections: all of them, or the first (as in the published "
        "experiment).",
    )


class Options(Settings):
    """Options of each item of a multiple-choice task, which the model answers by their letters."""

    columns: list[str] = Field(
        min_length=1,
        description="A column that holds an item's options, as a list or a mapping, or a column for each option, of "
        "which an item may leave the last ones empty. In the prompt file, `{options}` is the list with letters.",
    )
    most: Whole = Field(ge=2, le=len(LETTERS), description="Options of the item that has most; others may have fewer.")
    gold: Literal["letter", "index", "number", "key", "text"] = Field(
        "letter",
        description="Form of the gold label: the option's letter, its place from 0 (`index`) or from 1 (`number`), its "
        "key in a mapping, or its text.",
    )

    @field_validator("columns", mode="before", json_schema_input_type=list[str] | str)
    @classmethod
    def short_form(cls, value):
        return [value] if isinstance(value, str) else value


class IdsSplit(Settings):
    """Splits given by item ids: either three lists, or a test list and folds."""

    rule: Literal["ids"] = Field(description="Split by item ids.")
    ids: FilePath = Field(description="JSON file with `train`/`validation`/`test` lists, or `test` and `folds`.")
    fold: Fold | None = Field(None, description="Number of the fold for validation; the others are for training.")


class FilesSplit(Settings):
    """Splits given by files; validation is a share of train unless it has its own file."""

    rule: Literal["files"] = Field(description="Split by files.")
    train: Name = Field("train", description="Role of the training file.")
    test: Name = Field("test", description="Role of the test file.")
    validation: Name | None = Field(None, description="Role of the validation file, if there is one.")
    validation_share: Number = Field(0.2, gt=0, lt=1, description="Share of training items kept for validation.")
    seed: Whole = Field(0, ge=0, le=MAX_SEED, description="Seed of the validation draw.")


class RandomSplit(Settings):
    """Label-stratified random splits of one file, whole groups at a time if the task has groups."""

    rule: Literal["random"] = Field(description="Split at random.")
    file: Name = Field("items", description="Role of the file.")
    train: Number = Field(gt=0, le=MAX_COUNT, description="Items (a whole number above 1) or share (at most 1).")
    validation: Number = Field(gt=0, le=MAX_COUNT, description="Items or share, as `train`.")
    test: Number = Field(gt=0, le=MAX_COUNT, description="Items or share, as `train`.")
    seed: Whole = Field(0, ge=0, le=MAX_SEED, description="Seed of the draw.")

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
    """A data set with its prompt and its answers."""

    kind: TaskKind = if_set(
        "classification",
        "`classification`: one label. `ordinal`: one label of an order, the lowest first. `multiple_choice`: one of "
        "the options that each item has. `multi_label`: any number of labels. `generation`: free text, with one "
        "reference or more.",
    )
    prompt: FilePath = Field(description="Text file with one `{name}` per prompt variable.")
    labels: list[Label] = Field(
        [], description="Labels, in the order of the report; none for `multiple_choice` and `generation`."
    )
    id: str | None = Field(
        None,
        description="Column that identifies an item; null takes a keyed hash of its content, which reveals no text.",
    )
    label: str | None = Field(
        None,
        description="Column with the gold label; with a list of labels (`multi_label`), or with the reference or a "
        "list of references (`generation`). Null, for `multi_label` alone: each label's `value` is the name of a "
        "column of 0 and 1.",
    )
    unknown_labels: Literal["stop", "set_aside"] = if_set(
        "stop", "Rows whose label is none of `labels`: they stop the run, or are set aside and counted."
    )
    fields: dict[Name, Column] = Field(min_length=1, description="Prompt variables.")
    options: Options | None = if_set(None, "Options of each item, for `multiple_choice`.")
    separator: str | None = if_set(
        None, "Text between the labels of a `multi_label` column that holds one text instead of a list.", min_length=1
    )
    no_label: Annotated[str, AfterValidator(check_label_word)] | None = if_set(
        None, "Answer to an item of `multi_label` that has no label; null answers `none`."
    )
    measure: str | None = if_set(
        None,
        "The task's own measure, which claims about it are about; null takes `statistics.primary_measure` where it "
        "applies, else accuracy, `jaccard` (multi_label) or `token_f1` (generation).",
    )
    max_new_tokens: Whole | None = if_set(
        None,
        "Tokens generated per item of `generation` or `multi_label`; null generates as many as the longest answer of "
        "the items has, or all labels together, at most 256.",
        ge=1,
        le=4096,
    )
    stop: list[Annotated[str, Field(min_length=1)]] = if_set(
        [], "Texts at which a generated answer of `generation` ends."
    )
    shorten: str | None = Field(
        None, description="Variable to cut at its end if a prompt is too long; if null, that is an error."
    )
    max_length: MaxLength | None = Field(
        None,
        exclude_if=lambda value: value is None,  # so that results of older versions stay current
        description="Tokens of this task's prompt and answer together, wherever they are read: it takes the place of "
        "every `training.max_length`, a stage's too. Null leaves them that.",
    )
    group: str | None = Field(
        None,
        description="Column whose equal values belong together: they stay in one split, and intervals and tests take "
        "them as one.",
    )
    identity: list[str] | None = Field(
        None, description="Variables whose text two items must share to be duplicates; null means all."
    )
    source: Name = Field(description="Name of the source, one of `sources`.")
    sources: dict[Name, Source] = Field(min_length=1, description="Sources of the items by name.")
    split: Name = Field(description="Name of the split, one of `splits`.")
    splits: dict[Name, Split] = Field(min_length=1, description="Split rules by name.")

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
        self._check_kind()
        check_distinct([label.word for label in self.labels], [label.value for label in self.labels])
        for key, names in (("shorten", [self.shorten] if self.shorten else []), ("identity", self.identity or [])):
            fields = self.variables if key == "identity" else list(self.fields)
            for name in names:
                if name not in fields:
                    raise ValueError(f"{key} names '{name}', which is not one of the fields ({', '.join(fields)})")
        self._check_roles()
        return self

    def _check_roles(self) -> None:
        """Refuse a split whose files the source lacks, or whose items lack columns or ids."""
        source, rule = self.sources[self.source], self.splits[self.split]
        roles = [role for role in source.files if role not in source.joined_roles]
        if rule.rule == "ids" and self.id is None:
            raise ValueError(f"split '{self.split}' lists ids, so the task needs 'id': the column that holds them")
        required = {
            "ids": lambda: roles,
            "random": lambda: [rule.file],
            "files": lambda: [rule.train, rule.test, *([rule.validation] if rule.validation else [])],
        }[rule.rule]()
        for role in required:
            if role not in roles:
                raise ValueError(
                    f"split '{self.split}' needs a file '{role}', but source '{self.source}' has {', '.join(roles)}"
                )
            for number, join in enumerate(source.joins):
                if role not in join.files:
                    raise ValueError(
                        f"sources.{self.source}.joins[{number}].files says nothing of '{role}', which split "
                        f"'{self.split}' reads; name the file with its {', '.join(join.columns)}"
                    )

    def _check_kind(self) -> None:
        """Refuse settings that do not go with the kind of task."""
        has_labels = self.kind in ("classification", "ordinal", "multi_label")
        if has_labels and len(self.labels) < 2:
            raise ValueError(f"kind '{self.kind}' needs at least 2 labels")
        given = {
            "labels": (self.labels, has_labels),
            "options": (self.options, self.kind == "multiple_choice"),
            "separator": (self.separator, self.kind == "multi_label"),
            "no_label": (self.no_label, self.kind == "multi_label"),
            "max_new_tokens": (self.max_new_tokens, self.kind not in LABEL_KINDS),
            "stop": (self.stop, self.kind == "generation"),
        }
        for key, (value, fits) in given.items():
            if value and not fits:
                raise ValueError(f"'{key}' does not go with kind '{self.kind}'; take it out, or name another kind")
        if self.label is None and self.kind != "multi_label":
            raise ValueError("'label' is required but missing: the column with the gold label")
        if self.label is None and "label" in self.sources[self.source].agreement.values():
            raise ValueError(
                "agreement: another annotator's 'label' is compared with one column, so 'label' must name it"
            )
        if self.separator is not None and self.label is None:
            raise ValueError("'separator' stands between the labels of the column 'label', which is missing")
        if self.kind == "multiple_choice" and self.options is None:
            raise ValueError("kind 'multiple_choice' needs 'options': the columns with the options of each item")
        if self.options and "options" in self.fields:
            raise ValueError("fields: 'options' is the list of options itself; give the field another name")
        if told := next((name for name, field in self.fields.items() if field.column in self.label_columns), None):
            raise ValueError(
                f"fields.{told}: the column '{self.fields[told].column}' holds the gold label, which the prompt would "
                "give away; take it out"
            )
        if self.kind == "multi_label":
            check_distinct([*self.words, self.answer_without_label], [])
            if comma := next((word for word in self.words if "," in word), None):
                raise ValueError(f"the label word '{comma}' holds a comma, which stands between labels; take it out")

    @property
    def words(self) -> list[str]:
        """Label words, in label order: of multiple choice the letters of the options, of generation none."""
        return list(LETTERS[: self.options.most]) if self.options else [label.word for label in self.labels]

    @property
    def label_columns(self) -> list[str]:
        """Columns that hold the gold answer."""
        return [label.value for label in self.labels] if self.label is None else [self.label]

    @property
    def variables(self) -> list[str]:
        """Variables of the prompt: the fields, and the list of options."""
        return [*self.fields, *(["options"] if self.options else [])]

    @property
    def answer_without_label(self) -> str:
        """Answer to an item of `multi_label` that has no label."""
        return self.no_label or "none"


MaxItems = Annotated[Whole, Field(ge=2, le=MAX_COUNT)]


class Limit(Settings):
    """Maximal number of items per split, in proportion to the labels; null means all."""

    train: MaxItems | None = Field(None, description="Training items per task.")
    validation: MaxItems | None = Field(None, description="Validation items per task.")
    test: MaxItems | None = Field(None, description="Test items per task.")


class Duplicates(Settings):
    """Treatment of texts that occur more than once (compared exactly and normalized)."""

    within_split: Literal["stop", "drop", "keep"] = Field(
        "stop", description="Repeated within a split. `drop` keeps the first, or none if the labels disagree."
    )
    across_splits: Literal["stop", "drop", "keep"] = Field(
        "stop", description="Repeated across splits. `drop` keeps one copy: test before validation before train."
    )
    across_tasks: Literal["stop", "drop", "keep"] = Field(
        "stop", description="Repeated across tasks. `drop` removes it from train and validation, never from test."
    )
