"""Training of one stage, from its recipe to a finished adapter.

A finished training is cached under its fingerprint beside its checkpoints: running the step again copies it in a
second, an interrupted training resumes, and a changed recipe never meets a stale checkpoint.
"""

import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.errors import InputError, Unfinished
from stagewise.inference.control_tokens import describe_control_tokens
from stagewise.models.adapter_settings import base_model_settings
from stagewise.models.gpu_lock import take_gpus
from stagewise.models.shared_base import SharedBase
from stagewise.provenance.cache import adapter_cache
from stagewise.training.distributed import (
    check_processes,
    init_distributed,
    launch_processes,
    process_count,
    process_index,
)
from stagewise.training.job import AdapterJob, get_or_make, is_worked_on
from stagewise.training.pass_choice import gather_pass_choice
from stagewise.training.passes import agreed_by_all
from stagewise.training.siblings import SharedTraining, read_siblings
from stagewise.training.stage import RunOptions, Stage
from stagewise.training.summary import summarize

if TYPE_CHECKING:
    from stagewise.remedies.base import Row, TrainingHook
    from stagewise.training.trainer import StageTrainer


def train_adapter(job: AdapterJob, options: RunOptions) -> None:
    """Put the adapter of a recipe at the job's output: from the cache, or by training it.

    Raises
    ------
    InputError
        If the recipe is of a merged adapter, a step has fewer items than there are processes, the training diverges, or
        not even one item fits into memory.
    Unfinished
        If the training stopped at a checkpoint before its time limit, on SIGTERM, or because one of several processes
        ran out of memory.
    """
    training = job.recipe.training
    if not training:
        if job.recipe.adopted:
            raise InputError(f"{job.recipe_file}: this adapter is taken from elsewhere; see scripts.adopt_adapter")
        raise InputError(f"{job.recipe_file}: this adapter is merged from others; see scripts.merge_adapters")
    if options.processes < 1:
        raise InputError(f"--processes must be at least 1 (got {options.processes})")
    # In the processes that the launcher has started, its number counts.
    launched = process_count() > 1
    processes = process_count() if launched else options.processes
    check_processes(training.items_per_step, processes)

    if processes > 1:
        _train_together(job, options, None if launched else processes)
    else:
        _train_alone(job, options)


def _train_together(job: AdapterJob, options: RunOptions, to_launch: int | None) -> None:
    """Train as one of several processes; or launch so many, which then do this job."""

    def launch() -> None:
        left = options.limit.minutes_left  # the clock goes on, whatever was waited for
        limit = [] if left is None else ["--time-limit", str(left)]
        launch_processes(
            to_launch, "scripts.train_adapter", [*options.command, *limit], job.name, options.limit.deadline
        )

    base = SharedBase(job.model_dir, job.recipe.quantization, job.recipe.dtype, options.kept_layers)
    make = partial(train_stage, job, options, base)
    get_or_make(job, make, launch if to_launch else None, options.limit.deadline)


def _train_alone(job: AdapterJob, options: RunOptions) -> None:
    """Train, score, and do the same for siblings as far as the options allow; the job's adapter comes first.

    If another process works on the job's adapter, siblings are trained while it does.
    """
    # A process that has a GPU may wait for an adapter's lock, but none that has such a lock for a GPU.
    if not (job.cached / "adapter").exists():
        take_gpus(1, job.name, options.limit.deadline)
    base = SharedBase(job.model_dir, job.recipe.quantization, job.recipe.dtype, options.kept_layers)
    shared = SharedTraining(
        job,
        base,
        lambda job, cached: train_stage(job, options, base, cached),
        options.limit,
        options.scorer,
        read_siblings(options.siblings, job.recipe_file, options.report_to),
        options.trainings,
    )
    shared.train_siblings(lambda: is_worked_on(job))
    if options.limit.terminated:
        raise Unfinished(f"{job.recipe.lineage}: stopped, {options.limit.reason()}; run it again")
    if get_or_make(job, shared.train(job), deadline=options.limit.deadline):
        with options.limit.heeding_sigterm():
            shared.score(job)
            shared.train_siblings()


def train_stage(job: AdapterJob, options: RunOptions, base: SharedBase, cached: Path) -> None:
    """Train one stage, or resume its training, and leave the finished adapter in the cache."""
    from stagewise.models.torch_environment import import_libraries

    import_libraries("stagewise.training.trainer", quantization=job.recipe.quantization)
    processes = init_distributed()

    stage = prepare_stage(job, options, base, cached, processes)
    while smaller := train_unless_out_of_memory(stage, processes):
        stage = smaller


def train_unless_out_of_memory(stage: Stage, processes) -> Stage | None:
    """Train a stage; if memory runs out, return it with smaller passes, to go on from its last checkpoint.

    Raises
    ------
    InputError
        If it cannot do with smaller ones.
    Unfinished
        If it can, but other processes train along, which wait in vain for this one.
    """
    from stagewise.models.out_of_memory import is_out_of_memory, release_memory
    from stagewise.training.checkpointed import ScoringOutOfMemory
    from stagewise.training.checkpoints import CheckpointFolder

    try:
        return train_prepared(stage, processes)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        scoring = isinstance(error, ScoringOutOfMemory)
    release_memory()  # the trainer is gone with the error that held it
    passes = stage.choice.after(stage.passes, scoring)
    said = f"{stage.job.recipe.lineage}: out of memory with {stage.passes}; "
    goes_on = f"goes on with {passes}" + (f" and {passes.tokens_per_batch} tokens a scoring batch" if scoring else "")
    if stage.share.count > 1:
        raise Unfinished(f"{said}the same command {goes_on}")
    print(f"{said}it {goes_on}", file=sys.stderr)
    return replace(stage, passes=passes, checkpoint=CheckpointFolder(stage.cached).last() or stage.checkpoint)


def train_prepared(stage: Stage, processes) -> None:
    """Train a stage that is ready, and leave the finished adapter in the cache."""
    from stagewise.training.audit import UnchangedAdapter, audit_weights, freezes_whole_base
    from stagewise.training.stage_data import training_hooks

    job, options, base, cached = stage.job, stage.options, stage.base, stage.cached
    with tempfile.TemporaryDirectory() as temporary:
        trainer = build_trainer(stage, scratch=cached if processes.is_main_process else Path(temporary))
    if processes.is_main_process:
        announce(stage)
    try:
        is_shared = freezes_whole_base(trainer.model)
        digest = base.weights_digest if is_shared else None
        with options.limit.heeding_sigterm(), audit_weights(trainer.model, digest) as audit:
            started = time.monotonic()
            hooks = training_hooks(
                job.recipe, stage.data, trainer.model, stage.tokenizer, stage.steps, trainer.frozen_layers
            )
            run_or_resume(stage, trainer, hooks)
            seconds = time.monotonic() - started
        if is_shared:
            base.weights_digest = audit.frozen_digest
    except UnchangedAdapter:
        raise InputError(
            f"{job.recipe_file}: {stage.steps} steps changed no weight of the adapter (the warm-up starts at a "
            "learning rate of 0); give it more items or epochs, a smaller batch, or training.warmup_ratio 0"
        ) from None
    processes.destroy_process_group()
    if processes.is_main_process:
        summary = summarize(stage, trainer, hooks, audit, seconds)
        save_trained(stage, trainer, summary)


def prepare_stage(job: AdapterJob, options: RunOptions, base: SharedBase, cached: Path, processes) -> Stage:
    """Load the stage's data, choose its passes, and find the checkpoint to go on from."""
    from stagewise.models.load import load_tokenizer
    from stagewise.training.arguments import total_steps
    from stagewise.training.checkpoints import CheckpointFolder, parent_checkpoint
    from stagewise.training.pseudo_items import get_or_make_items
    from stagewise.training.stage_data import build_encoder, load_stage_data

    recipe, training = job.recipe, job.recipe.training
    tokenizer = load_tokenizer(job.model_dir)
    encoder = partial(build_encoder, recipe, tokenizer)
    with processes.main_process_first():  # it makes them, the others read them
        pseudo_items = get_or_make_items(recipe, encoder, base, next(iter(job.parent_dirs), None), cached)
    data = load_stage_data(recipe, tokenizer, job.data_dir, pseudo_items)
    steps = total_steps(training, data.items)
    with processes.main_process_first():  # it tidies up, the others find the folder tidy
        cached.mkdir(parents=True, exist_ok=True)
        checkpoint = CheckpointFolder(cached).last()
        if checkpoint is None and training.optimizer_state == "parent":
            (parent,) = job.parent_receipts
            parent_cached = adapter_cache(job.checkpoints, parent["inputs"], parent.get("image"))
            checkpoint = parent_checkpoint(parent_cached, steps, job.recipe_file)
    longest = max(len(row["input_ids"]) for row in data.rows)
    choice = gather_pass_choice(job, cached, options.passes, options.tokens_per_batch, longest)
    passes = agreed_by_all(choice.first())
    return Stage(job, options, base, cached, tokenizer, data, choice, passes, steps, checkpoint)


def build_trainer(stage: Stage, scratch: Path) -> "StageTrainer":
    """Take the base model, put the starting adapter on it, and build the trainer around both."""
    import torch
    from datasets import Dataset

    from stagewise.training.arguments import sft_config
    from stagewise.training.audit import reset_peak_memory
    from stagewise.training.checkpoints import CheckpointFolder
    from stagewise.training.early_stopping import StoppingRule
    from stagewise.training.loss_kernels import choose_loss_kernels
    from stagewise.training.sampling import Collator
    from stagewise.training.stage_data import initial_adapter
    from stagewise.training.trainer import StageTrainer

    recipe, data = stage.job.recipe, stage.data
    is_reused = stage.base.is_loaded
    base = stage.base.take()
    if is_reused:
        reset_peak_memory()
    torch.manual_seed(recipe.seed)  # a new adapter's weights are drawn from here on
    if (notice := choose_loss_kernels(base.device)) and not process_index():
        print(f"{recipe.lineage}: {notice}", file=sys.stderr)
    model, lora_config = initial_adapter(recipe, base, next(iter(stage.job.parent_dirs), None), scratch)
    trainer = StageTrainer(
        model=model,
        args=sft_config(
            recipe.training,
            stage.share,
            gradient_checkpointing=stage.passes.gradient_checkpointing,
            seed=recipe.seed,
            steps=stage.steps,
            output_dir=stage.cached,
            use_cpu=base.device.type == "cpu",
            resumed=stage.checkpoint is not None,
            log_steps=stage.options.log_steps,
            report_to=stage.options.report_to,
        ),
        train_dataset=Dataset.from_list(_as_examples(data.rows, numbered=True)),
        eval_dataset=Dataset.from_list(_as_examples(data.validation_rows, numbered=False)),
        data_collator=Collator(stage.tokenizer.pad_token_id),
        processing_class=stage.tokenizer,
        peft_config=lora_config,
        name=recipe.lineage,
        checkpoints=CheckpointFolder(stage.cached),
        start=stage.checkpoint,
        limit=stage.options.limit,
        stopping_rule=StoppingRule.of(recipe.training),
        share=stage.share,
        validation=data.validation,
        earlier_validation=data.earlier_validation,
        tokens_per_batch=stage.passes.tokens_per_batch,
        loss_on=recipe.training.loss_on,
    )
    # PEFT would store this machine's path to the base model, in checkpoints too.
    config = trainer.model.peft_config["default"]
    for key, value in base_model_settings(recipe.model.name, recipe.model.origin).items():
        setattr(config, key, value)
    for key in ("target_modules", "exclude_modules"):
        if isinstance(names := getattr(config, key), set):
            setattr(config, key, sorted(names))  # a set has no order of its own
    if dropped := len(data.rows) - len(trainer.train_dataset):
        raise InputError(f"{stage.job.data_dir}: {dropped} training items were dropped")
    trainer.use_frozen_layers(stage.base.frozen_layers(trainer.model, training=True))
    return trainer


def _as_examples(rows: list["Row"], numbered: bool) -> list[dict]:
    return [
        {"input_ids": row["input_ids"], "labels": row["labels"], "row": number if numbered else -1}
        for number, row in enumerate(rows)
    ]


def announce(stage: Stage) -> None:
    """Print one line on what is trained."""
    line = f"{stage.job.recipe.lineage}: {sum(stage.data.items)} items"
    line += f" and {stage.data.rehearsed} of earlier tasks" if stage.data.rehearsed else ""
    limit = "at most " if stage.job.recipe.training.early_stopping else ""
    line += f", {limit}{stage.steps} steps of {stage.share.items} items, {stage.passes}"
    line += f", on {stage.share.count} processes" if stage.share.count > 1 else ""
    if stage.checkpoint:
        line += f", resumed from step {stage.checkpoint.step}"
        if (before := stage.checkpoint.facts["processes"]) != stage.share.count:
            line += f" of {before} process{'es' if before > 1 else ''}, so that dropout's draws start anew"
    print(line, file=sys.stderr)
    if control_tokens := sum(stage.data.control_tokens.values()):
        print(f"{stage.job.recipe.lineage}: {describe_control_tokens(control_tokens)}", file=sys.stderr)


def run_or_resume(stage: Stage, trainer: "StageTrainer", hooks: list["TrainingHook"]) -> None:
    """Train to the end, from the checkpoint if there is one."""
    from accelerate.utils import set_seed

    trainer.add_hooks(hooks)
    if stage.share.count > 1:
        set_seed(stage.job.recipe.seed, device_specific=True)  # each process drops out other weights
    trainer.train(resume_from_checkpoint=str(stage.checkpoint.folder) if stage.checkpoint else None)


def save_trained(stage: Stage, trainer: "StageTrainer", summary: dict) -> None:
    """Save the trained adapter, its log and its summary in the cache."""
    from stagewise.training.event_files import rename_event_files
    from stagewise.training.save_adapter import save_adapter
    from stagewise.training.training_log import tidy_log

    rename_event_files(stage.cached)
    log = tidy_log(trainer.state.log_history)
    save_adapter(stage.job, stage.cached, summary, stage.tokenizer, trainer.save_weights, log)
    stage.choice.finish()
