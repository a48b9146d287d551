"""Settings of the formats in which raw files are read."""

import difflib
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from stagewise.config.base import Settings, shown

FormatName = Literal["json", "jsonl", "csv", "tsv", "parquet", "lines"]
"""Formats that `data.formats` registers."""


class Reader(Settings):
    """Format of raw files."""

    format: FormatName | Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] = Field(
        "json", description="File format, or `package.module:function` for your own."
    )
    keyed: bool = Field(
        False,
        description="JSON only: the file is an object of id → record; the id becomes the column `key`. If no other "
        "columns than `key` and `value` are read, of id → value.",
    )
    encoding: str = Field("utf-8", description="Text encoding; a byte-order mark is accepted.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="CSV field separator; of TSV it is a tab.")
    quoting: bool = Field(
        True,
        exclude_if=lambda value: value,  # so that results of older versions stay current
        description="CSV and TSV: a text may stand in quotes. `false`: quotes are text, and no text holds a separator.",
    )
    escape: str | None = Field(
        None,
        max_length=1,
        description="CSV: the character, such as `\\`, that stands before a quote inside a text. Empty: none, "
        "backslashes are text. By default such a quote is written twice, and a backslash before a quote is refused.",
    )

    @field_validator("format", mode="before")
    @classmethod
    def format_exists(cls, value):
        names = get_args(FormatName)
        if isinstance(value, str) and ":" not in value and value not in names:
            near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else "see docs/reference/configuration.md"
            raise ValueError(f"'{value}' is not a format ({', '.join(names)}, or 'package.module:function'); {hint}")
        return value

    @field_validator("encoding")
    @classmethod
    def encoding_exists(cls, encoding):
        try:
            b"a".decode(encoding)
        except UnicodeDecodeError:
            pass  # half a character of UTF-16
        except (LookupError, ValueError):  # ValueError: 'undefined', or a name with NUL
            raise ValueError(f"reader.encoding {shown(encoding)} is not a known text encoding, such as utf-8") from None
        return encoding

    @model_validator(mode="after")
    def one_meaning_a_character(self):
        if self.delimiter in '"\r\n\0':
            raise ValueError(f"'delimiter' {self.delimiter!r} cannot separate fields; use a comma, semicolon or tab")
        if self.escape is not None and self.format not in ("csv", "tsv"):
            raise ValueError(f"'escape' goes with format csv, not {self.format}")
        if not self.quoting and (self.escape or self.format not in ("csv", "tsv")):
            raise ValueError("'quoting: false' goes with format csv or tsv, without 'escape'")
        if self.format == "tsv" and self.delimiter not in (",", "\t"):
            raise ValueError("'delimiter' goes with format csv; fields of format tsv are separated by tabs")
        if self.escape and self.escape in f'"\r\n\0{self.separator}':
            raise ValueError(f"'escape' {self.escape!r} has another meaning in CSV; a backslash is usual")
        return self

    @property
    def separator(self) -> str:
        """Character between the fields of a row."""
        return "\t" if self.format == "tsv" else self.delimiter
