"""Templates, style sheet and colours of the pages."""

import re
from functools import cache
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


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
