"""The page in a real browser: it opens from a file, asks for nothing, fits a phone, and shows something."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import report as step
from tests.helpers import report_experiments

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-default-apps --disable-extensions --hide-scrollbars"
).split()
# A window is never narrower than 500 pixels, a frame is. The frame's page stays as it is; the outer one measures it.
MEASURE = """<!DOCTYPE html><title>-</title><iframe width="WIDTH" height="800" style="border:0" srcdoc="PAGE"></iframe>
<script>addEventListener("load", () => {
  const inner = document.querySelector("iframe").contentWindow, root = inner.document.documentElement;
  const wide = [...inner.document.querySelectorAll("body *")]
    .filter((e) => !e.parentElement.closest(".scroll, .draw, pre, nav"))
    .filter((e) => e.getBoundingClientRect().right > inner.innerWidth + 1).map((e) => e.tagName + "." + e.className);
  const asked = inner.performance.getEntriesByType("resource").map((entry) => entry.name);
  const bottom = (name) => inner.document.querySelector("#result " + name).getBoundingClientRect().bottom;
  const first = [".verdict", ".draw", ".table .scroll"].map(bottom);
  document.title = JSON.stringify([inner.innerWidth, root.scrollWidth, root.scrollHeight, wide, asked, first]);
});</script>"""


NAMES = ("small", "many", "arms", "orders", "swept", "twenty")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a small experiment and of one with several arms, seeds and stages."""
    found = {}
    for name in NAMES:
        results, out = report_experiments.experiment(name), tmp_path_factory.mktemp(name)
        assert step.main(report_experiments.arguments(results / "report_metrics.json", results, out)) == 0
        found[name] = (out / "r.html").rename(out / "a page.html")  # a blank in its name must not matter
    return found


def browse(page: Path, tmp_path: Path, *arguments: str) -> str:
    profile = tmp_path / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path).stdout


def measure(page: Path, tmp_path: Path, width: int) -> list:
    """Measure the page at a width in pixels.

    Returns inner width, scroll width, height, elements beyond the right edge, the URLs that the page asked for, and the
    lower ends of the verdict, the first picture and the first table.
    """
    outer = tmp_path / "outer.html"
    text = html.escape(page.read_text(encoding="utf-8"))
    outer.write_text(MEASURE.replace("WIDTH", str(width)).replace("PAGE", text), encoding="utf-8")
    dom = browse(outer, tmp_path, "--window-size=1500,900", "--dump-dom")
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom, re.S)[1]))


def picture(page: Path, tmp_path: Path, *arguments: str):
    """A screenshot at phone width or wider, as an RGB image."""
    from PIL import Image

    path = tmp_path / "shot.png"
    browse(page, tmp_path, *arguments, f"--screenshot={path}")
    return Image.open(path).convert("RGB")


def test_it_opens_from_a_file_and_asks_for_nothing(pages, tmp_path):
    dom = browse(pages["small"], tmp_path, "--dump-dom")
    page = report_experiments.Page(dom)
    assert [values["id"] for values in page.all("section")] == report_experiments.SECTIONS
    assert len(page.tables) > 20 and "learnt pubmedqa" in page.text
    for _, values in page.elements:
        for name in ("src", "href", "srcset", "xlink:href"):
            assert values.get(name, "#").startswith(("#", "data:,", "data:text/csv;", "items.html")), values
    assert measure(pages["small"], tmp_path, 1400)[4] == []


def test_a_request_of_the_page_would_be_seen(pages, tmp_path):
    """The page's own requests are counted, not the browser's: it looks for its maker's services by itself."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", pages["small"].read_text(encoding="utf-8"))
    asking = tmp_path / "asking.html"
    asking.write_text(text.replace("</body>", '<img src="http://127.0.0.1:9/a.png"></body>'), encoding="utf-8")
    assert measure(asking, tmp_path, 1400)[4] == ["http://127.0.0.1:9/a.png"]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_screen_has_the_verdict_the_picture_and_the_table(pages, tmp_path, name):
    # The sample's banner is part of it; with twenty arms the table ends a row or two below.
    *_, first = measure(pages[name], tmp_path, 1300)
    assert max(first) <= (840 if name == "twenty" else 800)
    verdict, picture, table = measure(pages[name], tmp_path, 390)[-1]
    assert verdict < 400 and (picture < 800 or name in ("orders", "twenty")) and verdict < picture < table


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_a_phone(pages, tmp_path, name):
    inner, scroll, height, wide, *_ = measure(pages[name], tmp_path, 375)
    assert inner == 375
    assert scroll <= 375, wide
    assert not wide and height > 3000


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_a_wide_screen(pages, tmp_path, name):
    inner, scroll, _, wide, *_ = measure(pages[name], tmp_path, 1400)
    assert inner == 1400 and scroll <= 1400 and not wide


@pytest.mark.parametrize("width", [375, 1400])
def test_it_shows_something_in_light_and_dark(pages, tmp_path, width):
    sizes = f"--window-size={width},2400"
    light = picture(pages["small"], tmp_path, sizes)
    dark = picture(pages["small"], tmp_path, sizes, "--blink-settings=preferredColorScheme=0")
    shades = []
    for image in (light, dark):
        assert image.size == (width, 2400)
        colors = image.getcolors(maxcolors=1 << 24)
        count, background = max(colors)
        # Not blank: many colours, and the background is neither all of it nor crowded out.
        assert len(colors) > 50 and 0.5 < count / (width * 2400) < 0.99
        shades.append(sum(background) / 3)
    assert shades[0] > 240 and shades[1] < 40
