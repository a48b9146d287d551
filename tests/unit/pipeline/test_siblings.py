"""The families of a run's trainings, as the trainings read them."""

import json
from pathlib import Path

from stagewise.config.load_config import load
from stagewise.lineage import lineage_tree
from stagewise.pipeline.siblings import siblings_file, write_siblings
from stagewise.training.siblings import read_siblings
from tests.helpers.project_copy import ROOT


def test_a_training_reads_those_of_its_run_from_the_same_parent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = lineage_tree(load(ROOT / "config.yaml", arguments=["seeds=[0, 1]"]))
    trained = [adapter for adapter in tree.values() if adapter.lineage != "base/seed-1/pubmedqa"]
    write_siblings("results", trained)

    def siblings_of(lineage: str) -> list[str]:
        recipe = Path("results") / lineage / "recipe.json"
        siblings = read_siblings(siblings_file("results", tree[lineage]), recipe, ["tensorboard"])
        assert {sibling.data_dir for sibling in siblings} <= {Path("results/data")}
        return [str(sibling.recipe_file.parent.relative_to("results")) for sibling in siblings]

    first = "base/seed-0/pubmedqa"
    assert siblings_of(f"{first}/dreaddit") == [f"{first}/dreaddit+rehearsal-25"]
    assert siblings_of(f"{first}/dreaddit+rehearsal-25") == [f"{first}/dreaddit"]
    assert siblings_of(first) == []  # the other seed's is there already
    assert siblings_of("base/seed-1/pubmedqa") == []  # of another run
    assert siblings_file("results", tree[first]) == siblings_file("results", tree["base/seed-1/pubmedqa"])
    assert siblings_file("others", tree[first]) != siblings_file("results", tree[first])


def test_first_stages_of_different_base_models_are_no_siblings():
    """One process holds one model."""
    arm = {"model": "llama-3.2-1b-instruct", "stages": [{"task": "pubmedqa"}]}
    tree = lineage_tree(load(ROOT / "config.yaml", arguments=[f"arms={json.dumps({'other': arm})}"]))
    first, other = tree["base/seed-0/pubmedqa"], tree["base-llama-3.2-1b-instruct/seed-0/pubmedqa"]
    assert first.parent is other.parent is None
    assert siblings_file("results", first) != siblings_file("results", other)
