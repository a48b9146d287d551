"""Arguments of TRL's trainer, and checks of the model they are used with."""

import math

from stagewise.config.training import Training
from stagewise.errors import InputError
from stagewise.training.distributed import Split

_BEST = {"loss": ("eval_loss", False), "accuracy": ("eval_accuracy", True), "macro_f1": ("eval_macro_f1", True)}


def total_steps(training: Training, items: list[int]) -> int:
    """Optimizer steps of a stage on tasks of so many items each: as many as one stage after the other would take."""
    batch = training.batch_size * training.gradient_accumulation
    return sum(math.ceil(math.ceil(count / batch) * training.epochs) for count in items)


def sft_config(
    training: Training,
    split: Split,
    seed: int,
    total: int,
    output_dir,
    use_cpu: bool,
    log_steps: int,
    report_to,
    resumed: bool,
):
    """TRL's arguments for one stage of `total` optimizer steps."""
    import trl

    # A best checkpoint needs at least one evaluation, at the end where the stage is shorter than the interval.
    per_epoch = training.eval_every == "epoch"
    every = training.eval_every if per_epoch or training.best_metric == "last" else min(training.eval_every, total)
    metric, greater = _BEST.get(training.best_metric, (None, None))
    return trl.SFTConfig(
        output_dir=str(output_dir),
        max_steps=total,
        per_device_train_batch_size=split.batch_size,
        per_device_eval_batch_size=training.batch_size,
        gradient_accumulation_steps=split.accumulation,
        ddp_find_unused_parameters=False,  # every pass uses the whole adapter
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.scheduler,
        warmup_steps=training.warmup_ratio,  # below 1 it is a ratio
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        max_length=None,  # items are shortened before, so that no answer is cut and none is dropped
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,  # a row's number tells remedies which one it is
        train_sampling_strategy="group_by_length" if training.group_by_length else "random",
        activation_checkpointing=training.gradient_checkpointing,
        activation_offloading=False,
        bf16=False,  # the base model is loaded in the compute type; adapters stay in float32
        use_cpu=use_cpu,
        seed=seed,
        data_seed=seed,
        eval_on_start=not resumed,  # what the parent knows before the stage begins
        eval_strategy="epoch" if per_epoch else "steps",
        save_strategy="epoch" if per_epoch else "steps",
        eval_steps=None if per_epoch else every,
        save_steps=500 if per_epoch else every,
        save_total_limit=2,
        load_best_model_at_end=metric is not None,
        metric_for_best_model=metric,
        greater_is_better=greater,
        logging_steps=log_steps,
        logging_first_step=True,
        report_to=list(report_to),
        dataloader_pin_memory=not use_cpu,
    )


def check_target_modules(model, names: list[str]) -> None:
    """Refuse a name that matches no layer; PEFT ignores one as long as another matches."""
    layers = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    for name in names:
        if name not in layers:
            raise InputError(f"config: lora.target_modules names '{name}', which no layer of the base model is called")
