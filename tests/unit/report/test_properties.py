"""Any text in a table of the report: it is shown as it is, in one cell, and makes neither mark nor tag."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from stagewise.report.html import environment
from stagewise.report.markdown import escape, table
from stagewise.report.tables.table import Cell, Column, Table
from tests.helpers import properties  # noqa: F401

# What HTML and Markdown give a meaning to, and what a line or a word ends with, beside any character.
marks = st.sampled_from(list("<>&\"'`|\\*_~#[]()!:-+.\n\r\t\x0b\x0c\x1c\x85\u2028") + ["</td>", "<script>", "a", "1"])
texts = st.lists(marks | st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12).map("".join)
GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def shown(page: str) -> str:
    """Text that a browser shows of a piece of a page without tags."""
    return squeezed(html.unescape(re.sub(r"</?(p|em|code|strong)>", "", page)))


@given(text=texts)
def test_escaped_text_is_shown_by_markdown_as_it_is(text):
    page = GITHUB.renderInline(f"x {escape(text)} x")
    assert "<" not in page, "no tag is made"
    assert shown(page) == squeezed(f"x {text} x")


@given(cells=st.lists(texts, min_size=4, max_size=4), style=st.sampled_from(["", "code"]))
def test_a_table_has_its_rows_and_cells_whatever_the_texts(cells, style):
    made = Table("t", "Caption", ["Left", Column("Right")])
    for left, right in zip(cells[::2], cells[1::2], strict=True):
        made.add(Cell(left, style=style), Cell(f"x{right}", detail=left))
    page = GITHUB.render(table(made))
    rows = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    assert len(rows) == 3
    assert all(len(re.findall(r"<t[dh][ >]", row)) == 2 for row in rows)
    tags = set(re.findall(r"<[^>]*>", page)) - {"<code>", "</code>"}
    assert all(re.fullmatch(r"</?(table|thead|tbody|tr|th|td|p|em|a)( [^>]*)?>", tag) for tag in tags)
    assert "<script" not in page


@given(text=texts)
def test_the_page_escapes_what_it_is_given(text):
    page = environment(autoescape=True).from_string('<td title="{{ text }}">{{ text }}</td>').render(text=text)
    assert re.fullmatch(r'<td title="[^"<>]*">[^<>]*</td>', page)
    assert html.unescape(page) == f'<td title="{text}">{text}</td>'
