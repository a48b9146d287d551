"""The lineage tree: which adapters an experiment has, and where each lives.

The directory tree is the lineage. ``base`` is the untuned model, ``base/seed-0/pubmedqa`` the adapter
that learnt PubMedQA with seed 0, ``base/seed-0/pubmedqa/dreaddit`` its child. Arms that share a first
stage therefore share its adapter.
"""

from dataclasses import dataclass, field

from forgetting.config import Config, RecipeSettings
from forgetting.config.models import Training
from forgetting.errors import InputError

BASE = "base"


@dataclass
class Adapter:
    """One node of the lineage tree."""

    lineage: str
    parent: str | None
    """Lineage of the parent adapter; None where the parent is the base model."""
    task: str
    seed: int
    training: Training
    arms: list[str] = field(default_factory=list)
    """Arms that pass through this adapter."""

    @property
    def depth(self) -> int:
        """Stage number, from 1."""
        return self.lineage.count("/") - 1


def adapters(config: Config) -> dict[str, Adapter]:
    """Every adapter of the experiment by lineage, parents before children.

    Raises
    ------
    InputError
        Where two arms give one lineage different settings.
    """
    tree: dict[str, Adapter] = {}
    for seed in config.seeds:
        for arm_name, arm in config.active_arms.items():
            parent = None
            for number, stage in enumerate(arm.stages):
                lineage = f"{parent or f'{BASE}/seed-{seed}'}/{stage.folder}"
                training = config.stage_training(stage, first=number == 0)
                if training.optimizer_state == "parent" and tree[parent].training.best_metric != "last":
                    raise InputError(
                        f"config: arms.{arm_name}.stages[{number}] resumes its parent's last checkpoint "
                        "(optimizer_state 'parent'), so the parent needs best_metric 'last'"
                    )
                node = Adapter(lineage, parent, stage.task, seed, training)
                known = tree.setdefault(lineage, node)
                if (known.task, known.training) != (node.task, node.training):
                    raise InputError(
                        f"config: arms.{arm_name}.stages[{number}] and arm '{known.arms[0]}' share the folder "
                        f"'{lineage}' but differ in their settings; give one of the stages a 'name'"
                    )
                if arm_name in known.arms:
                    raise InputError(f"config: arms.{arm_name}.stages[{number}] repeats the folder '{lineage}'")
                known.arms.append(arm_name)
                parent = lineage
    return tree


def path_of_arm(config: Config, arm: str, seed: int) -> list[str]:
    """Lineages of one arm and seed, from the base model to its last adapter."""
    path = [BASE, f"{BASE}/seed-{seed}"]
    for stage in config.active_arms[arm].stages:
        path.append(f"{path[-1]}/{stage.folder}")
    return [BASE, *path[2:]]


def recipe_settings(config: Config, adapter: Adapter) -> RecipeSettings:
    """The part of the configuration that determines one adapter."""
    task = config.active_tasks[adapter.task]
    return RecipeSettings(
        lineage=adapter.lineage,
        stage=adapter.depth,
        task=adapter.task,
        seed=adapter.seed,
        prompt=task.prompt,
        words=task.words,
        shorten=task.shorten,
        fields=list(task.fields),
        prompting=config.prompting,
        quantization=config.quantization,
        dtype=config.dtype,
        lora=config.lora,
        training=adapter.training,
    )
