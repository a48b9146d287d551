"""Settings of single steps: the part of the configuration that each step depends on."""

from stagewise.config.base import Settings
from stagewise.config.evaluation import Evaluation
from stagewise.config.tasks import Duplicates, Limit, Name, Task
from stagewise.config.training import Lora, Prompting, Training
from stagewise.remedies.registry import Remedies


class DataSettings(Settings):
    """What determines the splits."""

    tasks: dict[Name, Task]
    limit: Limit = Limit()
    duplicates: Duplicates = Duplicates()


class ScoringSettings(Settings):
    """What determines an adapter's predictions, the adapter and the items aside."""

    tasks: dict[Name, Task]
    prompting: Prompting
    quantization: str
    dtype: str
    max_length: int
    evaluation: Evaluation


class TaskSettings(Settings):
    """What a task's questions and answers are made of."""

    prompt: str
    words: list[str]
    shorten: str | None
    fields: list[str]


class RecipeSettings(Settings):
    """What the configuration says about one adapter; data, model and parents add their checksums."""

    lineage: str
    stage: int
    learns: list[Name]
    """Names of what the stage learns; the other `tasks` are its ancestors'."""
    seed: int
    tasks: dict[Name, TaskSettings]
    prompting: Prompting
    quantization: str
    dtype: str
    max_length: int
    lora: Lora
    training: Training | None
    """None for an adapter that is merged from others."""
    remedies: Remedies = Remedies()
