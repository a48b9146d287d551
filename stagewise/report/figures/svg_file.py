"""Pictures composed to one SVG file that can be read anywhere, on light and dark backgrounds."""

import re
from textwrap import wrap

from markupsafe import escape

from stagewise.report.environment import palettes
from stagewise.report.figures.svg import VARIABLES, Key

FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

WIDE = 1040
"""Width in pixels at which the pictures of a file go to the next row."""

MARGIN, GAP, CHARACTER, BOLD = 16, 16, 6.8, 7.5
"""Pixels around everything, between pictures, and of a character of 12 pixels' height, plain and bold."""


def compose(title: str, description: str, panels: list, legend: list[Key], halo: bool) -> str:
    """Compose pictures, their headings and their legend to one SVG file with a background of its own.

    Its colours are classes instead of variables, which not every viewer knows, and follow the reader's light or dark
    mode; `halo` draws the background's colour around texts.
    """
    right, body = 0.0, []
    for heading, drawn in panels:
        pictures = [picture for picture in drawn if not picture.folded]
        rows = _flow(pictures, [picture.width for picture in pictures], WIDE)
        body.append((heading if pictures else "", rows))
        right = max([right, *(x + picture.width for row in rows for picture, x in row)])
    right = max(right, *(MARGIN + 9 * len(text) for text in (title, *(heading for heading, _ in body))))
    parts, y = [_text(title, MARGIN, MARGIN + 14, 16, bold=True)], MARGIN + 34
    for row in _flow(legend, [34 + CHARACTER * len(key.text) for key in legend], right):
        parts += [f'<g transform="translate({x:g} {y:g})">{_key(key)}</g>' for key, x in row]
        right, y = max(right, *(x + 34 + CHARACTER * len(key.text) for key, x in row)), y + 20
    for heading, rows in body:
        if heading:
            parts.append(_text(heading, MARGIN, y + 20, 14, bold=True))
            y += 28
        for row in rows:
            captions = [wrap(picture.caption, int(picture.width / BOLD), break_on_hyphens=False) for picture, _ in row]
            for lines, (_, x) in zip(captions, row, strict=True):
                parts += [_text(line, x, y + 16 * n, 12, bold=True) for n, line in enumerate(lines, start=1)]
            y += 8 + 16 * max(map(len, captions))
            parts += [str(p.svg).replace("<svg ", f'<svg x="{x:g}" y="{y:g}" ', 1) for p, x in row]
            y += 12 + max(picture.height for picture, _ in row)
    width, height = round(right + MARGIN), round(y)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{FONT}" role="img" aria-labelledby="title desc"><title id="title">{escape(title)}</title>'
        f'<desc id="desc">{escape(description)}</desc>\n<style>{_file_style(halo)}</style>\n'
        '<rect width="100%" height="100%" class="fill-paper"/>'
    )
    return "\n".join([head, *(_with_classes(part) for part in parts), "</svg>"]) + "\n"


def _flow(entries: list, widths: list[float], limit: float) -> list[list[tuple]]:
    """Rows of entries with their x positions, from left to right, none beyond `limit` unless alone."""
    rows: list[list[tuple]] = []
    x = 0.0
    for entry, width in zip(entries, widths, strict=True):
        if not rows or x + width > limit:
            rows.append([])
            x = MARGIN
        rows[-1].append((entry, x))
        x += width + GAP
    return rows


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
    """Style sheet of the classes in light and dark mode."""
    light, dark = (
        "".join(f".fill-{name}{{fill:{colors[name]}}}.stroke-{name}{{stroke:{colors[name]}}}" for name in names)
        # A viewer that cannot draw strokes below a text must not draw them at all.
        + (f"@supports (paint-order:stroke){{text{{stroke:{colors['paper']}}}}}" if halo else "")
        for colors, names in ((palette, VARIABLES.values()) for palette in palettes())
    )
    text = "@supports (paint-order:stroke){text{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}}"
    return f"{text if halo else ''}{light}@media (prefers-color-scheme:dark){{{dark}}}"


def _with_classes(text: str) -> str:
    """Replace the page's variables in style attributes by classes, and leave fonts to the file."""

    def replace(match: re.Match) -> str:
        colors = re.findall(r"(fill|stroke): var\(--(\w+)\)", match[1])
        rest = re.sub(r"((?:fill|stroke): var\(--\w+\)|font-family: [^;]+);?\s*", "", match[1]).strip(" ;")
        classes = f' class="{" ".join("-".join(color) for color in colors)}"' if colors else ""
        return classes + (f' style="{rest}"' if rest else "")

    return re.sub(r'\s*style="([^"]*)"', replace, text)
