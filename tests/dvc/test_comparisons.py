"""Metrics, plots and experiments across commits, as docs/running/dvc.md shows them."""

import json


def test_metrics_plots_and_experiments(copy):
    shown = json.loads(copy.dvc("metrics", "show", "--json").stdout)[""]["data"]["out/metrics.json"]["data"]
    accuracy = shown["sequential"]["colours"]["accuracy"]
    assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1

    copy.dvc("exp", "run", "--name", "fast", "--set-param", "config.yaml:training.learning_rate=0.05")
    assert copy.learning_rate() == 0.05
    listed = copy.dvc("exp", "show", "--csv").stdout
    assert "fast" in listed and "0.05" in listed

    diff = json.loads(copy.dvc("metrics", "diff", "--all", "--json", "HEAD").stdout)
    rows = diff["diff"]["out/metrics.json"] if "diff" in diff else diff["out/metrics.json"]
    new = copy.read("out/metrics.json")["sequential"]
    for task in ("colours", "warmth"):
        row = rows[f"sequential.{task}.accuracy.value"]
        assert row["new"] == new[task]["accuracy"]["value"]
        assert row["old"] == shown["sequential"][task]["accuracy"]["value"]

    params = json.loads(copy.dvc("params", "diff", "--json", "HEAD").stdout)
    assert params["diff" if "diff" in params else "config.yaml"]

    page = copy.dvc("plots", "diff", "HEAD", "--out", "plots").stdout.strip().removeprefix("file://")
    text = open(page, encoding="utf-8").read()
    for words in ("optimizer step", "after stage", '"lineage"', "base/seed-0/colours/warmth"):
        assert words in text
    assert "<DVC_" not in text
