"""matplotlib drawings as SVG: inline, with colours and font of the page, or several composed to one file."""

import io
import re
from dataclasses import dataclass

from markupsafe import Markup, escape

from stagewise.report.environment import palettes

# matplotlib knows no CSS variables: it draws in colours that nothing else uses, which are replaced afterwards.
INK, MUTED, RULE, PAPER = "#fe0001", "#fe0002", "#fe0003", "#fe0004"

SERIES = tuple(f"#fe001{n}" for n in range(6))

_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper"} | {c: f"c{n}" for n, c in enumerate(SERIES)}

# Shapes and dashes beside the colours, so that colour is never the only carrier. Paths are drawn in a 12 × 12 box.
MARKERS = (
    ("o", "M10 6a4 4 0 1 1-8 0a4 4 0 1 1 8 0Z"),
    ("s", "M2.5 2.5h7v7h-7Z"),
    ("^", "M6 1.8 10.4 9.8H1.6Z"),
    ("D", "M6 1 11 6 6 11 1 6Z"),
    ("v", "M6 10.2 1.6 2.2H10.4Z"),
    ("P", "M4.5 1.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z"),
)

_RC = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and selected
    "svg.hashsalt": "stagewise",  # else ids are random
    "svg.id": None,
    "text.parse_math": False,
    "path.simplify": False,
    "font.size": 12,
    "font.sans-serif": ["DejaVu Sans"],
    "axes.linewidth": 1,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": RULE,
    "grid.linewidth": 1,
    "axes.axisbelow": True,
}


@dataclass(frozen=True)
class Picture:
    """An inline SVG with a short caption, and its size in CSS pixels."""

    svg: Markup
    caption: str
    width: float
    height: float


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a line, a marker, or both, in one of the page's colours."""

    text: str
    color: str
    """Name of a CSS variable, such as ``c0``."""
    marker: str | None = None
    """SVG path in a 12 × 12 box."""
    dashes: str | None = None
    """``stroke-dasharray`` of the line; empty for a solid one, None for no line."""
    hollow: bool = False


def variable(color: str) -> str:
    """The CSS variable that replaces a drawing colour."""
    return _VARIABLES[color]


def picture(name: str, texts: tuple[str, str, str], width: float, height: float, draw, margins) -> Picture:
    """Draw on one pair of axes and return it as a `Picture`.

    Parameters
    ----------
    name
        Unique in the page; it starts every id of the picture.
    texts
        A short caption; a title and a description for those who do not see the picture.
    width, height
        Size in CSS pixels; text is 12 pixels high.
    draw
        Called with the matplotlib axes.
    margins
        Left, right, top and bottom margin around the axes in pixels.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # A user's own matplotlibrc must not change the report.
    defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if k not in ("backend", "interactive", "toolbar")}
    with matplotlib.rc_context(defaults | _RC):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)  # one SVG point is one CSS pixel
        FigureCanvasSVG(figure)
        left, right, top, bottom = margins
        box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
        draw(figure.add_axes(box))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Picture(_inline(buffer.getvalue(), name, *texts[1:], width, height), texts[0], width, height)


def _inline(text: str, name: str, title: str, description: str, width: float, height: float) -> Markup:
    """The drawing without XML header, metadata and foreign ids, with a title and the page's colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    name = re.sub(r"[^\w.+-]", ":", name)  # two lineages never share an id
    # Ids and references are unique within one drawing only.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'\b(?:xlink:)?href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    for color, css in _VARIABLES.items():
        text = text.replace(color, f"var(--{css})")
    head = (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    body = text[text.index(">") + 1 :]
    return Markup(re.sub(r"\n\s*", "\n", head + body).strip())


FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

WIDE = 940
"""Width in pixels at which the pictures of a file go to the next row."""

MARGIN, GAP, CHARACTER = 16, 28, 6.8
"""Pixels around everything, between pictures, and of a character of 12 pixels' height."""


def compose(
    title: str, description: str, panels: list[tuple[str, list[Picture]]], legend: list[Key], halo: bool
) -> str:
    """Compose pictures, their headings and their legend to one SVG file with a background of its own.

    Its colours are classes instead of variables, which not every viewer knows, and follow the reader's light or dark
    mode; `halo` draws the background's colour around texts.
    """
    parts = [_text(title, MARGIN, MARGIN + 14, 16, bold=True)]
    right, y = MARGIN + 9 * len(title), MARGIN + 30
    for key, x, line in _flow(legend, lambda key: 34 + CHARACTER * len(key.text)):
        parts.append(f'<g transform="translate({x:g} {y + 20 * line + 4:g})">{_key(key)}</g>')
        right = max(right, x + 34 + CHARACTER * len(key.text))
        bottom = y + 20 * line + 26
    y = bottom if legend else y
    for heading, pictures in panels:
        if heading and pictures:
            parts.append(_text(heading, MARGIN, y + 18, 14, bold=True))
            y += 26
        rows: dict[int, list] = {}
        for picture, x, line in _flow(pictures, lambda picture: picture.width):
            rows.setdefault(line, []).append((picture, x))
        for row in rows.values():
            for picture, x in row:
                parts.append(_text(picture.caption, x, y + 14, 12, bold=True))
                parts.append(str(picture.svg).replace("<svg ", f'<svg x="{x:g}" y="{y + 22:g}" ', 1))
                right = max(right, x + picture.width, x + 7.5 * len(picture.caption))
            y += 34 + max(picture.height for picture, _ in row)
    width, height = round(right + MARGIN), round(y + MARGIN - 8)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="title desc"><title id="title">{escape(title)}</title>'
        f'<desc id="desc">{escape(description)}</desc>\n<style>{_file_style(halo)}</style>\n'
        '<rect width="100%" height="100%" class="fill-paper"/>'
    )
    return "\n".join([head, *(_with_classes(part) for part in parts), "</svg>"]) + "\n"


def _flow(entries: list, width) -> list[tuple]:
    """Entries with their x position and row, from left to right, in rows of at most WIDE pixels."""
    placed, x, row = [], MARGIN, 0
    for entry in entries:
        if x > MARGIN and x + width(entry) > WIDE:
            x, row = MARGIN, row + 1
        placed.append((entry, x, row))
        x += width(entry) + GAP
    return placed


def _text(text: str, x: float, y: float, size: int, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}"{weight} class="fill-ink">{escape(text)}</text>'


def _key(key: Key) -> str:
    """A legend's entry in a box 28 pixels wide, and its text."""
    stroke, drawn = f'class="stroke-{key.color}"', ""
    if key.dashes is not None:
        dashes = f' stroke-dasharray="{key.dashes}"' if key.dashes else ""
        drawn += f'<path d="M0 6h28" {stroke} stroke-width="2"{dashes}/>'
    if key.marker:
        fill = "paper" if key.hollow else key.color
        drawn += (
            f'<path transform="translate(8 0)" d="{key.marker}" class="stroke-{key.color} fill-{fill}" '
            'stroke-width="1.5"/>'
        )
    return drawn + _text(key.text, 34, 10, 12)


def _file_style(halo: bool) -> str:
    light, dark = (
        "".join(f".fill-{name}{{fill:{c[name]}}}.stroke-{name}{{stroke:{c[name]}}}" for name in _VARIABLES.values())
        + (f"text{{stroke:{c['paper']}}}" if halo else "")
        for c in palettes()
    )
    text = f"text{{font-family:{FONT} !important;paint-order:stroke;stroke-width:4px;stroke-linejoin:round}}"
    return f"{text}{light}@media (prefers-color-scheme:dark){{{dark}}}"


def _with_classes(text: str) -> str:
    """Replace the page's variables in style attributes by classes."""

    def replace(match: re.Match) -> str:
        colors = re.findall(r"(fill|stroke): var\(--(\w+)\)", match[1])
        rest = re.sub(r"(?:fill|stroke): var\(--\w+\);?\s*", "", match[1]).strip(" ;")
        classes = f' class="{" ".join("-".join(color) for color in colors)}"' if colors else ""
        return classes + (f' style="{rest}"' if rest else "")

    return re.sub(r'\s*style="([^"]*)"', replace, text)
