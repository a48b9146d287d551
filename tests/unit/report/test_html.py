"""The page: whole, self-contained, readable, and free of anybody's text."""

import html as entities
import json
import re

import pytest
import yaml
from markdown_it import MarkdownIt

from stagewise.config.experiment import Config
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.report import html, markdown
from tests.helpers import report_experiments
from tests.helpers.project_copy import ROOT
from tests.helpers.report_experiments import SECTIONS, Page, estimate, render, view


@pytest.fixture(scope="module")
def many():
    return view(report_experiments.metrics("many"), report_experiments.experiment("many"))


def test_sections_stand_in_order_and_headings_skip_no_level(shown):
    assert [values["id"] for values in shown.all("section")] == SECTIONS
    levels = [int(tag[1]) for tag, _ in shown.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_the_page_is_self_contained_and_accessible(html, shown):
    assert not shown.all("script") and not shown.all("iframe") and not re.search(r"@import|https?://", css(html))
    for tag, values in shown.elements:
        assert not any(name.startswith("on") for name in values)
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert values.get(name, "#").startswith(("#", "data:,", "data:text/csv;")), (tag, values)
    assert not re.search(r"url\((?!#)", html)
    ids = [values["id"] for _, values in shown.elements if "id" in values]
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"', html)) | set(re.findall(r"url\(#([^)]+)\)", html))
    named = {name for _, values in shown.elements for name in (values.get("aria-labelledby") or "").split()}
    assert targets | named <= set(ids)
    assert all(table.caption.strip() for table in shown.tables.values())
    assert all(values.get("scope") for values in shown.all("th"))
    for values in shown.all("svg"):
        assert values.get("aria-hidden") == "true" or (values["role"] == "img" and values["aria-labelledby"])
    # The earlier task, scores, the matrix, an earlier task in training, flips, a rare label, curves, reliability.
    assert len(re.findall(r"<svg [^>]*role=\"img\"[^>]*><title", html)) == 1 + 10 + 5 + 2 + 1 + 4 + 4 + 6


def css(html: str) -> str:
    return re.search(r"<style>(.*?)</style>", html, re.S)[1]


def test_colours_can_be_read_in_both_modes(html):
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    blocks = re.findall(r":root \{(.*?)\}", css(html), re.S)
    assert len(blocks) == 2
    for block in blocks:
        colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for name in ("ink", "muted", "link", "up", "down"):
            assert contrast(colors[name], colors["paper"]) >= 4.5, name
            assert contrast(colors[name], colors["card"]) >= 4.5, name
        for number in range(6):
            assert contrast(colors[f"c{number}"], colors["paper"]) >= 3, number
    assert not re.search(r"#fe00[01]", html)


def test_a_banner_stands_where_the_data_is_a_sample_and_nowhere_else(values, shown, html):
    assert "Figures on a sample are not a scientific result." in shown.text
    values["tasks"][0] |= {"sample": False, "source": "original"}
    assert "embedded sample for dreaddit: made-up" in Page(render(values)).text
    values["tasks"][1] |= {"sample": False, "source": "original"}
    values["experiment"]["sample"] = False
    plain = Page(render(values))
    assert "a scientific result" not in plain.text and not [v for v in plain.all("p") if v.get("role") == "note"]
    assert "> **Sample.**" not in markdown.render(view(values))


def test_no_text_of_an_item_is_in_the_report(results, metrics, html):
    text = html + markdown.render(view(metrics, results))
    items = [json.loads(line) for path in results.glob("data/*/*.jsonl") for line in path.read_text().splitlines()]
    assert len(items) > 300
    for item in items:
        for field in item["fields"].values():
            assert field not in text and " ".join(field.split()[:5]) not in text


def test_the_resolved_configuration_gives_the_same_experiment_again(metrics, html):
    text = re.search(r'<pre id="config"><code>(.*?)</code>', html, re.S)[1]
    overlay = yaml.safe_load(entities.unescape(text))
    assert overlay == metrics["experiment"]["config"]
    again = Config.model_validate(merge(read_yaml(ROOT / "config.yaml"), overlay))
    assert again.model_dump(mode="json", exclude={"mirror"}) == metrics["experiment"]["config"]


def test_markup_in_labels_licences_and_names_is_shown_not_obeyed(values):
    evil = '<script>alert("x")</script> & | `*b*` [a](http://evil.example)'
    text = json.dumps(values).replace("no stress", json.dumps(evil)[1:-1])
    values = json.loads(text)
    values["tasks"][0]["licence"] = evil
    values["omitted"] = [{"what": evil, "reason": evil}]
    html = render(values)
    shown = Page(html)
    assert not shown.all("script") and "&lt;script&gt;alert(" in html and evil in shown.text
    text = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown.render(view(values)))
    assert "<script" not in text and "<a " not in text and "<code>*b*" not in text and "<em>b" not in text
    assert evil in " ".join(Page(text.replace("<table>", '<table id="t">')).text.split())


def test_three_arms_two_seeds_and_three_stages(many):
    page = html.render(many)
    shown = Page(page)
    ids = [values["id"] for _, values in shown.elements if "id" in values]
    assert len(ids) == len(set(ids))
    assert len(many.adapters) == 12
    table = shown.tables["scores-test-pubmedqa"]
    assert [row[0] for row in table.rows] == [
        "untuned base model stage 0",
        *["● seed 0", "● seed 1"] * 4,
        *["seed 0", "seed 1"],
        *["● seed 0", "● seed 1"],
        "majority class",
        "TF-IDF + logistic regression",
        "TF-IDF + logistic regression, balanced",
    ]
    assert table.parts[:2] == [
        "After pubmedqa: stage 1, arms sequential, gentle",
        "After pubmedqa → dreaddit: stage 2, arm sequential",
    ]
    for task in ("pubmedqa", "dreaddit"):
        for row, lineage in zip(shown.tables[f"scores-test-{task}"].rows[1:13], many.adapters, strict=True):
            assert row[0].removeprefix("● ") == f"seed {many.adapters[lineage].seed}"
            assert row[1] == estimate(many.value(lineage, task, "test", "accuracy").model_dump())
    settings = shown.tables["settings"]
    assert settings.parts == ["Different in pubmedqa → dreaddit-slow"]
    assert [row[1] for row in settings.rows if row[0] == "learning rate"] == ["0.001", "1e-05"]
    # Arms that share an adapter share its row, its sentence and its comparison.
    leads = re.findall(r"<p><strong>([^<]+)\.</strong>", page)
    assert leads == ["Arm sequential", "Arm gentle", "Arm reverse"]
    assert len(shown.tables["forgetting-test"].rows) == 8
    assert "over items and 2 seeds" in shown.text
    assert "## Stage 3: pubmedqa" in markdown.render(many)
