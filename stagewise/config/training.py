"""Settings of prompts, LoRA, training and its logs."""

import math
from typing import Annotated, Literal

from pydantic import Field, create_model, field_validator, model_validator

from stagewise.config.base import MAX_COUNT, MaxLength, Number, Settings, Whole, if_set
from stagewise.measures import LABEL_MEASURES

# Arguments of transformers' `apply_chat_template` and of the templates that are no free variables.
_CHAT_ARGUMENTS = {
    "add_generation_prompt",
    "chat_template",
    "continue_final_message",
    "conversation",
    "documents",
    "max_length",
    "messages",
    "padding",
    "return_assistant_tokens_mask",
    "return_dict",
    "return_tensors",
    "sanitize_control_tokens",
    "tokenize",
    "tokenizer_kwargs",
    "tools",
    "truncation",
}


class Prompting(Settings):
    """Form of a filled prompt as the model's input."""

    format: Literal["chat", "plain"] = Field(
        "chat",
        description="`chat`: the model's chat template. `plain`: prompt, a space, answer (as in the published "
        "experiment).",
    )
    system: str | None = Field(
        None,
        description="System message of the chat; null leaves it to the chat template. Empty text is an empty message, "
        "and none if the template takes none.",
    )
    template: dict[str, str | int | float | bool | list[str]] = Field(
        {},
        description="Variables that the model's chat template reads, such as `date_string`, `enable_thinking`, "
        "`reasoning_effort` or `builtin_tools`. A text for `strftime_now` stands wherever the template would write "
        "the current date.",
    )

    @field_validator("template")
    @classmethod
    def free_names(cls, template):
        if taken := sorted(_CHAT_ARGUMENTS & set(template)):
            raise ValueError(f"'{taken[0]}' is set by the workflow itself; take it out")
        return template


ALL_LINEAR = "all-linear"
"""Value of `lora.target_modules` that stands for every linear layer of the model."""


class Lora(Settings):
    """LoRA adapters (Hu et al. 2021, arXiv:2106.09685)."""

    r: Whole = Field(16, ge=1, le=4096, description="Rank.")
    alpha: Whole = Field(
        32,
        ge=1,
        le=1_000_000,
        description="Scaling numerator; the update is scaled by alpha / r, with `rslora` by alpha / sqrt(r).",
    )
    dropout: Number = Field(0.05, ge=0, lt=1, description="Dropout on the adapter's input.")
    target_modules: Literal["all-linear"] | Annotated[list[str], Field(min_length=1)] = Field(
        ALL_LINEAR,
        description="Linear layers that get an adapter: `all-linear`, or a list of names. `all-linear` leaves out the "
        "output head, routers of experts, and layers that Mamba's kernels read without their adapter. Recipes hold the "
        "names that it stands for.",
    )
    last_layers: Annotated[Whole, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="Adapt only the last N decoder layers: the others need no backward pass, and on a CPU their output "
        "is computed once per item, so training and scoring are faster. Null adapts all.",
    )
    dora: bool = if_set(
        False,
        "DoRA (Liu et al. 2024, arXiv:2402.09353): a magnitude for each output of a layer is trained beside the "
        "factors, which then change directions alone. A step takes longer, and remedies that work on the factors of "
        "LoRA do not go with it.",
    )
    rslora: bool = if_set(
        False,
        "rsLoRA (Kalajdzievski 2023, arXiv:2312.03732): the update is scaled by alpha / sqrt(r), so that a higher rank "
        "does not slow learning down.",
    )

    @property
    def scaling(self) -> float:
        """Factor on B A."""
        return self.alpha / (math.sqrt(self.r) if self.rslora else self.r)


class EarlyStopping(Settings):
    """When a training stops before its last step."""

    patience: Whole = Field(
        ge=1, le=MAX_COUNT, description="Evaluations in a row without improvement of `best_metric` after which to stop."
    )
    min_delta: Number = Field(
        0.0,
        ge=0,
        le=MAX_COUNT,
        description="An evaluation improves if it is better by more than this than the best one before that did.",
    )


class Training(Settings):
    """Training of a stage."""

    epochs: Number = Field(3, gt=0, le=10_000, description="Passes over the training items.")
    max_steps: Annotated[Whole, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None,
        exclude_if=lambda value: value is None,  # so that results of older versions stay current
        description="Optimizer steps at most, if `epochs` would take more. The learning-rate schedule and the warm-up "
        "are over the steps that are left. Null limits nothing.",
    )
    batch_size: Whole = Field(
        8,
        ge=1,
        le=65_536,
        description="Items of an optimizer step: `batch_size` times `gradient_accumulation`. Only this product is part "
        "of the experiment; `batch_size` alone is the number of items per forward pass on a CPU, if the profile names "
        "no other.",
    )
    gradient_accumulation: Whole = Field(2, ge=1, le=65_536, description="See `batch_size`.")
    learning_rate: Number = Field(2e-4, gt=0, le=1e38, description="Peak learning rate.")
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        "cosine", description="Learning-rate schedule."
    )
    warmup_ratio: Number = Field(0.03, ge=0, lt=1, description="Share of the steps spent warming up.")
    weight_decay: Number = Field(0.0, ge=0, le=100, description="AdamW weight decay.")
    max_grad_norm: Number = Field(1.0, gt=0, le=MAX_COUNT, description="Gradient clipping norm.")
    max_length: MaxLength = Field(
        1024,
        description="Tokens of prompt and answer together; `tasks.<name>.max_length` takes its place for a task.",
    )
    loss_on: Literal["answer", "text"] = Field(
        "answer",
        description="Tokens that the loss counts: the answer, or prompt and answer (as in the published experiment).",
    )
    group_by_length: bool = Field(True, description="Batch items of similar length, which reduces padding.")
    gradient_checkpointing: bool = Field(
        False,
        description="Recompute activations to save memory; changes no result. If false, it is done where one item does "
        "not fit into memory otherwise, or if the profile says so.",
    )
    eval_every: Annotated[Whole, Field(ge=1, le=MAX_COUNT)] | Literal["epoch"] = Field(
        "epoch", description="Evaluate and save a checkpoint every N steps, or every epoch."
    )
    best_metric: Literal["loss", *LABEL_MEASURES, "last"] = Field(
        "loss",
        description="Validation metric that picks the checkpoint, over the tasks that the stage learns; `last` keeps "
        "the final one.",
    )
    early_stopping: EarlyStopping | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="Stop where `best_metric` no longer improves. The learning-rate schedule is over the planned "
        "steps, so that it is cut off. Null never stops early; not with `best_metric: last`.",
    )
    optimizer_state: Literal["fresh", "parent"] = Field(
        "fresh",
        description="A later stage starts with a fresh optimizer, schedule and step count, or resumes its parent's "
        "(as in the published experiment).",
    )

    @model_validator(mode="after")
    def early_stopping_is_possible(self):
        if self.early_stopping is not None and self.best_metric == "last":
            raise ValueError(
                "early_stopping goes by best_metric, which is 'last': name a metric there, or take early_stopping out"
            )
        return self

    @property
    def items_per_step(self) -> int:
        """Items of an optimizer step."""
        return self.batch_size * self.gradient_accumulation


# Settings that say how training runs; of these, the items of a step alone are part of the experiment.
WAYS_TO_RUN = ("batch_size", "gradient_accumulation", "gradient_checkpointing")


class _StepItems(Settings):
    items_per_step: Whole = Field(ge=1, description="Items of an optimizer step, however it is split.")

    @model_validator(mode="before")
    @classmethod
    def of_training_settings(cls, values):
        """Accept training settings too, also those in recipes of older versions."""
        values = values.model_dump() if isinstance(values, Training) else values
        if not isinstance(values, dict) or "items_per_step" in values:
            return values
        sizes = {name: values.get(name, Training.model_fields[name].default) for name in WAYS_TO_RUN[:2]}
        rest = {name: value for name, value in values.items() if name not in WAYS_TO_RUN}
        return {"items_per_step": math.prod(sizes.values())} | rest


# Settings that determine a training's result, as a recipe holds them.
RecipeTraining = create_model(
    "RecipeTraining",
    __base__=_StepItems,
    **{
        name: (Annotated[field.annotation, Field(), *field.metadata], field)
        for name, field in Training.model_fields.items()
        if name not in WAYS_TO_RUN
    },
)


def _is_not_set(value) -> bool:
    return value is None


def _overrides(name: str, settings: type[Settings]) -> type[Settings]:
    """Make a class with the same settings, none of them required."""
    fields = {
        key: (
            Annotated[field.annotation, Field(), *field.metadata] | None,
            Field(None, description=field.description, exclude_if=field.exclude_if and _is_not_set),
        )
        for key, field in settings.model_fields.items()
    }
    return create_model(name, __base__=Settings, **fields)


# A stage may override any of these settings; the others come from `training` and `lora`.
TrainingOverrides = _overrides("TrainingOverrides", Training)
LoraOverrides = _overrides("LoraOverrides", Lora)


class Logging(Settings):
    """Logs of training; nothing here changes an adapter."""

    steps: Whole = Field(5, ge=1, le=MAX_COUNT, description="Log every N optimizer steps.")
    report_to: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]] = Field(
        ["tensorboard"], description="Destinations of the logs; install any other than tensorboard yourself."
    )
