"""Probes in the whole graph: scored for the base model and every adapter, and made again for their own sake alone."""

import json

import pytest

from tests.helpers.probe_step import TEXT
from tests.workflow.conftest import jobs

pytestmark = pytest.mark.workflow
LINEAGES = ("base", "base/seed-0/colours")


def test_texts_are_scored_for_every_adapter_and_added_without_training(workspace):
    for name in ("prose", "more"):
        (workspace.path / f"{name}.txt").write_text(f"{name}. {TEXT}", encoding="utf-8")
    texts = {"prose": {"path": "prose.txt", "segment_tokens": 32}}
    settings = {"arms": {"sequential": {"stages": [{"task": "colours"}]}}, "probes": {"texts": texts}}
    overlay = ("--configfile", "tiny.yaml", workspace.write("probes.yaml", settings))
    workspace.snakemake(*overlay, "--", "probes")
    receipts = []
    for lineage in LINEAGES:
        folder = workspace.path / "out" / lineage / "probes"
        receipts.append(json.loads((folder / "receipt.json").read_text()))
        assert (folder / "prose.csv").is_file()
    assert len({receipt["probes"]["prose"]["checksum"] for receipt in receipts}) == 1
    assert len({receipt["files"]["prose.csv"] for receipt in receipts}) == 2

    # The process that trains has scored the text as well, so the adapter's job loads no model.
    log = (workspace.path / "logs" / "out" / LINEAGES[1] / "probe.log").read_text()
    assert "copied" in log and "bits_per_byte" not in log

    # Another text is scored for both of them, and nothing is trained.
    texts["more"] = {"path": "more.txt", "segment_tokens": 32}
    workspace.write("probes.yaml", settings)
    added = workspace.snakemake("-n", *overlay, "--", "probes")
    assert jobs(added.stdout) == {"run_preflight": 1, "probe": 2, "probes": 1}
    assert "base/probes: missing: more.csv" in added.stderr
