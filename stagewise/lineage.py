"""The lineage tree: every adapter of an experiment, its folder, and the adapter that answers a task in an arm.

The directory tree is the lineage. ``base`` is the untuned model, ``base/seed-0/pubmedqa`` the adapter that learnt
PubMedQA with seed 0, ``base/seed-0/pubmedqa/dreaddit`` its child, and ``…/dreaddit/merged-blend-0.5`` an adapter
computed from those two without training, ``…/adopted-mine`` an adapter from elsewhere, and ``…/tuned-mine`` a fully
fine-tuned model. Arms that share a stage therefore share its adapter. Folds add a level:
``base/fold-3/seed-0/…``. An arm with a base model of its own starts from ``base-NAME``, and the first stage of one with
other LoRA settings is called after them: ``base/seed-0/pubmedqa_r-4``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from stagewise.config.adopted import AdoptedAdapter
from stagewise.config.arms import Arm, Stage, lora_suffix
from stagewise.config.experiment import Config
from stagewise.config.training import Lora, Training
from stagewise.errors import InputError
from stagewise.remedies.registry import Remedies

BASE = "base"
"""Lineage of the untuned base model: the experiment's own."""

LINEAGES = rf"{BASE}(-[^/]+)?(/[^/]+)*"
"""Pattern of every lineage."""

MERGED = "merged-"
"""Prefix of the folder of an adapter that is computed from others without training."""


@dataclass
class Adapter:
    """One node of the lineage tree."""

    lineage: str
    parent: str | None
    """Lineage of the adapter that this one is trained on; None if that is the base model, or if it is adopted."""
    tasks: list[str]
    """Tasks that its stage learns."""
    earlier: list[str]
    """Tasks that its ancestors learnt, oldest first, without `tasks`."""
    seed: int
    fold: int | None
    stage: int
    """Stage number, from 1."""
    training: Training | None
    """None if it is computed from other adapters, or comes from elsewhere."""
    remedies: Remedies
    lora: Lora
    new_lora: bool
    """True if a later stage trains a LoRA of its own beside its parent's, which is frozen."""
    last_layers: int | None
    """Adapted decoder layers, from the last one: those of all that it is made from; None for all."""
    adopted: AdoptedAdapter | None = None
    """The adapter from elsewhere that it is."""
    tuned_model: str | None = None
    """Name of the fully fine-tuned model that it is, without an adapter."""
    lora_of_parent: bool = False
    """True if it goes on with the LoRA of an adapter from elsewhere, whose shape counts instead of `lora`'s."""
    sources: list[str] = field(default_factory=list)
    """Lineages of the adapters that it is computed from without training, the newest last."""
    arms: list[str] = field(default_factory=list)
    """Arms that pass through this adapter."""
    base: str = BASE
    """Lineage of its untuned base model."""

    @property
    def task(self) -> str:
        """Names of its stage's tasks as one text."""
        return " + ".join(self.tasks)

    @property
    def parents(self) -> list[str]:
        """Lineages of all adapters that it depends on."""
        return self.sources or ([self.parent] if self.parent else [])

    @property
    def learnt_tasks(self) -> list[str]:
        """All tasks that it has learnt, those of its ancestors included, oldest first."""
        return [*self.earlier, *self.tasks]

    @property
    def data(self) -> str:
        """Folder of its splits below the results folder."""
        return data_folder(self.fold)

    def _settings(self) -> tuple:
        """Settings in which two arms that share the adapter must agree."""
        kept = (self.tasks, self.training, self.remedies, self.lora, self.new_lora, self.sources)
        return *kept, self.adopted, self.tuned_model


@dataclass(frozen=True)
class Step:
    """An arm after one stage."""

    stage: int
    """0 is the arm's untuned base model."""
    tasks: list[str]
    """Tasks that the stage learnt."""
    lineage: str
    """Lineage of the adapter that the stage left."""
    answered_by: dict[str, str]
    """Lineage that answers a task or a probe, by name: the same for all of them, or each task's own adapter, and the
    base model what no adapter has learnt."""


def data_folder(fold: int | None) -> str:
    """Folder of a fold's splits below the results folder."""
    return "data" if fold is None else f"data/fold-{fold}"


def data_folders(config: Config) -> list[str]:
    """Folders of all splits, the first run's first."""
    return list(dict.fromkeys(data_folder(fold) for fold, _ in config.runs))


def untuned_lineages(config: Config) -> dict[str, str]:
    """Name the base model of each lineage of an untuned one, the experiment's own first."""
    return {_untuned(config, model): model for model in config.base_models}


def _untuned(config: Config, model: str) -> str:
    return BASE if model == config.model else f"{BASE}-{model}"


def run_folder(base: str, fold: int | None, seed: int) -> str:
    """Folder of all lineages of one run (a fold and a seed) from the untuned model of the lineage `base`."""
    return f"{base}/seed-{seed}" if fold is None else f"{base}/fold-{fold}/seed-{seed}"


def lineage_tree(config: Config) -> dict[str, Adapter]:
    """List every adapter of the experiment by lineage, parents before children.

    Raises
    ------
    InputError
        If two arms give one lineage different settings, or a stage needs a parent that it does not have.
    """
    tree: dict[str, Adapter] = {}
    for fold, seed in config.runs:
        for arm_name, variants in config.arm_variants.items():
            for variant in variants.values():
                _add_arm(tree, config, arm_name, variant, (fold, seed))
    return tree


def steps_of_arm(
    config: Config, arm: str, seed: int, fold: int | None = None, variant: str | None = None
) -> list[Step]:
    """List an arm's steps in one run: the base model first, then the arm after each stage.

    `variant` is the label of one of its variants, if it is swept; by default the first.
    """
    variants = config.arm_variants[arm]
    return _add_arm({}, config, arm, variants[next(iter(variants)) if variant is None else variant], (fold, seed))


def _add_arm(
    tree: dict[str, Adapter], config: Config, arm_name: str, arm: Arm, run: tuple[int | None, int]
) -> list[Step]:
    """Add the adapters of an arm without sweeps to `tree`, in one run (fold, seed), and return its steps."""
    visited: set[str] = set()
    parent: str | None = None
    trained: list[str] = []
    base = _untuned(config, config.model_of(arm))
    steps = [Step(0, [], base, dict.fromkeys(_scored(config), base))]
    for index, stage in enumerate(arm.stages):
        key = f"arms.{arm_name}.stages[{index}]"
        if arm.adapters == "per_task":
            parent = None
        number = index + 1 if arm.adapters == "one" else 1
        if stage.is_trained:
            _check_parent(tree, config, key, stage, parent)
            _check_plain_lora(tree, config.stage_lora(arm, stage), key, stage, parent)
            adapter = _trained_adapter(tree, config, arm, stage, number, parent, run)
        else:
            adapter = _adopted_adapter(tree, config, arm, stage, number, parent, run)
        _add(tree, adapter, arm_name, key, visited)
        trained.append(adapter.lineage)
        if stage.remedies.afterwards:
            pair = [lineage for lineage in (parent, adapter.lineage) if lineage]
            adapter = _merged_adapter(tree, stage, adapter, trained[:] if arm.adapters == "per_task" else pair, key)
            _add(tree, adapter, arm_name, key, visited)
        parent = adapter.lineage
        answered_by = steps[-1].answered_by | dict.fromkeys(_answered_tasks(config, arm, stage, adapter), parent)
        steps.append(Step(index + 1, stage.tasks, parent, answered_by))
    return steps


def _trained_adapter(
    tree: dict[str, Adapter],
    config: Config,
    arm: Arm,
    stage: Stage,
    number: int,
    parent: str | None,
    run: tuple[int | None, int],
) -> Adapter:
    """Describe the adapter that training stage `number` leaves in one run (fold, seed)."""
    fold, seed = run
    learnt = tree[parent].learnt_tasks if parent else []
    lora, base = config.stage_lora(arm, stage), _untuned(config, config.model_of(arm))
    before = [each for each in arm.stages[: number - 1] if each.is_trained]
    folder = stage.folder + _arms_suffix(config, arm, stage, before)
    return Adapter(
        lineage=f"{parent or run_folder(base, fold, seed)}/{folder}",
        parent=parent,
        tasks=stage.tasks,
        earlier=[task for task in learnt if task not in stage.tasks],
        seed=seed,
        fold=fold,
        stage=number,
        training=config.stage_training(stage, first=parent is None),
        remedies=Remedies.of(stage.remedies.in_training),
        lora=lora,
        new_lora=parent is not None and stage.has_own_lora,
        last_layers=_widest([lora.last_layers, *([tree[parent].last_layers] if parent else [])]),
        lora_of_parent=parent is not None and not stage.has_own_lora and _has_shape_of_adopted(tree[parent]),
        base=base,
    )


def _arms_suffix(config: Config, arm: Arm, stage: Stage, before: list[Stage]) -> str:
    """End of a folder's name: the arm's LoRA settings that a stage takes and that no folder `before` it names."""
    changed = arm.changed_lora(config.lora)
    *named, taken = ({key for key in changed if getattr(each.lora, key) is None} for each in [*before, stage])
    return lora_suffix({key: changed[key] for key in changed if key in taken.difference(*named)})


def _has_shape_of_adopted(adapter: Adapter) -> bool:
    return adapter.adopted is not None or adapter.lora_of_parent


def _adopted_adapter(
    tree: dict[str, Adapter],
    config: Config,
    arm: Arm,
    stage: Stage,
    number: int,
    before: str | None,
    run: tuple[int | None, int],
) -> Adapter:
    """Describe an adapter or a fully fine-tuned model from elsewhere; `before` is the lineage of the stage before."""
    fold, seed = run
    learnt = tree[before].learnt_tasks if before else []
    base = _untuned(config, config.model_of(arm))
    return Adapter(
        lineage=f"{before or run_folder(base, fold, seed)}/{stage.folder}",
        parent=None,
        tasks=stage.tasks,
        earlier=[task for task in learnt if task not in stage.tasks],
        seed=seed,
        fold=fold,
        stage=number,
        training=None,
        remedies=Remedies(),
        lora=config.lora,
        new_lora=False,
        last_layers=None,
        adopted=AdoptedAdapter.of_run(stage.adapter, fold, seed) if stage.adapter else None,
        tuned_model=stage.model,
        base=base,
    )


def _merged_adapter(tree: dict[str, Adapter], stage: Stage, adapter: Adapter, sources: list[str], key: str) -> Adapter:
    """Describe the adapter that a remedy computes from `sources` once the stage has trained `adapter`."""
    kind, remedy = stage.remedies.afterwards
    if len(sources) < 2:
        raise InputError(f"config: {key}.remedies.{kind} needs an earlier stage to merge with")
    try:
        remedy.check_number(len(sources))
    except ValueError as error:
        raise InputError(f"config: {key}.remedies.{kind}: {error}") from None
    if remedy.needs_plain_lora and any(_is_dora(tree, source) for source in sources):
        raise InputError(f"config: {key}.remedies.{kind} merges plain LoRA, and not DoRA; take lora.dora out")
    learnt = dict.fromkeys(task for source in sources for task in tree[source].learnt_tasks)
    return Adapter(
        lineage=f"{adapter.lineage}/{MERGED}{remedy.label}",
        parent=adapter.lineage,
        tasks=stage.tasks,
        earlier=[task for task in learnt if task not in stage.tasks],
        seed=adapter.seed,
        fold=adapter.fold,
        stage=adapter.stage,
        training=None,
        remedies=Remedies.of({kind: remedy}),
        lora=adapter.lora,
        new_lora=False,
        last_layers=_widest([tree[source].last_layers for source in sources]),
        sources=sources,
        base=adapter.base,
    )


def _widest(layers: list[int | None]) -> int | None:
    """Largest number of last layers; None, which is all of them, counts as most."""
    return None if None in layers else max(layers)


def _answered_tasks(config: Config, arm: Arm, stage: Stage, adapter: Adapter) -> Iterable[str]:
    """List the tasks and probes that a stage's adapter answers from now on."""
    if arm.adapters == "one":
        return _scored(config)
    return adapter.learnt_tasks if stage.remedies.afterwards else stage.tasks


def _scored(config: Config) -> list[str]:
    return [*config.active_tasks, *config.probes.item_scored]


def _check_parent(tree: dict[str, Adapter], config: Config, key: str, stage: Stage, parent: str | None) -> None:
    """Refuse a stage whose remedies or optimizer need a parent, or tasks, that it does not have."""
    earlier = [task for task in (tree[parent].learnt_tasks if parent else []) if task not in stage.tasks]
    learns, earlier = ({task: config.tasks[task].kind for task in tasks} for tasks in (stage.tasks, earlier))
    try:
        stage.remedies.check_kinds(learns, earlier)
    except ValueError as error:
        raise InputError(f"config: {key}.{error}") from None
    for kind, remedy in stage.remedies.in_training.items():
        if remedy.needs_parent and parent is None:
            raise InputError(
                f"config: {key}.remedies.{kind} needs an earlier stage, and this one starts from the base model"
            )
        if parent is not None and (remedy.needs_earlier or remedy.makes_items) and not tree[parent].learnt_tasks:
            raise InputError(
                f"config: {key}.remedies.{kind} works on the earlier tasks, and the adapter before names none that it "
                "learnt; name them there with 'learnt'"
            )
    if parent is None or config.stage_training(stage, first=False).optimizer_state != "parent":
        return
    if stage.has_own_lora or any(remedy.new_lora for remedy in stage.remedies.in_training.values()):
        raise InputError(
            f"config: {key} resumes its parent's optimizer (optimizer_state 'parent'), which has no state of the LoRA "
            "that the stage trains beside its parent's; set optimizer_state to 'fresh'"
        )
    for kind, remedy in (stage.remedies.in_training | tree[parent].remedies.in_training).items():
        if remedy.needs_fresh_optimizer:
            raise InputError(
                f"config: {key} resumes its parent's optimizer (optimizer_state 'parent'), which does not go with the "
                f"remedy {kind} of either of them; set optimizer_state to 'fresh'"
            )
    parent_training = tree[parent].training
    if parent_training is None or parent_training.best_metric != "last":
        raise InputError(
            f"config: {key} resumes its parent's last checkpoint (optimizer_state 'parent'), so the parent needs "
            "best_metric 'last' and a training of its own"
        )


def _is_dora(tree: dict[str, Adapter], lineage: str | None) -> bool:
    """Tell if an adapter has the magnitudes of DoRA: those of the last LoRA that a stage of its lineage made."""
    while lineage and (parent := tree[lineage].parent) and not tree[lineage].new_lora:
        lineage = parent
    return lineage is not None and tree[lineage].lora.dora


def _check_plain_lora(tree: dict[str, Adapter], lora: Lora, key: str, stage: Stage, parent: str | None) -> None:
    """Refuse DoRA where plain LoRA is needed: by a remedy, or beside a parent's magnitudes; `lora` is the stage's."""
    new_is_dora, parent_is_dora = lora.dora, _is_dora(tree, parent)
    if parent_is_dora and stage.has_own_lora and not new_is_dora:
        raise InputError(
            f"config: {key} trains a plain LoRA beside its parent's DoRA, whose magnitudes it has no part in; set its "
            "lora.dora to true"
        )
    if not (new_is_dora if parent is None or stage.has_own_lora else parent_is_dora):
        return
    for kind, remedy in stage.remedies.in_training.items():
        if remedy.needs_plain_lora:
            raise InputError(
                f"config: {key}.remedies.{kind} works on the factors of plain LoRA, and not with DoRA; take lora.dora "
                "or the remedy out"
            )


def _add(tree: dict[str, Adapter], adapter: Adapter, arm_name: str, key: str, visited: set[str]) -> None:
    """Add an adapter to the tree, or an arm to the adapter that is there already; `visited` are those of this way."""
    shared = tree.setdefault(adapter.lineage, adapter)
    if shared._settings() != adapter._settings():
        raise InputError(
            f"config: {key} and arm '{shared.arms[0]}' share the folder '{adapter.lineage}' but differ in their "
            "settings; give one of the stages a 'name'"
        )
    if adapter.lineage in visited:
        raise InputError(f"config: {key} repeats the folder '{adapter.lineage}'; give it a 'name'")
    visited.add(adapter.lineage)
    if arm_name not in shared.arms:
        shared.arms.append(arm_name)
