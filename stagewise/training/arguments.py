"""Arguments of TRL's trainer."""

import math

from stagewise.config.training import RecipeTraining, Training
from stagewise.measures import MEASURES
from stagewise.training.distributed import StepShare

# Key in the trainer's log and direction of each metric that may pick the checkpoint.
BEST_METRICS = {"loss": ("eval_loss", False)}
BEST_METRICS |= {name: (f"eval_{name}", measure.higher_is_better) for name, measure in MEASURES.items()}


def total_steps(training: Training | RecipeTraining, items: list[int]) -> int:
    """Compute the optimizer steps that are planned for a stage: those of its epochs, `max_steps` at most."""
    return min(steps_of_epochs(training, items), training.max_steps or math.inf)


def steps_of_epochs(training: Training | RecipeTraining, items: list[int]) -> int:
    """Compute the steps of a stage's epochs: as many as its tasks, with that many items, would take one by one."""
    return sum(math.ceil(math.ceil(count / training.items_per_step) * training.epochs) for count in items)


def sft_config(
    training: RecipeTraining,
    share: StepShare,
    *,
    gradient_checkpointing: bool,
    seed: int,
    steps: int,
    output_dir,
    use_cpu: bool,
    resumed: bool,
    log_steps: int = 5,
    report_to=(),
):
    """Build TRL's arguments for one stage of `steps` optimizer steps."""
    import trl

    return trl.SFTConfig(
        output_dir=str(output_dir),
        max_steps=steps,
        per_device_train_batch_size=share.micro_batch,
        per_device_eval_batch_size=share.micro_batch,
        gradient_accumulation_steps=share.passes,
        ddp_find_unused_parameters=False,  # every pass uses the whole adapter
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.scheduler,
        warmup_steps=training.warmup_ratio,  # below 1 it is a ratio
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        max_length=None,  # items are shortened before, so that no answer is cut and none is dropped
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,  # remedies need the number of each row
        train_sampling_strategy="group_by_length" if training.group_by_length else "random",
        activation_checkpointing=gradient_checkpointing,
        activation_offloading=False,
        router_aux_loss_coef=0.0,  # routers of experts are not trained, and the loss is the answers' alone
        bf16=False,  # the base model is loaded in the compute type, and passes run in `models.load.compute_context`
        use_cpu=use_cpu,
        seed=seed,
        data_seed=seed,
        eval_on_start=not resumed,  # figures of the parent, before the stage begins
        logging_steps=log_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would log a diverged training as a loss of 0
        report_to=list(report_to),
        dataloader_pin_memory=not use_cpu,
        **_evaluation_arguments(training, steps),
    )


def _evaluation_arguments(training: RecipeTraining, steps: int) -> dict:
    """Arguments on evaluations and checkpoints."""
    metric, greater = BEST_METRICS.get(training.best_metric, (None, None))
    arguments = {
        "load_best_model_at_end": metric is not None,
        "metric_for_best_model": metric,
        "greater_is_better": greater,
    }
    if training.eval_every == "epoch":
        return arguments | {"eval_strategy": "epoch", "save_strategy": "epoch"}
    # A best checkpoint needs at least one evaluation, at the end if the stage is shorter than the interval.
    interval = training.eval_every if training.best_metric == "last" else min(training.eval_every, steps)
    return arguments | {
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": interval,
        "save_steps": interval,
    }
