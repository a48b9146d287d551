"""Prompt files: the author's text with placeholders for an item's fields. Imports no torch."""

import string
from dataclasses import dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.inference.control_tokens import Part


@dataclass(frozen=True)
class Template:
    """A prompt file with ``{name}`` placeholders."""

    path: str
    text: str

    @classmethod
    def read(cls, path, variables) -> "Template":
        """Read a prompt file and check that it uses exactly the given variables.

        Raises
        ------
        InputError
            For a file that cannot be read, an unknown or unused variable, unbalanced braces, or a placeholder that
            is more than a name: a field is put into the prompt as it is.
        """
        try:
            text = Path(path).read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            raise InputError(f"{path}: no such prompt file") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        try:
            placeholders = [entry[1:] for entry in string.Formatter().parse(text) if entry[1] is not None]
        except ValueError as error:
            raise InputError(f"{path}: {error}; write a literal brace twice") from None
        for name, form, conversion in placeholders:
            if form or conversion:
                written = f"{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
                raise InputError(
                    f"{path}: the placeholder '{{{written}}}' is more than a name; write '{{{name}}}', a field is put "
                    "into the prompt as it is"
                )
        used, variables = {name for name, _, _ in placeholders}, set(variables)
        if unknown := sorted(used - variables):
            raise InputError(
                f"{path}: the placeholder '{{{unknown[0]}}}' is not one of the task's fields "
                f"({', '.join(sorted(variables))})"
            )
        if unused := sorted(variables - used):
            way = (
                "write it where the item's options are to stand"
                if unused == ["options"]
                else "use it or drop the field"
            )
            raise InputError(f"{path}: the task's field '{unused[0]}' has no placeholder '{{{unused[0]}}}'; {way}")
        return cls(str(path), text)

    @property
    def fields(self) -> list[str]:
        """Names of the placeholders."""
        return list(dict.fromkeys(name for _, name in self._pieces if name is not None))

    @property
    def literal(self) -> str:
        """The prompt file's text, with a NUL for each placeholder."""
        return "".join(text if name is None else f"{text}\0" for text, name in self._pieces)

    def parts(self, fields: dict[str, str]) -> list[Part]:
        """The author's pieces, which are trusted, and an item's fields between them."""
        parts = []
        for text, name in self._pieces:
            parts += [(text, True)] if name is None else [(text, True), (fields[name], False)]
        return parts

    def fill(self, fields: dict[str, str]) -> str:
        """Put an item's fields into the placeholders."""
        return "".join(text for text, _ in self.parts(fields))

    def beginning(self, name: str, fields: dict[str, str]) -> list[Part]:
        """The author's pieces up to the first place of the field `name`, and the other fields between them."""
        parts: list[Part] = []
        for text, placed in self._pieces:
            parts.append((text, True))
            if placed == name:
                break
            parts.append((fields[placed], False))
        return parts

    def text_after(self, name: str) -> str:
        """The author's text after the first place of the field `name`, up to the next field."""
        names = [placed for _, placed in self._pieces]
        following = self._pieces[names.index(name) + 1 :]
        return following[0][0] if following else ""

    @property
    def _pieces(self) -> list[tuple[str, str | None]]:
        """Literal texts, each with the name of the placeholder that follows it."""
        return [(text, name) for text, name, _, _ in string.Formatter().parse(self.text)]
