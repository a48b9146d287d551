"""The examples of docs/extending.md and docs/reference/remedies.md work as printed, in the places that they name."""

import re
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers.project_copy import ROOT, ProjectCopy


def blocks(page: str, heading: str) -> list[str]:
    """Python examples below a heading of a page, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], flags=re.M)[0]
    return [textwrap.dedent(code) for code in re.findall(r"^ *```python\n(.*?)^ *```", section, re.M | re.S)]


@pytest.fixture(autouse=True)
def forget_modules():
    """Let no other test find the modules that a test here wrote."""
    from stagewise.remedies.registry import find_remedy

    yield
    for name in ("lab_remedies", "lab_readers"):
        sys.modules.pop(name, None)
    find_remedy.cache_clear()


def test_the_measure_of_the_page_is_registered_by_its_function_alone(monkeypatch):
    from stagewise import measures

    monkeypatch.setattr(measures, "MEASURES", dict(measures.MEASURES))
    (code,) = blocks("extending.md", "A measure")
    exec(code, {"measure": measures.measure, "np": np})
    confusion = np.array([[3, 1, 0], [2, 2, 2]])  # two of ten answers are no label
    assert measures.MEASURES["valid_answers"].function(confusion) == pytest.approx(0.8)


def test_the_remedy_of_the_page_repeats_earlier_items(tmp_path, monkeypatch):
    from stagewise.remedies.registry import find_remedy

    (code,) = blocks("reference/remedies.md", "A remedy of your own")
    (tmp_path / "lab_remedies.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    remedy = find_remedy("lab_remedies:Repeat").cls(times=2)
    assert remedy.rows([1], {"first": [2, 3]}, 0) == [1, 2, 3, 2, 3]


def test_the_hook_of_the_page_adds_a_penalty(tmp_path, monkeypatch):
    import torch

    from stagewise.remedies.registry import find_remedy

    (code,) = blocks("extending.md", "A remedy")
    (tmp_path / "small_remedies.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    model = torch.nn.ModuleDict({"lora_A": torch.nn.Linear(2, 1, bias=False), "frozen": torch.nn.Linear(2, 1)})
    torch.nn.init.constant_(model["lora_A"].weight, 3.0)
    hook = find_remedy("small_remedies:Small").cls(strength=0.1).hook(SimpleNamespace(model=model))
    assert hook.loss(SimpleNamespace(batch_fraction=0.5)).item() == pytest.approx(0.1 * 0.5 * (9 + 9))


def test_the_picture_of_the_page_is_in_the_report(tmp_path, monkeypatch):
    from stagewise.report import figures, html, markdown
    from stagewise.report.figures.registry import draw_figures
    from tests.helpers import report_experiments

    (code,) = blocks("extending.md", "A picture")
    (tmp_path / "label_counts.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    try:
        view = report_experiments.view(report_experiments.metrics("small"))
        drawn = draw_figures(view)
        rows = [(s.task, e.label, e.items) for s in view.metrics.splits if s.split == "test" for e in s.labels]
        assert list(drawn["label-counts"].data.itertuples(index=False, name=None)) == rows
        assert "Items of each label" in html.render(view, drawn)
        assert "![Items of each label](figures/label-counts.svg)" in markdown.render(view, drawn)
    finally:
        sys.modules.pop(f"{figures.__name__}.label_counts", None)
        vars(figures).pop("label_counts", None)


def test_the_reader_of_the_page_reads_a_file(tmp_path, monkeypatch):
    from pyarrow import feather, table

    from stagewise.config.readers import Reader
    from stagewise.data.readers import read_records

    (code,) = blocks("extending.md", "A reader")
    (tmp_path / "lab_readers.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "items.feather"
    feather.write_feather(table({"id": ["01", "2"], "note": ["a", "b"], "more": [1, 2]}), str(path))
    records = read_records(path, Reader(format="lab_readers:feather"), ["id", "note"])
    assert records == [{"id": "01", "note": "a"}, {"id": "2", "note": "b"}]


@pytest.mark.workflow
def test_the_step_of_the_page_is_planned_by_its_four_places(tmp_path):
    project = ProjectCopy(tmp_path / "project")
    script, rule, record, declaration = blocks("extending.md", "A step")
    (project.path / "scripts" / "ensemble.py").write_text(script, encoding="utf-8")

    def insert(path: str, before: str, text: str):
        """Insert text before the first line that starts so."""
        old = (project.path / path).read_text(encoding="utf-8")
        assert before in old, (path, before)
        (project.path / path).write_text(old.replace(before, text + before, 1), encoding="utf-8")

    insert("rules/report.smk", "rule metrics:\n", f"{rule}\n\n")
    insert("stagewise/pipeline/inputs.py", "def metrics_files(", f"{record}\n\n")
    refused = project.snakemake("-n", check=False)
    assert refused.returncode and "rule ensemble: no artifact declares what it makes" in refused.stderr

    insert("stagewise/pipeline/artifacts.py", '@declares("metrics")\n', f"{declaration}\n\n")
    insert("rules/report.smk", "        summaries=", '        ensemble=f"{R}/ensemble/receipt.json",\n')
    refused = project.snakemake("-n", check=False)
    assert refused.returncode and "results/ensemble/receipt.json is an input in the rule and not in" in refused.stderr

    entry = '    files += [results / "ensemble" / "receipt.json"]\n'
    insert("stagewise/pipeline/inputs.py", "    for lineage in lineages:\n", entry)
    assert re.search(r"^ensemble +1$", project.snakemake("-n").stdout, re.M)
    project.run(sys.executable, "-m", "scripts.write_dvc")
    assert "results/ensemble" in (project.path / "dvc.yaml").read_text(encoding="utf-8")
