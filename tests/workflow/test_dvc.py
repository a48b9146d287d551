"""`dvc repro` runs the experiment through Snakemake, and a second one runs nothing."""

import pytest
import yaml

from forgetting.config import merge, read_yaml

pytestmark = pytest.mark.workflow


def test_dvc_repro_runs_the_default_experiment_once(workspace):
    # The tiny experiment takes the place of the default one, under the names that dvc.yaml uses.
    tiny = read_yaml(workspace.path / "tiny.yaml") | {"results": "results"}
    values = merge(read_yaml(workspace.path / "config.yaml"), tiny)
    values["models"]["smollm2-135m-instruct"] = values["models"].pop("tiny")
    values["model"] = "smollm2-135m-instruct"
    for old, new in (("pubmedqa", "colours"), ("dreaddit", "warmth")):
        values["tasks"][old] = values["tasks"].pop(new)
    values["arms"] = read_yaml(workspace.path / "config.yaml")["arms"]
    (workspace.path / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    workspace.run("dvc", "init", "--no-scm", "--quiet")
    first = workspace.run("dvc", "repro")
    assert "rule train_adapter" in first.stdout + first.stderr
    assert (workspace.path / "results" / "report.html").is_file()
    assert (workspace.path / "dvc.lock").is_file()

    second = workspace.run("dvc", "repro")
    assert "up to date" in second.stdout and "snakemake" not in second.stdout
    assert "Nothing to be done" in workspace.snakemake().stderr
    assert "report_metrics.json" in workspace.run("dvc", "metrics", "show", "--json").stdout
