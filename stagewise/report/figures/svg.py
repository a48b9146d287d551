"""matplotlib drawings as inline SVG that takes its colours and its font from the page."""

import io
import re
from dataclasses import dataclass, replace
from zlib import crc32

from markupsafe import Markup, escape

# matplotlib knows no CSS variables: it draws in colours that nothing else uses, which are replaced afterwards.
INK, MUTED, RULE, PAPER = "#fe0001", "#fe0002", "#fe0003", "#fe0004"

SERIES = tuple(f"#fe001{n}" for n in range(6))

VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper"} | {c: f"c{n}" for n, c in enumerate(SERIES)}

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
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 7,
    "ytick.major.pad": 7,
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
    folded: bool = False
    """The page folds it away, and it is not in the figure's SVG file: few pictures are looked at, many are not."""

    def fold(self) -> "Picture":
        """The same picture, folded away."""
        return replace(self, folded=True)


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
    return VARIABLES[color]


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
    """The drawing without what a page does not need, with a title and the page's colours and font."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", text, flags=re.DOTALL)
    body = _without_groups(text[text.index(">") + 1 : text.rindex("</svg>")])
    body = re.sub(r"<[^>]+>", _shorten_tag, body)
    body = re.sub(r'<path d="[^"]*" style="fill: none"/>', "", body)  # backgrounds that are not drawn
    prefix = f"p{crc32(name.encode()):x}"  # ids and references are unique within one drawing only
    for number, old in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', body))):
        body = re.sub(rf'(\bid="|#){re.escape(old)}(?=[")])', rf"\g<1>{prefix}-{number}", body)
    body = body.replace("xlink:href", "href")
    for color, css in VARIABLES.items():
        body = body.replace(color, f"var(--{css})")
    head = (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" font-size="12" role="img" '
        f'aria-labelledby="{prefix}-t {prefix}-d"><title id="{prefix}-t">{escape(title)}</title>'
        f'<desc id="{prefix}-d">{escape(description)}</desc>'
    )
    return Markup(re.sub(r">\s+<", ">\n<", f"{head}\n{body.strip()}\n</svg>"))


def _without_groups(text: str) -> str:
    """Drop groups that say nothing but their id, which no reference names."""
    kept: list[bool] = []

    def keep_or_drop(match: re.Match) -> str:
        tag = match[0]
        if tag == "</g>":
            return tag if kept.pop() else ""
        bare = re.fullmatch(r'<g(?: id="[^"]*")?/?>', tag)
        if not tag.endswith("/>"):
            kept.append(not bare)
        return "" if bare else tag

    return re.sub(r"</?g\b[^>]*>", keep_or_drop, text)


def _shorten_tag(match: re.Match) -> str:
    """One tag with its numbers rounded to hundredths of a pixel, without line breaks and the font of the page."""
    tag = re.sub(r"\s+", " ", match[0])
    tag = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    return re.sub(r"font-size: 12px; |font-family: [^;]+; ", "", tag).replace(' "', '"')
