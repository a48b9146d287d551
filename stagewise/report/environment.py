"""Templates and style sheet of the pages."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


def environment(autoescape: bool):
    """The jinja2 environment of the report's templates; a name that a template misspells is an error."""
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
