"""Summary of a finished training, for ``training.json``. Importing this module imports no torch."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from stagewise.training.arguments import steps_of_epochs

if TYPE_CHECKING:
    from stagewise.config.training import RecipeTraining
    from stagewise.remedies.base import TrainingHook
    from stagewise.training.audit import WeightsAudit
    from stagewise.training.stage import Stage
    from stagewise.training.trainer import StageTrainer


def summarize(
    stage: "Stage", trainer: "StageTrainer", hooks: list["TrainingHook"], audit: "WeightsAudit", seconds: float
) -> dict:
    """Summarize the training for ``training.json``."""
    from stagewise.provenance.packages import package_versions
    from stagewise.training.audit import device_name
    from stagewise.training.checkpoints import kept_checkpoint
    from stagewise.training.training_log import summarize_log

    recipe, data, processes = stage.job.recipe, stage.data, stage.share.count
    made = data.pseudo_items.values()
    kept, is_best = kept_checkpoint(stage.cached, trainer.state)
    return {
        "fingerprint": recipe.fingerprint,
        "lineage": recipe.lineage,
        "task": recipe.task_name,
        "steps": trainer.state.global_step,
        "planned_steps": stage.steps,
        "epochs": _epochs(recipe.training, data.items, trainer.state.global_step),
        **summarize_log(_stage_history(trainer), recipe.training.best_metric, kept.step if is_best else None),
        "validation_answers": {task: " ".join(map(str, codes)) for task, codes in kept.validation_answers.items()},
        "seconds": round(seconds + sum(stored.seconds for stored in made), 3),
        "tokens": trainer.all_tokens,
        "extra_tokens": trainer.extra_tokens
        + sum(hook.extra_tokens for hook in hooks)
        + sum(stored.tokens for stored in made),
        "tokens_per_second": round(trainer.trained_tokens / (seconds - trainer.evaluation_seconds), 1),
        "peak_memory_bytes": audit.peak_memory_bytes,
        "trainable_parameters": audit.trainable_parameters - sum(hook.frozen_parameters for hook in hooks),
        "items": len(data.rows),
        "rehearsed": data.rehearsed,
        "generated": sum(len(items) for stored in made for items in stored.items.values()),
        "shortened": data.shortened,
        "control_tokens": data.control_tokens,
        "processes": processes,
        **asdict(stage.passes),
        "device": (f"{processes} × " if processes > 1 else "") + device_name(),
        "dtype": recipe.dtype,
        "resumed_from_step": stage.checkpoint.step if stage.checkpoint else None,
        "packages": package_versions(),
    }


def _epochs(training: "RecipeTraining", items: list[int], steps: int) -> float:
    """Compute the passes over the training items that so many steps are."""
    planned = steps_of_epochs(training, items)
    return training.epochs if steps == planned else round(training.epochs * steps / planned, 4)


def _stage_history(trainer: "StageTrainer") -> list[dict]:
    """Log history of the stage alone; a training that resumes its parent's step count has the parent's log as well."""
    before = trainer.steps_before
    return [entry for entry in trainer.state.log_history if not before or entry["step"] > before]
