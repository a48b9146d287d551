"""The report as Markdown, which renders on GitHub: the page's sections under chapters, pictures as SVG files."""

import html
import re
from urllib.parse import quote

from stagewise.report import blocks
from stagewise.report.blocks import Block, Section, place_figures
from stagewise.report.environment import plain
from stagewise.report.figures.figure import DrawnFigure
from stagewise.report.lookup import View
from stagewise.report.sections import build_sections
from stagewise.report.tables import number_format
from stagewise.report.tables.table import Cell, Table
from stagewise.report.text import sentences


def render(view: View, figures: dict[str, DrawnFigure] | None = None, folder: str = "figures") -> str:
    """Write the Markdown text. The same figures give the same bytes.

    Parameters
    ----------
    view
        The experiment to show.
    figures
        Figures as `draw_figures` gives them, whose files stand in `folder`; none by default.
    folder
        Address of the figures' folder, relative to the Markdown file.
    """
    parts = [f"# Training report: {escape(view.experiment.name)}"]
    if warning := sentences.sample_warning(view):
        parts.append(f"> **Sample.** {escape(warning)}")
    chapters: dict[str, list[Section]] = {}
    for section in place_figures(build_sections(view), figures or {}):
        if section.in_markdown:
            chapters.setdefault(section.chapter or section.title, []).append(section)
    writer = Writer(view, folder)
    for chapter, sections in chapters.items():
        parts.append(f"## {escape(chapter)}")
        for section in sections:
            alone = section.title == chapter
            parts += writer.write_content(section, 3) if alone else writer.write(section, 3)
    return plain("\n\n".join(parts) + "\n")


class Writer:
    """Writes blocks as Markdown."""

    def __init__(self, view: View, folder: str):
        """`folder` is the address of the figures' files."""
        self.view, self.folder = view, folder

    def write(self, block: Block, level: int) -> list[str]:
        """Paragraphs of a block; headings in it are of the given level."""
        return getattr(self, f"write_{block.kind}")(block, level) if block.in_markdown else []

    def write_all(self, inner: list[Block], level: int) -> list[str]:
        return [paragraph for block in inner for paragraph in self.write(block, level)]

    def write_part(self, section: Section, level: int) -> list[str]:
        paragraphs = self.write_content(section, level + 1)
        return [f"{'#' * level} {escape(section.title)}", *paragraphs] if paragraphs else []

    def write_content(self, section: Section, level: int) -> list[str]:
        """Paragraphs of a section below its heading, folded if the page folds them."""
        paragraphs = self.write_all(section.blocks, level)
        return _folded("Details", paragraphs) if section.folded and paragraphs else paragraphs

    def write_fold(self, fold: blocks.Fold, level: int) -> list[str]:
        paragraphs = self.write_all(fold.blocks, level)
        return paragraphs if fold.if_long else _folded(fold.title, paragraphs)

    def write_beside(self, beside: blocks.Beside, level: int) -> list[str]:
        return self.write_all(beside.blocks, level)

    def write_text(self, text: blocks.Text, level: int) -> list[str]:
        lead = f"**{escape(text.lead)}.** " if text.lead else ""
        if text.style == "verdict":
            return [f"**{escape(text.text)}**"]
        if not text.marked:
            return [lead + escape(text.text)]
        spans = re.split(r"(`[^`]*`)", text.text)
        return [lead + "".join(_one_line(span) if span.startswith("`") else escape(span) for span in spans)]

    def write_conclusions(self, conclusions: blocks.Conclusions, level: int) -> list[str]:
        return [
            (f"**{escape(paragraph.lead)}.** " if paragraph.lead else "") + escape(paragraph.text)
            for paragraph in [*conclusions.paragraphs, *conclusions.by_arm]
        ]

    def write_bullets(self, bullets: blocks.Bullets, level: int) -> list[str]:
        return ["\n".join(f"- {escape(sentence.text)}" for sentence in bullets.sentences)]

    def write_table(self, block: blocks.TableBlock, level: int) -> list[str]:
        return [table(block.table)]

    def write_matrices(self, block: blocks.Matrices, level: int) -> list[str]:
        return [table(matrix) for matrix, _ in block.matrices]

    def write_figure(self, block: blocks.FigureBlock, level: int) -> list[str]:
        """The figure's SVG file under its title, and a link to its numbers."""
        figure, files = block.figure, f"{quote(self.folder)}/{block.figure.id}"
        return [
            f"{'#' * level} {escape(figure.title)}",
            f"![{escape(figure.title)}]({files}.svg)",
            f"*{escape(figure.caption)}* [Numbers as CSV]({files}.csv)",
        ]

    def write_lineage(self, block: blocks.Lineage, level: int) -> list[str]:
        lines = []
        for base, model in self.view.untuned.items():
            lines += [f"- {escape(model)}: stage 0, untuned", *self._tree(base, 1)]
        return ["\n".join(lines)]

    def _tree(self, lineage: str, depth: int) -> list[str]:
        lines = []
        for child in self.view.children(lineage):
            arms = f" ({escape(', '.join(child.arms))})" if self.view.several_arms else ""
            name = f"{escape(child.lineage.split('/')[-1])}: stage {child.stage}, {escape(self.view.learning(child))}"
            lines.append(f"{'  ' * depth}- {name}, {self.view.run(child)}{arms}")
            lines += self._tree(child.lineage, depth + 1)
        return lines


def _folded(title: str, paragraphs: list[str]) -> list[str]:
    """Paragraphs behind a title to click on, which GitHub shows."""
    return [f"<details><summary>{html.escape(title)}</summary>", *paragraphs, "</details>"]


def table(t: Table) -> str:
    """A GitHub table with its caption above and the reasons of what is missing below."""
    reasons = t.reasons
    heads = [f"{column.group}: {column.text}" if column.group else column.text for column in t.columns]
    lines = [f"*{escape(t.caption)}*", "", _line(escape(head) for head in heads)]
    lines.append(_line("---:" if column.numeric else "---" for column in t.columns))
    for heading, rows in t.bodies:
        if heading:
            lines.append(_line([f"**{escape(heading)}**", *[""] * (len(t.columns) - 1)]))
        lines += [_line(_cell(cell, reasons) for cell in row) for row in rows]
    if reasons:
        lines += ["", *(f"<sup>{letter}</sup> {escape(reason)}  " for reason, letter in reasons.items())]
    return "\n".join(lines)


def _one_line(code: str) -> str:
    """A code span without line breaks: an empty line would end it."""
    return re.sub(r"\s+", " ", code)


def _line(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell, reasons: dict[str, str]) -> str:
    plain = cell.style in ("code", "sum") and cell.text != number_format.MISSING and "`" not in cell.text
    text = "`" + _one_line(cell.text).replace("|", r"\|") + "`" if plain else escape(cell.text)
    if cell.sign:
        text = f"{cell.sign} {text}"
    if cell.reason:
        text += f"<sup>{reasons[cell.reason]}</sup>"
    if not cell.detail:
        return text
    return f"{text} {escape(cell.detail if cell.detail.startswith('[') else f'({cell.detail})')}"


def escape(text) -> str:
    """Text that Markdown shows as it is: nothing in a label or a licence becomes a mark or a tag."""
    text = re.sub(r"\s+", " ", str(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*|~#])", r"\\\1", text)
    text = re.sub(r"\](?=[\[(:])", r"\\]", text)  # only these could make a link
    # Underscores mark only at the edge of a word; GitHub links addresses by itself, which is welcome.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
