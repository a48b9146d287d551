"""Templates, style sheet and colours of the pages."""

import re
from functools import cache
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


# Characters that no text needs and that would hide or reverse what stands beside them, or break an SVG file.
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Replace control characters in a finished page or picture, and show those that set the writing direction."""
    return _DIRECTION.sub(lambda match: f"[U+{ord(match[0]):04X}]", _INVISIBLE.sub("\ufffd", text))


def environment(autoescape: bool):
    """Make the jinja2 environment of the report's templates; a name that a template misspells is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def styles():
    """The style sheet of every page."""
    from markupsafe import Markup

    return Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))


@cache
def palettes() -> tuple[dict[str, str], dict[str, str]]:
    """Colours of the style sheet by variable, for light mode and for dark mode."""
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "report.css").read_text(encoding="utf-8"), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks)
    return light, dark
