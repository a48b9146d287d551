"""Checks of the steps of each stage: warm-up, evaluations, an optimizer that goes on."""

import math

from stagewise.lineage import Adapter
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context
from stagewise.training.arguments import steps_of_epochs, total_steps


@check("steps", "splits", step="training")
def check_steps(context: Context):
    """Every stage has steps that change its adapter, and evaluations."""
    numbers = {a.lineage: total_steps(a.training, _items(context, a)) for a in context.trainings}
    for adapter in context.trainings:
        steps, parent = numbers[adapter.lineage], numbers.get(adapter.parent)
        yield from _warm_up(adapter, steps)
        yield from _evaluations(adapter, steps)
        yield from _early_stopping(adapter, steps, steps_of_epochs(adapter.training, _items(context, adapter)))
        if adapter.training.optimizer_state == "parent" and parent is not None and parent >= steps:
            yield Finding(
                f"{_short(adapter)}: {steps} after {parent}",
                "failure",
                f"config: {_short(adapter)} resumes its parent's count of {parent} steps (training.optimizer_state "
                f"'parent') and has {steps}, so nothing would be trained; give it more epochs or set it to 'fresh'",
            )
    at_most = {a.lineage: "at most " if a.training.early_stopping else "" for a in context.trainings}
    yield Finding(", ".join(f"{name.rpartition('/')[2]} {at_most[name]}{steps}" for name, steps in numbers.items()))


def _items(context: Context, adapter: Adapter) -> list[int]:
    return [len(context.items(task, "train")) for task in adapter.tasks]


def _short(adapter: Adapter) -> str:
    return f"the stage {adapter.lineage.rpartition('/')[2]} ({', '.join(adapter.arms)})"


def _warm_up(adapter: Adapter, steps: int):
    training = adapter.training
    if training.scheduler == "constant" or training.optimizer_state == "parent":
        return
    warm_up = math.ceil(training.warmup_ratio * steps)  # as transformers rounds it
    way = "give it more items or epochs, a smaller batch, or training.warmup_ratio 0"
    if warm_up and steps == 1:
        # The first step's learning rate is 0.
        yield Finding(
            f"{_short(adapter)}: 1, a warm-up",
            "failure",
            f"config: {_short(adapter)} has one optimizer step, whose learning rate is 0 (training.warmup_ratio "
            f"{training.warmup_ratio:g}), so nothing would be trained; {way}",
        )
    elif warm_up >= steps:
        yield Finding(
            f"{_short(adapter)}: {steps}, all of them warm-up",
            "warning",
            f"config: {_short(adapter)} warms up over all of its {steps} steps and never reaches its learning rate "
            f"(training.warmup_ratio {training.warmup_ratio:g}); {way}",
        )


def _evaluations(adapter: Adapter, steps: int):
    training = adapter.training
    if training.eval_every == "epoch" or training.eval_every <= steps:
        return
    ending = "is not evaluated" if training.best_metric == "last" else "is evaluated at its end alone"
    yield Finding(
        f"{_short(adapter)}: {steps}, evaluated every {training.eval_every}",
        "warning",
        f"config: {_short(adapter)} has {steps} steps and training.eval_every is {training.eval_every}, so it "
        f"{ending}; lower eval_every or set it to 'epoch'",
    )


def _early_stopping(adapter: Adapter, steps: int, of_epochs: int):
    training, rule = adapter.training, adapter.training.early_stopping
    interval = of_epochs / training.epochs if training.eval_every == "epoch" else training.eval_every
    if rule is None or (rule.patience + 1) * interval < steps:  # the first evaluation has nothing to be better than
        return
    yield Finding(
        f"{_short(adapter)}: {steps}, never stopped early",
        "warning",
        f"config: {_short(adapter)} has {steps} steps and an evaluation every {interval:g}, so that "
        f"training.early_stopping.patience {rule.patience} never ends it early; lower the patience or "
        "training.eval_every",
    )
