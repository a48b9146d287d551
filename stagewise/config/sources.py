"""Settings of a task's sources: files, where they come from, and how they are read."""

from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from stagewise.config.base import FilePath, Name, Settings, Sha256, if_set
from stagewise.config.hub_names import DataSetPart, HubName, HubRevision
from stagewise.config.readers import FormatName, Reader


def _plain_url(url: str) -> str:
    try:
        name = unquote(urlsplit(url).path)
    except ValueError as error:
        raise ValueError(f"this is no address ({error})") from None
    if not url.isprintable() or not name.isprintable() or {"{", "}"} & {*url, *name}:
        raise ValueError(
            "an address may hold neither braces, which are wildcards to Snakemake, nor invisible characters"
        )
    return url


Url = Annotated[str, AfterValidator(_plain_url)]

DATA_SET_FORMAT: FormatName = "jsonl"
"""Format of the local file that a data set of the hub becomes: unlike Parquet, the same bytes by every writer."""


class File(Settings):
    """A raw file: a local path, a URL, or a split of a data set on the hub."""

    path: FilePath | None = Field(None, description="Local file, relative to the working directory.")
    url: Url | None = Field(None, description="URL of the file, or of the archive that holds it.")
    member: FilePath | None = Field(None, description="Path of the file inside the archive at `url`.")
    sha256: Sha256 | None = Field(
        None,
        description="SHA-256 of the file (of the member, for an archive). Without it, what the first fetch of `url` "
        "or `dataset` brings is written down in `sources.lock`, and later fetches must bring the same.",
    )
    dataset: HubName | None = if_set(
        None, "Data set on the hub, `owner/name`; one of its splits becomes a local file (JSON lines)."
    )
    config: DataSetPart | None = if_set(None, "Configuration of the data set, if it has several.")
    split: DataSetPart | None = if_set(None, "Split of the data set, such as `train`.")
    revision: HubRevision | None = if_set(
        None, "Commit, tag or branch of the data set; null is `main`. `sources.lock` holds the commit of a name."
    )

    @model_validator(mode="after")
    def one_origin(self):
        if sum(origin is not None for origin in (self.path, self.url, self.dataset)) != 1:
            raise ValueError("give exactly one of 'path', 'url' and 'dataset'")
        if self.member and not self.url:
            raise ValueError("'member' names a file inside the archive at 'url', which is missing")
        for key in ("config", "split", "revision"):
            if getattr(self, key) and not self.dataset:
                raise ValueError(f"'{key}' goes with 'dataset', which is not given")
        if self.dataset and not self.split:
            raise ValueError("a 'dataset' needs 'split', such as train")
        return self

    @property
    def is_fetched(self) -> bool:
        """True unless it is a local file."""
        return self.path is None


class Join(Settings):
    """More columns of the same items, from files of their own."""

    files: dict[Name, Name] = Field(
        description="Role of the file with the columns, by the role of the file whose items they belong to.",
        min_length=1,
    )
    columns: list[str] = Field(description="Columns that come from these files.", min_length=1)
    reader: Reader | None = Field(None, description="Format of these files; null takes the source's.")
    by: str | None = Field(
        None, description="Column of both files by whose values rows are joined; null joins them row by row."
    )
    key: str | None = Field(None, description="Name of that column in these files, if they call it otherwise.")

    @model_validator(mode="after")
    def key_goes_with_by(self):
        if self.key is not None and self.by is None:
            raise ValueError("'key' is the name that these files have for the column 'by', which is missing")
        return self


class Source(Settings):
    """A source of a task's items."""

    files: dict[Name, File] = Field(description="Raw files by role, to which a split rule refers.", min_length=1)
    reader: Reader = Field(Reader(), description="Format of the files.")
    joins: list[Join] = if_set([], "Columns that stand in other files than the items, such as a file of labels.")
    licence: str | None = Field(None, description="Licence of the text, as far as known.")
    redistribute: bool = Field(False, description="True if the licence lets the text be passed on.")
    agreement: dict[str, Literal["label", "share"]] = Field(
        {},
        description="Columns of annotators' agreement with the gold label: another annotator's `label`, or the "
        "`share` of annotators who gave the gold label (0 to 1; 0 means unknown, as an empty cell does).",
    )

    @model_validator(mode="before")
    @classmethod
    def reader_of_data_sets(cls, values):
        """Read data sets of the hub as what they are fetched as."""
        files = values.get("files") if isinstance(values, dict) else None
        if not isinstance(files, dict) or not any(isinstance(f, dict) and f.get("dataset") for f in files.values()):
            return values
        return {"reader": {"format": DATA_SET_FORMAT}, **values}

    @model_validator(mode="after")
    def one_format(self):
        fetched_as = [file.dataset is not None for role, file in self.files.items() if role not in self.joined_roles]
        if any(fetched_as) and self.reader.format != DATA_SET_FORMAT:
            raise ValueError(f"a 'dataset' is fetched as {DATA_SET_FORMAT}; take 'reader' out")
        if any(fetched_as) and not all(fetched_as):
            raise ValueError("data sets of the hub and other files do not mix; give them sources of their own")
        return self

    @model_validator(mode="after")
    def joins_name_files(self):
        taken = set()
        for number, join in enumerate(self.joins):
            for role in [*join.files, *join.files.values()]:
                if role not in self.files:
                    raise ValueError(
                        f"joins[{number}].files names '{role}', which is not one of {', '.join(self.files)}"
                    )
            if both := {*join.files} & self.joined_roles:
                raise ValueError(f"joins[{number}].files: '{min(both)}' is joined to another file and has no items")
            if repeated := taken & {*join.columns}:
                raise ValueError(f"joins[{number}].columns: the column '{min(repeated)}' comes from another join, too")
            taken |= {*join.columns}
        return self

    @property
    def joined_roles(self) -> set[str]:
        """Roles of the files that hold no items but columns of other files' items."""
        return {role for join in self.joins for role in join.files.values()}
