"""Base models, LoRA and training."""

from typing import Annotated, Literal

from pydantic import Field, create_model, field_validator, model_validator

from forgetting.config.data import Name, Sha256
from forgetting.remedies import Remedies
from forgetting.settings import Settings


class Model(Settings):
    """A base model: a GGUF file in a PyPI package, a hub repository at a commit, or a local directory."""

    package: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$", description="PyPI package and version, `name==1.0`."
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of the package's wheel.")
    member: str | None = Field(None, description="Path of the GGUF file inside the wheel.")
    member_sha256: Sha256 | None = Field(None, description="SHA-256 of the GGUF file.")
    hub: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$", description="Hub repository, `owner/name`.")
    revision: str | None = Field(
        None, pattern=r"^[0-9a-f]{40}$", description="Full commit of the hub repository (40 hexadecimal digits)."
    )
    path: str | None = Field(None, description="Local directory with safetensors weights and a tokenizer.")
    licence: str = Field("unknown", description="Licence of the weights.")
    redistribute: bool = Field(False, description="Whether `dvc push` may copy the weights to a remote.")

    @model_validator(mode="after")
    def one_origin(self):
        if sum(origin is not None for origin in (self.package, self.hub, self.path)) != 1:
            raise ValueError("give exactly one of 'package', 'hub' and 'path'")
        needs = {"package": ("sha256", "member", "member_sha256"), "hub": ("revision",), "path": ()}
        for origin, keys in needs.items():
            for key in keys:
                if getattr(self, origin) and not getattr(self, key):
                    raise ValueError(f"a model with '{origin}' needs '{key}'")
                if not getattr(self, origin) and getattr(self, key):
                    raise ValueError(f"'{key}' goes with '{origin}', which is not given")
        return self

    @property
    def origin(self) -> dict:
        """What says which model it is; its receipt and every recipe hold it."""
        return self.model_dump(exclude_none=True, exclude={"licence", "redistribute"})


class Prompting(Settings):
    """How a filled prompt becomes the model's input."""

    format: Literal["chat", "plain"] = Field(
        "chat", description="`chat`: the model's chat template. `plain` (the published way): prompt, a space, answer."
    )
    system: str | None = Field(None, description="System message of the chat; null leaves it to the model's template.")


class Lora(Settings):
    """LoRA adapters (Hu et al. 2021, arXiv:2106.09685)."""

    r: int = Field(16, ge=1, description="Rank.")
    alpha: int = Field(32, ge=1, description="Scaling numerator; the update is scaled by alpha / r.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout on the adapter's input.")
    target_modules: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        min_length=1,
        description="Names of the linear layers that get an adapter.",
    )
    last_layers: int | None = Field(
        None,
        ge=1,
        description="Adapt only the last so many decoder layers: the others need no backward pass, so training is "
        "faster. Null adapts all.",
    )


class Training(Settings):
    """How one stage is trained."""

    epochs: float = Field(3, gt=0, description="Passes over the training items.")
    batch_size: int = Field(8, ge=1, description="Items per forward pass.")
    gradient_accumulation: int = Field(2, ge=1, description="Forward passes per optimizer step.")
    learning_rate: float = Field(2e-4, gt=0, description="Peak learning rate.")
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        "cosine", description="Learning-rate schedule."
    )
    warmup_ratio: float = Field(0.03, ge=0, lt=1, description="Share of the steps spent warming up.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping norm.")
    max_length: int = Field(1024, ge=16, description="Tokens of prompt and answer together.")
    loss_on: Literal["answer", "text"] = Field(
        "answer", description="Tokens the loss counts: the answer, or (the published way) prompt and answer."
    )
    group_by_length: bool = Field(True, description="Batch items of similar length, so that little is padded.")
    gradient_checkpointing: bool = Field(False, description="Recompute activations to save memory.")
    eval_every: Annotated[int, Field(ge=1)] | Literal["epoch"] = Field(
        "epoch", description="Evaluate and save a checkpoint every so many steps, or every epoch."
    )
    best_metric: Literal["loss", "accuracy", "macro_f1", "last"] = Field(
        "loss",
        description="Validation metric that picks the checkpoint, over the tasks that the stage learns; `last` keeps "
        "the final one.",
    )
    optimizer_state: Literal["fresh", "parent"] = Field(
        "fresh",
        description="A later stage starts with a fresh optimizer, schedule and step count, or "
        "(the published way) resumes its parent's.",
    )


# A stage may override any training setting; whatever it leaves out comes from `training`.
TrainingOverrides = create_model(
    "TrainingOverrides",
    __base__=Settings,
    **{
        name: (field.annotation | None, Field(None, description=field.description))
        for name, field in Training.model_fields.items()
    },
)


class Stage(Settings):
    """One fine-tuning step of an arm."""

    task: Name | Annotated[list[Name], Field(min_length=1)] = Field(
        description="The task this stage learns; a list is learnt at once (multitask)."
    )
    name: Name | None = Field(
        None, description="Folder name in the lineage; made of the tasks and the remedies if not given."
    )
    remedies: Remedies = Field(Remedies(), description="What this stage does against forgetting.")
    training: Annotated[TrainingOverrides, Field(description="Training settings of this stage alone.")] = (
        TrainingOverrides()
    )

    @field_validator("task")
    @classmethod
    def distinct_tasks(cls, task):
        if isinstance(task, list) and len(set(task)) < len(task):
            raise ValueError("a task is given twice")
        return task

    @property
    def tasks(self) -> list[str]:
        return [self.task] if isinstance(self.task, str) else self.task

    @property
    def folder(self) -> str:
        return self.name or "+".join([*self.tasks, *(remedy.label for remedy in self.remedies.in_training.values())])


class Arm(Settings):
    """A way through the stages."""

    adapters: Literal["one", "per_task"] = Field(
        "one",
        description="`one` adapter is trained on from stage to stage; or `per_task`: every stage starts from the base "
        "model, and its adapter answers its own tasks alone.",
    )
    stages: list[Stage] = Field(min_length=1, description="Stages in order.")


class Logging(Settings):
    """What training writes down while it runs; nothing here changes an adapter."""

    steps: int = Field(5, ge=1, description="Log every so many optimizer steps.")
    report_to: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]] = Field(
        ["tensorboard"], description="Where logs go; anything but tensorboard must be installed by you."
    )
