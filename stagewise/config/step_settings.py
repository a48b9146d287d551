"""Settings of single steps: the part of the configuration that each of them depends on."""

from pydantic import Field

from stagewise.config.adopted import AdoptedAdapter
from stagewise.config.base import Name, Settings
from stagewise.config.evaluation import Evaluation
from stagewise.config.probes import Harness, HeldOutText
from stagewise.config.tasks import Duplicates, Limit, Task
from stagewise.config.training import Lora, Prompting, RecipeTraining
from stagewise.remedies.registry import Remedies
from stagewise.task_kinds import TaskKind


class DataSettings(Settings):
    """Settings that determine the splits."""

    tasks: dict[Name, Task]
    limit: Limit = Limit()
    duplicates: Duplicates = Duplicates()


class ScoringSettings(Settings):
    """Settings that determine an adapter's predictions, given the adapter and the items."""

    tasks: dict[Name, Task]
    prompting: Prompting
    quantization: str
    dtype: str
    max_length: int
    """Tokens of prompt and answer, of tasks that say no other number."""
    evaluation: Evaluation


class ProbeSettings(Settings):
    """Settings that determine an adapter's scores on probes with one score per item."""

    harness: Harness | None
    texts: dict[Name, HeldOutText]
    prompting: Prompting
    quantization: str
    dtype: str


class TaskSettings(Settings):
    """Settings that determine a task's prompts and answers."""

    kind: TaskKind = Field("classification", exclude_if=lambda value: value == "classification")
    prompt: str
    words: list[str]
    shorten: str | None
    max_length: int | None = Field(None, exclude_if=lambda value: value is None)
    fields: list[str]
    no_label: str | None = Field(None, exclude_if=lambda value: value is None)


class RecipeSettings(Settings):
    """Settings that determine one adapter; a recipe adds the checksums of data, model and parents."""

    lineage: str
    stage: int
    learns: list[Name]
    """Names of the tasks that the stage learns; the other `tasks` are those of its ancestors."""
    seed: int
    tasks: dict[Name, TaskSettings]
    prompting: Prompting
    quantization: str
    dtype: str
    max_length: int
    lora: Lora
    """Settings of the stage's LoRA."""
    new_lora: bool = False
    """True if the stage trains a LoRA of its own beside its parent's, which is frozen."""
    training: RecipeTraining | None
    """None for an adapter that is computed from others."""
    remedies: Remedies = Remedies()
    adopted: AdoptedAdapter | None = None
    """The adapter from elsewhere that is taken as it is."""
    tuned_model: str | None = None
    """Name of the fully fine-tuned model that is taken as it is."""
    lora_of_parent: bool = False
    """True if it goes on with the LoRA of an adapter from elsewhere, whose shape counts instead of `lora`'s."""
