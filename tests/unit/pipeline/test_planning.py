"""Planning grows with the number of adapters and no faster, counted in calls, which no busy neighbour changes."""

import sys
from pathlib import Path

import pytest

import stagewise
from stagewise.config.load_config import load
from stagewise.lineage import lineage_tree, steps_of_arm
from stagewise.pipeline.build_recipe import recipe_settings

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = str(Path(stagewise.__file__).parent)


def calls(of) -> int:
    """Count the calls of this project's functions while `of` runs."""
    counted = 0

    def count(frame, event, _):
        nonlocal counted
        counted += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(count)
    try:
        of()
    finally:
        sys.setprofile(None)
    return counted


def experiment(tmp_path, arms: int, seeds: int, folds: int):
    values = {
        "seeds": list(range(seeds)),
        "folds": list(range(folds)),
        "tasks": {"pubmedqa": {"split": "official"}},
        "arms": {"sequential": None, "rehearsal": None},
    }
    for number in range(arms):
        remedies = {"anchor": {"strength": (number + 1) / 100}}
        values["arms"][f"arm{number}"] = {"stages": [{"task": "pubmedqa"}, {"task": "dreaddit", "remedies": remedies}]}
    import yaml

    overlay = tmp_path / f"{arms}-{seeds}-{folds}.yaml"
    overlay.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load(ROOT / "config.yaml", overlay)


def plan_everything(config) -> int:
    """Ask for everything that the rules ask for while Snakemake builds the graph; return the number of adapters."""
    tree = lineage_tree(config)
    for adapter in tree.values():
        recipe_settings(config, adapter).model_dump_json(exclude_defaults=True)
        _ = adapter.learnt_tasks, adapter.parents, adapter.data, adapter.remedies.files
        _ = [config.active_tasks[task].prompt for task in adapter.learnt_tasks]
    for arm in config.active_arms:
        for fold, seed in config.runs:
            steps_of_arm(config, arm, seed, fold)
    return len(tree)


@pytest.mark.parametrize("more", [(40, 2, 2), (10, 8, 2), (10, 2, 8)])
def test_four_times_the_experiment_asks_four_times_the_work(tmp_path, more):
    small, large = experiment(tmp_path, 10, 2, 2), experiment(tmp_path, *more)
    sizes = [plan_everything(config) for config in (small, large)]  # a first time, so that caches are warm in both
    work = [calls(lambda config=config: plan_everything(config)) for config in (small, large)]
    print(f"{sizes[0]} adapters: {work[0]} calls, {sizes[1]}: {work[1]}")
    assert sizes[1] > 3.6 * sizes[0]
    assert work[1] / work[0] < 1.1 * sizes[1] / sizes[0]
