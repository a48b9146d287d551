"""What a remedy is: the one interface that training and merging know.

A remedy is a class in a module of its own: its fields are its settings, its methods what it does. Modules in this
folder are found by their name; one from elsewhere is named with its full path, ``my_lab.remedies:Dummy``, and must be
importable where Snakemake runs. Importing such a module must import neither torch nor transformers: configuration is
read by steps that need neither.
"""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypedDict

from stagewise.config.base import Settings

if TYPE_CHECKING:
    import torch


class Row(TypedDict):
    """One training item as token ids."""

    input_ids: list[int]
    """Prompt, then answer."""
    labels: list[int]
    """As `input_ids`, -100 where the loss does not count."""
    task: str
    label: int
    """Code of the gold label in the task's label order."""
    prompt_tokens: int
    """Length of the prompt: the answer starts there."""


@dataclass
class Scene:
    """What a remedy may look at when the training of a stage begins."""

    model: object
    """PEFT model with the weights that the stage starts from, the parent's; the adapter is called ``default``."""
    tokenizer: object
    rows: list[Row]
    """What is trained on, after every remedy has had its say."""
    earlier: dict[str, list[Row]]
    """Training rows of each earlier task, oldest first; empty unless the remedy `needs_earlier`."""
    answers: dict[str, list[list[int]]]
    """Token ids of every label's answer by task, earlier ones included."""
    seed: int
    lora: dict
    """Settings of `lora`."""


@dataclass
class Batch:
    """One forward pass of training, as an effect sees it."""

    rows: list[int]
    """Numbers of the rows in `Scene.rows`; where several processes share a pass, this one's, and maybe none."""
    nll: "torch.Tensor"
    """Summed negative log-probability of each row's counted tokens, shape (rows,), nats."""
    tokens: float
    """Counted tokens that the loss of this optimizer step is a mean over, those of one process where there are several:
    their gradients are averaged."""
    mean_over: float
    """What a mean over the rows of this pass divides their sum by: their number, which several processes share."""
    share: float
    """This pass's share of the optimizer step: what does not depend on the rows is multiplied by it."""
    hidden: "torch.Tensor"
    """Last hidden states, shape (rows, positions, width)."""
    head: "torch.Tensor"
    """Weights of the output head, shape (vocabulary, width)."""

    def logits(self, positions: "torch.Tensor", tokens: list[int]) -> "torch.Tensor":
        """Logits of some tokens at one position of each row, float32.

        Parameters
        ----------
        positions
            Shape (rows,): the position whose next token is meant.
        tokens
            Token ids.

        Returns
        -------
        Shape (rows, tokens).
        """
        import torch

        states = self.hidden[torch.arange(len(positions), device=self.hidden.device), positions]
        return states.float() @ self.head[tokens].float().T


class Effect:
    """What a remedy does while a stage is trained. Everything is optional."""

    tokens: int = 0
    """Tokens read beside the training itself, such as by a teacher."""

    def loss(self, batch: Batch) -> "torch.Tensor | None":
        """A scalar that is added to the loss of one forward pass."""

    def after_step(self) -> None:
        """Called after every optimizer step, before the next forward pass."""


class Remedy(Settings):
    """Something a stage does against forgetting, or for a rare label, while it is trained.

    Subclasses are pydantic models: each field is a setting, unknown ones are refused. All methods are optional.
    """

    paper: ClassVar[str] = ""
    """Where it comes from: authors, year, identifier."""
    behaviour: ClassVar[int] = 1
    """Version of what it does; raised when the same settings give another adapter, so that old ones are made again."""
    needs_earlier: ClassVar[bool] = False
    """Whether it needs the training items of earlier tasks, and so a parent."""
    needs_parent: ClassVar[bool] = False
    """Whether it only makes sense for a stage that has a parent."""

    @property
    def label(self) -> str:
        """Names the remedy and its main setting in a folder's name, such as ``rehearsal-10``."""
        return type(self).__name__.lower()

    def rows(self, rows: list[Row], earlier: dict[str, list[Row]], seed: int) -> list[Row]:
        """The rows to train on, given the stage's own. The number of optimizer steps stays that of the stage's own."""
        return rows

    def start(self, parent: Path | None, folder: Path, settings: dict, seed: int) -> Path | None:
        """The adapter to start from, given the parent's folder; a changed one is written to `folder`.

        `settings` are those of `lora`.
        """
        return parent

    def effect(self, scene: Scene) -> Effect | None:
        """What happens during training; called once, with the parent's weights on the model."""


class Merge(Settings):
    """Something made of finished adapters, without any training."""

    paper: ClassVar[str] = ""
    """As `Remedy.paper`."""
    behaviour: ClassVar[int] = 1
    """As `Remedy.behaviour`."""

    @property
    def label(self) -> str:
        """As `Remedy.label`."""
        return type(self).__name__.lower()

    @abstractmethod
    def merge(self, adapters: list[Path], folder: Path, load, seed: int) -> None:
        """Write the adapter made of `adapters` to `folder`: ``adapter_model.safetensors`` and ``adapter_config.json``.

        Parameters
        ----------
        adapters
            Folders of what the arm has so far, the newest last: parent and child, or one adapter per task.
        folder
            Where to write.
        load
            Called without arguments, it gives the base model; who works on the files alone never needs it.
        seed
            For what is random.
        """


@dataclass(frozen=True)
class Kind:
    """A remedy's class and where it stands."""

    name: str
    cls: type[Remedy] | type[Merge]
    file: Path
    builtin: bool
