"""Early stopping, decided by the training log alone, which every checkpoint holds.

transformers' own callback looks at what the evaluation loop returns; the measures of labels are computed after it. It
also counts in a state of its own, which a stage that resumes its parent's optimizer would go on with. Importing this
module imports no torch.
"""

from dataclasses import dataclass

from stagewise.config.training import EarlyStopping, RecipeTraining
from stagewise.training.arguments import BEST_METRICS


def evaluations_without_improvement(history: list[dict], best_metric: str, min_delta: float, after: int = 0) -> int:
    """Count the evaluations since the last one that improved.

    Parameters
    ----------
    history
        The trainer's log history.
    best_metric
        Metric that picks the checkpoint.
    min_delta
        An evaluation improves if it is better by more than this than the last one that improved; the first one always
        does.
    after
        Step before the stage's first one. The evaluation before training counts as none: its weights are not kept.
    """
    key, greater_is_better = BEST_METRICS[best_metric]
    sign = 1 if greater_is_better else -1
    # Of two entries for one step, the later one counts.
    values = {entry["step"]: sign * entry[key] for entry in history if key in entry and entry["step"] > after}
    best, count = None, 0
    for _, value in sorted(values.items()):
        if best is None or value > best + min_delta:
            best, count = value, 0
        else:
            count += 1
    return count


@dataclass(frozen=True)
class StoppingRule:
    """When a training is over before its last step."""

    settings: EarlyStopping
    best_metric: str

    @classmethod
    def of(cls, training: RecipeTraining) -> "StoppingRule | None":
        """The rule of a stage; None if it never stops early."""
        return cls(training.early_stopping, training.best_metric) if training.early_stopping else None

    def is_over(self, history: list[dict], after: int) -> bool:
        """Tell if a training with this log is over, see `evaluations_without_improvement`."""
        count = evaluations_without_improvement(history, self.best_metric, self.settings.min_delta, after)
        return count >= self.settings.patience

    @property
    def reason(self) -> str:
        """Say why the training is over."""
        count = self.settings.patience
        return f"early stopping, {count} evaluation{'s' if count > 1 else ''} without a better {self.best_metric}"
