"""EMA: keep the average of the weights along the stage."""

from contextlib import contextmanager
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from stagewise.config.base import Number
from stagewise.remedies.base import Remedy, TrainingContext, TrainingHook

_DEFAULT_DECAY, _DEFAULT_LAST = 0.99, 0.5


class Ema(Remedy):
    """The adapter is the average of its factors over the stage's steps (Polyak & Juditsky 1992; Izmailov et al. 2018).

    The averages are evaluated, chosen by `best_metric` and saved; training goes on from the weights themselves. With
    decay d and weights w_t after step t the average after n steps is the sum of d^(n - t) w_t, divided by the sum of
    d^(n - t): Adam's correction (Kingma & Ba 2015, section 3), so that a short stage is not held at its start.
    """

    paper: ClassVar[str] = "Polyak & Juditsky 1992, doi:10.1137/0330046; Izmailov et al. 2018 (SWA), arXiv:1803.05407"
    needs_fresh_optimizer: ClassVar[bool] = True

    average: Literal["ema", "uniform"] = Field(
        "ema", description="Weights that decay exponentially, or equal ones over the last steps."
    )
    decay: Number | None = Field(
        None,
        gt=0,
        lt=1,
        description="Weight of each step relative to the next; about 1 / (1 - decay) steps count. With `ema` alone "
        f"({_DEFAULT_DECAY}).",
    )
    last: Number | None = Field(
        None,
        gt=0,
        le=1,
        description=f"Share of the stage's steps, the last ones, that are averaged. With `uniform` alone "
        f"({_DEFAULT_LAST}).",
    )

    @model_validator(mode="after")
    def strength_goes_with_average(self):
        if self.average == "uniform" and self.decay is not None:
            raise ValueError("'decay' goes with average: ema; with average: uniform all averaged steps count the same")
        if self.average == "ema" and self.last is not None:
            raise ValueError("'last' goes with average: uniform; with average: ema the decay says which steps count")
        return self

    @property
    def label(self) -> str:
        if self.average == "ema":
            return f"ema-{self.decay or _DEFAULT_DECAY:g}"
        return f"ema-uniform-{100 * (self.last or _DEFAULT_LAST):g}"

    def hook(self, context: TrainingContext) -> TrainingHook:
        return WeightAverage(context, self)


class WeightAverage(TrainingHook):
    """Running mean of the trainable weights, which takes the model's place when it is evaluated or saved."""

    def __init__(self, context: TrainingContext, settings: Ema):
        self.weights = [weight for _, weight in sorted(context.model.named_parameters()) if weight.requires_grad]
        self.averages = [weight.detach().clone() for weight in self.weights]
        self.decay = (settings.decay or _DEFAULT_DECAY) if settings.average == "ema" else 1.0
        skipped = context.steps - max(1, round((settings.last or _DEFAULT_LAST) * context.steps))
        self.skipped = 0 if settings.average == "ema" else skipped
        self.step = 0

    def observe_step(self) -> None:
        """Take in the weights after a step: mean_n = mean_{n-1} + (w_n - mean_{n-1}) / (1 + d + ... + d^(n-1))."""
        self.step += 1
        number = max(1, self.step - self.skipped)  # the first one replaces what was there
        total = number if self.decay == 1 else (1 - self.decay**number) / (1 - self.decay)
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.lerp_(weight.detach(), 1 / total)

    @contextmanager
    def evaluated_weights(self):
        trained = [weight.detach().clone() for weight in self.weights]
        self._put(self.averages)
        try:
            yield
        finally:
            self._put(trained)

    def state(self):
        import torch

        state = {"step": torch.tensor(self.step)}
        for number, (average, weight) in enumerate(zip(self.averages, self.weights, strict=True)):
            state |= {f"average.{number}": average, f"trained.{number}": weight.detach()}
        return state

    def load_state(self, state) -> None:
        self.step = int(state["step"])
        for number, average in enumerate(self.averages):
            average.copy_(state[f"average.{number}"])
        self._put([state[f"trained.{number}"] for number in range(len(self.weights))])

    def _put(self, values) -> None:
        import torch

        with torch.no_grad():
            for weight, value in zip(self.weights, values, strict=True):
                weight.copy_(value)
