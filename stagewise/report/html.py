"""The report as one self-contained HTML page: inline CSS and SVG, no script, nothing fetched."""

import re
from urllib.parse import quote

from stagewise.report.blocks import place_figures
from stagewise.report.environment import environment, plain, styles
from stagewise.report.figures.figure import DrawnFigure
from stagewise.report.figures.registry import draw_figures
from stagewise.report.lookup import View
from stagewise.report.sections import build_sections
from stagewise.report.text import sentences


def render(view: View, figures: dict[str, DrawnFigure] | None = None, items: str | None = None) -> str:
    """Write the page's HTML. The same figures give the same bytes.

    Parameters
    ----------
    view
        The experiment to show.
    figures
        Figures as `draw_figures` gives them; drawn here if not given.
    items
        Address of the local page with the items' texts, relative to this one; None if there is none.
    """
    env = environment(autoescape=True)
    env.filters |= page_filters()
    sections = place_figures(build_sections(view), draw_figures(view) if figures is None else figures)
    page = env.get_template("report.html.j2").render(
        view=view,
        warning=sentences.sample_warning(view),
        sections=[section for section in sections if section.on_page],
        items_page=quote(items) if items else None,
        css=styles(),
    )
    return plain(page)


def page_filters() -> dict:
    """Filters of the templates of pages with sections."""
    return {"id": lambda text: re.sub(r"[^\w.+-]", ":", text), "code_spans": _code_spans}


def _code_spans(text: str):
    """Turn words between backticks into code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
