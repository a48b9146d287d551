"""Blocks that the sections of the report are made of; the page and the Markdown file draw the same ones."""

from dataclasses import dataclass, replace
from typing import ClassVar

from stagewise.report.figures.figure import DrawnFigure
from stagewise.report.tables.flips import Flipped
from stagewise.report.tables.table import Table
from stagewise.report.text.sentences import Paragraph, Sentence


@dataclass(frozen=True, kw_only=True)
class Block:
    """Base of every block."""

    kind: ClassVar[str]
    """Name of the block in the templates."""
    on_page: bool = True
    in_markdown: bool = True


@dataclass(frozen=True)
class Text(Block):
    """A paragraph of text."""

    kind = "text"
    text: str
    style: str = ""
    """CSS class of the paragraph."""
    lead: str = ""
    """Word in bold before the text."""
    marked: bool = False
    """Words between backticks are code."""


@dataclass(frozen=True)
class Conclusions(Block):
    """Paragraphs of sentences drawn from the figures by rule."""

    kind = "conclusions"
    paragraphs: list[Paragraph]
    by_arm: list[Paragraph]


@dataclass(frozen=True)
class Bullets(Block):
    """A list of sentences; left out if there are none."""

    kind = "bullets"
    sentences: list[Sentence]


@dataclass(frozen=True)
class TableBlock(Block):
    """A table; left out if it has no rows."""

    kind = "table"
    table: Table
    style: str = ""
    """CSS class: ``main`` for the most important one of a section, ``pairs`` for settings and their values."""


@dataclass(frozen=True)
class Matrices(Block):
    """Confusion matrices side by side, each with the shares that shade its cells."""

    kind = "matrices"
    matrices: list[tuple[Table, list[list[float]]]]


@dataclass(frozen=True)
class Lineage(Block):
    """The tree of adapters."""

    kind = "lineage"


@dataclass(frozen=True)
class LostItems(Block):
    """Ids of the items that an arm lost, with links to their texts if the local page with them is written."""

    kind = "lost_items"
    arm: str
    items: list[Flipped]


@dataclass(frozen=True)
class ItemsNote(Block):
    """Remark on the local page with the items' texts."""

    kind = "items_note"


@dataclass(frozen=True)
class Code(Block):
    """Lines to copy."""

    kind = "code"
    text: str
    id: str = ""


@dataclass(frozen=True)
class Fold(Block):
    """Blocks behind a title to click on; left out if they are empty."""

    kind = "fold"
    title: str
    blocks: list[Block]
    if_long: bool = False
    """Fold only if the experiment has many adapters; the blocks need no title otherwise, nor in Markdown."""


@dataclass(frozen=True)
class FigureBlock(Block):
    """A drawn figure."""

    kind = "figure"
    figure: DrawnFigure


@dataclass(frozen=True)
class Figures(Block):
    """Position of a section's figures; those without a position come last."""

    kind = "figures"
    first: int | None = None
    """Number of figures that stand here; all that are left by default."""
    empty: str = ""
    """Remark if there is no figure."""


@dataclass(frozen=True)
class Beside(Block):
    """Blocks side by side on a wide screen, one below the other on a narrow one and in Markdown."""

    kind = "beside"
    blocks: list[Block]


@dataclass(frozen=True)
class Section(Block):
    """A section of the report, or a part of a section, with the figures that name its id."""

    kind = "part"
    id: str
    title: str
    blocks: list[Block]
    folded: bool = False
    """Fold the section on the page: its details are for those who look for them."""
    chapter: str = ""
    """Heading over a section and others of the same chapter in Markdown; its title by default."""
    empty: str = ""
    """Remark if there is nothing to show; without one an empty section is left out."""


def place_figures(sections: list[Section], figures: dict[str, DrawnFigure]) -> list[Section]:
    """Put every figure into its section, and leave out blocks that are empty.

    Raises
    ------
    ValueError
        If a figure names a section that is not there.
    """
    remaining = dict(figures)
    filled = [block for section in sections for block in _fill_section(section, remaining)]
    for name, figure in remaining.items():
        raise ValueError(f"figure {name}: the report has no section '{figure.section}'")
    return filled


def _fill(block: Block, remaining: dict[str, DrawnFigure], drawn: list[DrawnFigure]) -> list[Block]:
    """The block with its figures and without its empty blocks, or nothing if it is empty itself.

    `drawn` are the figures of the section around it; those that the block shows are taken from its front.
    """
    match block:
        case TableBlock(table=table):
            return [block] if table.rows else []
        case Bullets(sentences=entries) | Matrices(matrices=entries):
            return [block] if entries else []
        case Figures():
            count = len(drawn) if block.first is None else block.first
            shown = [FigureBlock(figure) for figure in drawn[:count]]
            del drawn[:count]
            return shown or ([Text(f"– {block.empty}")] if block.empty else [])
        case Fold() | Beside():
            blocks = [filled for inner in block.blocks for filled in _fill(inner, remaining, drawn)]
            return [replace(block, blocks=blocks)] if blocks else []
        case Section():
            return _fill_section(block, remaining)
    return [block]


def _fill_section(section: Section, remaining: dict[str, DrawnFigure]) -> list[Block]:
    drawn = [remaining.pop(name) for name, figure in list(remaining.items()) if figure.section == section.id]
    blocks = [filled for inner in section.blocks for filled in _fill(inner, remaining, drawn)]
    blocks += [FigureBlock(figure) for figure in drawn]
    if not blocks and section.empty:
        blocks = [Text(f"– {section.empty}")]
    return [replace(section, blocks=blocks)] if blocks else []
