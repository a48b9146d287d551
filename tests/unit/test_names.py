"""Files, links and modules that the project names exist, and the pictures show the workflow as it is."""

import re
import subprocess

import pytest

from tests.helpers.project_copy import ROOT

TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
READERS = [
    name
    for name in TRACKED
    if name.endswith((".md", ".smk", ".yaml", ".def", ".in", ".sh", ".rst", ".py"))
    or name in ("Snakefile", "Makefile", ".ci/run")
]
FOLDERS = "scripts|prompts|envs|rules|experiments|containers|profiles|schemas|docs|report|data/splits|data/sample"
NAMED = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w\.(?:py|txt|in|smk|yaml|def|json|md|svg|rst|sh|csv))")
# In pages also modules and tests, which code names only while it is rewritten.
IN_PAGES = re.compile(r"(?<![\w/.-])((?:stagewise|tests|benchmarks)/[\w/]+(?:\.py|/)?)(?![\w/])")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGES = [name for name in TRACKED if name.endswith(".md") and "example-reports/" not in name.removesuffix("README.md")]
# Files that a user writes or builds: named as examples, not kept.
PLACEHOLDER = re.compile(r"/(NAME|FOLDER)\b")
EXAMPLES = {
    "rules/note.smk",
    "prompts/triage.txt",
    "experiments/mine.yaml",
    "prompts/colours.txt",
    "experiments/x.yaml",
}
EXAMPLES |= {"scripts/ensemble.py", "rules/note.smk"}
EXAMPLES |= {"experiments/reviews.yaml", "prompts/reviews.txt"}


@pytest.mark.parametrize("reader", READERS)
def test_every_file_that_is_named_exists(reader):
    text = (ROOT / reader).read_text(encoding="utf-8")
    named = {match for match in NAMED.findall(text) if match not in EXAMPLES and not PLACEHOLDER.search(match)}
    assert not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize("page", PAGES)
def test_every_module_and_test_that_a_page_names_exists(page):
    named = set(IN_PAGES.findall((ROOT / page).read_text(encoding="utf-8")))
    assert not {name for name in named if not (ROOT / name).exists() and not PLACEHOLDER.search(name)}


def anchors(page) -> set[str]:
    """Anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page):
    for link in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), f"{page} links {link}"
            assert not anchor or anchor in anchors(target), f"{page} links {link}"


def test_the_index_lists_every_page():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))}
    pages = {ROOT / name for name in PAGES if name.startswith("docs/")} - {index}
    assert pages <= linked


def test_every_step_that_a_rule_or_document_calls_exists():
    for reader in READERS:
        for module in re.findall(r"python -m (scripts\.\w+)", (ROOT / reader).read_text(encoding="utf-8")):
            path = f"{module.replace('.', '/')}.py"
            assert path in EXAMPLES or (ROOT / path).is_file(), f"{reader} calls {module}"


def test_every_rule_calls_a_step_and_every_step_can_explain_itself():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for name in re.findall(r"^rule (\w+):", rules, re.M):
        block = rules.partition(f"rule {name}:")[2].partition("\nrule ")[0]
        assert "python -m scripts." in block
    for path in (ROOT / "scripts").glob("[a-z]*.py"):
        text = path.read_text()
        assert text.startswith('"""') and "def main(argv=None) -> int:" in text, path


def test_the_rule_graph_shows_every_rule():
    picture = (ROOT / "docs" / "rulegraph.svg").read_text()
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    # The default experiment's items are embedded, so it fetches nothing but the model, none of its arms merges or takes
    # anything from elsewhere, and it has no probes. `preflight` is a target of its own.
    absent = {"fetch_data", "fetch_adapter", "adopt_adapter", "adopt_model", "merge_adapters", "preflight", "probe"}
    for name in set(re.findall(r"^rule (\w+):", rules, re.M)) - absent:
        assert f">{name}<" in picture, f"make docs/rulegraph.svg draws the graph anew: {name} is missing"


def test_every_remedy_is_documented_with_its_paper():
    from stagewise.remedies.registry import builtin_remedies, find_remedy

    page = (ROOT / "docs" / "reference" / "remedies.md").read_text(encoding="utf-8")
    for name in builtin_remedies():
        assert f"| `{name}` |" in page
        for identifier in re.findall(r"(?:arXiv|doi):\S+?(?=[;,]|$)", find_remedy(name).cls.paper):
            assert identifier in page or "doi:10.1080" in identifier, identifier
