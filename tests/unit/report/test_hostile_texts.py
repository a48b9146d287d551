"""Texts that mean harm, wherever a report shows one: nothing runs, nothing is fetched, no markup comes from a text."""

import html as entities
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from markdown_it import MarkdownIt

from stagewise.provenance.csv_cells import inert
from stagewise.report import html, items_page, markdown
from stagewise.report.environment import plain
from stagewise.report.figures.registry import draw_figures
from tests.helpers import report_experiments
from tests.helpers.report_experiments import Page, view
from tests.helpers.report_records import add_sweep
from tests.unit.report.test_browser import CHROMIUM, browse

PARTS = [
    "=1+1",
    "<script>top.ran=1</script>",
    '"><img src="http://127.0.0.1:9/a.png" onerror="top.ran=1">',
    "' onmouseover='top.ran=1' x='",
    "javascript:top.ran=1",
    "</style></title></textarea><script>top.ran=1</script>",
    "<svg onload=top.ran=1><a xlink:href='javascript:top.ran=1'>",
    "{{ 7*7 }}{% raw %}${7*7}",
    "[click](javascript:top.ran=1) ![x](http://127.0.0.1:9/b.png) [x]: javascript:top.ran=1",
    "<javascript:top.ran=1> <http://127.0.0.1:9/c>",
    "`code` **bold** | cell\n\n# heading\n\n<iframe src='http://127.0.0.1:9/d'></iframe>",
    "<!-- ]]> &lt;b&gt; $\\frac",
    "\u202edrawkcab\u2066 \x1b[31m \x00",
]
EVIL = " ".join(PARTS)
WATCH = """<!DOCTYPE html><title>-</title><iframe srcdoc="PAGE"></iframe><script>addEventListener("load", () => {
  const inner = document.querySelector("iframe").contentWindow;
  const asked = inner.performance.getEntriesByType("resource").map((entry) => entry.name);
  document.title = JSON.stringify([inner.ran ?? window.ran ?? null, asked]);
});</script>"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Page, local page, Markdown and pictures of an experiment whose every free text means harm."""
    text = json.dumps(report_experiments.metrics("small")).replace('"maybe"', json.dumps(EVIL))
    for harmless in ("MIT, written for this project", "unknown label", "cpu", "pubmedqa-test-2"):
        assert f'"{harmless}"' in text
        text = text.replace(f'"{harmless}"', json.dumps(EVIL))
    values = json.loads(text)
    values["experiment"]["model_origin"] = {"path": EVIL, "licence": EVIL}
    add_sweep(values, "sequential", [EVIL, "r=8"], chosen="r=8")
    values["omitted"] += [{"what": EVIL, "reason": EVIL}]
    values["published_source"] = {"file": EVIL, "title": EVIL, "source": EVIL}
    results = shutil.copytree(report_experiments.experiment("small"), tmp_path_factory.mktemp("evil") / "results")
    for path in results.glob("data/*/*.jsonl"):
        items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for item in items:
            item["id"] = EVIL if item["id"] == "pubmedqa-test-2" else item["id"]
            item["label"] = EVIL if item["label"] == "maybe" else item["label"]
            item["fields"] = dict.fromkeys([*item["fields"], EVIL], EVIL)
        path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    shown = view(values, results)
    figures = draw_figures(shown)
    return {
        "report.html": html.render(shown, figures, "items.html"),
        "items.html": items_page.render(shown, results, "report.html"),
        "report.md": markdown.render(shown, figures),
        "figures": figures,
    }


@pytest.mark.parametrize("name", ["report.html", "items.html"])
def test_a_page_has_no_markup_from_a_text(written, name):
    page = Page(written[name])
    assert page.text.count("<script>top.ran=1</script>") > 3, "the text is shown as it is"
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "img", "iframe", "textarea", "b", "object", "base"})
    for tag, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")], (tag, attributes)
        for key in ("href", "src", "xlink:href", "action"):
            assert attributes.get(key, "#").startswith(("#", "data:,", "data:text/csv;", "items.html", "report.html"))
    assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|(?<!\d)49(?=\{)", written[name])
    assert not set("\u202e\u2066\x1b\x00") & set(written[name])


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("name", ["report.html", "items.html"])
def test_a_browser_runs_nothing_and_asks_for_nothing(written, name, tmp_path):
    """Without the page's own security policy, which would hide a mistake."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", written[name])
    outer = tmp_path / "outer.html"
    for inside, expected in (
        (text, [None, []]),
        (text.replace("</body>", "<script>top.ran=1</script></body>"), [1, []]),
    ):
        outer.write_text(WATCH.replace("PAGE", entities.escape(inside)), encoding="utf-8")
        dom = browse(outer, tmp_path, "--dump-dom")
        assert json.loads(entities.unescape(re.search(r"<title>(.*?)</title>", dom, re.S)[1])) == expected


def test_markdown_has_no_markup_from_a_text(written):
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(written["report.md"])
    page = Page(rendered.replace("<table>", '<table id="table-x">'))
    assert page.text.count("<script>top.ran=1</script>") > 3
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "iframe", "textarea", "svg", "b", "style"})
    for tag, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")], (tag, attributes)
        assert attributes.get("src", "figures/").startswith("figures/")
        assert attributes.get("href", "figures/").startswith("figures/"), attributes
    assert "heading" not in re.findall(r"<h\d>(.*?)</h\d>", rendered)


def test_pictures_are_whole_and_have_no_markup_from_a_text(written):
    for figure in written["figures"].values():
        tree = ElementTree.fromstring(figure.svg)
        tags = {element.tag.rpartition("}")[2] for element in tree.iter()}
        assert tags.isdisjoint({"script", "image", "foreignObject", "a", "iframe"}), figure.id
        for element in tree.iter():
            assert not [key for key in element.attrib if key.startswith("on")]
    assert any("top.ran" in figure.svg for figure in written["figures"].values()), "a label is drawn"


def test_no_cell_of_a_picture_s_numbers_is_a_formula(written):
    cells = [cell for figure in written["figures"].values() for cell in figure.data.map(inert).to_numpy().ravel()]
    texts = [cell for cell in cells if isinstance(cell, str)]
    assert any(text.startswith("'=1+1") for text in texts)
    assert not [text for text in texts if text.startswith(("=", "@"))]
    assert all("'=1+1" in figure.csv for figure in written["figures"].values() if "=1+1" in figure.csv)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        (" @SUM(A1)", "' @SUM(A1)"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("-inf", "'-inf"),
        ("\t=1", "'\t=1"),
        ("-1", "-1"),
        ("+4.5e3", "+4.5e3"),
        ("a=1", "a=1"),
        (-1.5, -1.5),
        (None, None),
    ],
)
def test_a_cell_that_a_spreadsheet_would_compute(cell, expected):
    assert inert(cell) == expected


def test_characters_that_hide_or_reverse_others_are_shown():
    assert plain("a\u202eb\x00c\ud800 é\n") == "a[U+202E]b\ufffdc\ufffd é\n"
