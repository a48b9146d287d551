"""The interface of remedies: the only one that training and merging know.

A remedy is a class in a module of its own: its fields are its settings, its methods do the work. Modules in this folder
are found by their name; one from elsewhere is named with its full path, ``my_lab.remedies:Dummy``, and must be
importable where Snakemake runs. Importing such a module must import neither torch nor transformers: configuration is
read by steps that need neither.
"""

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, NotRequired, TypedDict

from stagewise.config.base import Settings
from stagewise.task_kinds import KINDS, TaskKind

if TYPE_CHECKING:
    import torch

    from stagewise.config.training import Lora
    from stagewise.data.items import SplitItem
    from stagewise.inference.prompts import Encoder
    from stagewise.models.frozen_layers import FrozenLayers


class Row(TypedDict):
    """One training item as token ids."""

    input_ids: list[int]
    """Prompt, then answer."""
    labels: list[int]
    """As `input_ids`, -100 where the loss does not count."""
    task: str
    label: int | None
    """Code of the gold label, in the task's label order; None of tasks that are not answered with one label."""
    prompt_tokens: int
    """Length of the prompt: the answer starts there."""
    options: NotRequired[int]
    """Number of the item's options, the first labels of a multiple-choice task; it has no others."""


@dataclass(frozen=True)
class StartContext:
    """State of a stage before its adapter is on the model, passed to `Remedy.start`."""

    adapter: Path | None
    """Folder of the adapter that the stage starts from: the parent's, or what the remedies before this one have made of
    it; None if the trainer makes a new one. If the stage trains a new LoRA beside its parent's, that is in it already:
    the last `lora.r` rows of every A, and columns of B, which are zero."""
    folder: Path
    """Folder to write another adapter to."""
    base: object
    """Base model, without an adapter."""
    lora: "Lora"
    seed: int


@dataclass
class ParentContext:
    """The parent before its child is trained, passed to `Remedy.pseudo_items`."""

    model: object
    """Base model with the parent's adapter, in evaluation mode."""
    encoders: "dict[str, Encoder]"
    """Encoder of each earlier task's items, with its prompt, label words and the tokenizer; oldest first."""
    seed: int
    lineage: str
    """Name of the adapter to be trained, for progress bars."""


class PseudoItems(NamedTuple):
    """Items that a model has written."""

    items: "dict[str, list[SplitItem]]"
    """Items of each earlier task, as split files hold them."""
    tokens: int
    """Tokens read to write and label them."""


@dataclass
class TrainingContext:
    """State of a stage when its training begins, passed to `Remedy.hook`."""

    model: object
    """PEFT model with the weights that the stage starts from, the parent's; the adapter is called ``default``."""
    tokenizer: object
    rows: list[Row]
    """Rows to train on, as all remedies have left them."""
    earlier_rows: dict[str, list[Row]]
    """Rows of each earlier task, oldest first: of its pseudo-items if the remedy `makes_items`, else of training
    items; empty unless the remedy `needs_earlier`."""
    label_token_ids: dict[str, list[list[int]]]
    """Token ids of every label's answer by task, earlier tasks included; only of tasks answered with one label."""
    seed: int
    lora: "Lora"
    """Settings of the stage's LoRA. A new one beside the parent's is the last `lora.r` rows of every A, and columns of
    B; a layer whose new A is zero is not trained."""
    learns: tuple[str, ...] = ()
    """Tasks that the stage learns."""
    frozen_layers: "FrozenLayers | None" = None
    """The model's frozen layers, if their output is kept; then passes of a remedy can do without computing them."""
    steps: int = 0
    """Optimizer steps that are planned for the stage; early stopping may end it before."""


@dataclass
class Batch:
    """One forward pass of training, passed to `TrainingHook.loss`."""

    row_numbers: list[int]
    """Indices into `TrainingContext.rows`; none in a pass that only other processes have items for."""
    nll: "torch.Tensor"
    """Summed negative log-probability of each row's counted tokens, shape (rows,), nats."""
    loss_tokens: float
    """Denominator of the optimizer step's token mean: its counted tokens, divided by the number of processes."""
    step_rows: float
    """Denominator of the optimizer step's mean over rows: its rows, divided by the number of processes. Sums over
    `row_numbers`, divided by it, add up to the mean."""
    batch_fraction: float
    """Fraction of the optimizer step that this pass is. A term that does not depend on the rows is multiplied by it."""
    hidden_states: "torch.Tensor"
    """Last hidden states, shape (rows, positions, width); `stagewise.models.own_logits` makes logits of them."""


class TrainingHook:
    """A remedy's part in the training loop. All methods are optional."""

    extra_tokens: int = 0
    """Tokens read before training, for example by a teacher."""
    extra_tokens_of_row: "list[int] | None" = None
    """Tokens that `loss` reads of each row, in addition to training itself; None if it reads nothing."""
    frozen_parameters: int = 0
    """Weights of the adapter that it keeps as they are."""

    def loss(self, batch: Batch) -> "torch.Tensor | None":
        """Return a scalar to add to the loss of one forward pass."""

    def after_step(self) -> None:
        """Act after an optimizer step, before the next forward pass."""

    def observe_step(self) -> None:
        """Read the weights after an optimizer step, when `after_step` of every hook has acted."""

    def evaluated_weights(self) -> AbstractContextManager:
        """Return the context in which the model has the weights to evaluate and to save; others may go on training."""
        return nullcontext()

    def state(self) -> "dict[str, torch.Tensor]":
        """Return what a resumed training cannot compute again: it is saved in every checkpoint, if there is any."""
        return {}

    def load_state(self, state: "dict[str, torch.Tensor]") -> None:
        """Take up the state of a checkpoint, whose adapter is on the model; called if `state` was not empty."""


class Remedy(Settings):
    """A measure against forgetting, or for a rare label, while a stage is trained.

    Subclasses are pydantic models: each field is a setting, unknown ones are refused. All methods are optional.
    """

    paper: ClassVar[str] = ""
    """Authors, year and identifier of the paper it comes from."""
    behaviour: ClassVar[int] = 1
    """Behaviour version: raised when the same settings give another adapter, so that older ones are made again."""
    needs_earlier: ClassVar[bool] = False
    """True if it needs the training items of earlier tasks, and so a parent."""
    needs_parent: ClassVar[bool] = False
    """True if it makes sense only for a stage with a parent."""
    new_lora: ClassVar[bool] = False
    """True if it chooses the directions of a new LoRA, which the stage then trains beside its parent's, frozen one."""
    makes_items: ClassVar[bool] = False
    """True if items from `pseudo_items` take the place of the earlier tasks' training items; it needs a parent then."""
    needs_fresh_optimizer: ClassVar[bool] = False
    """True if no optimizer goes on with it: neither the parent's in its stage, nor its stage's in a child."""
    kinds: ClassVar[tuple[TaskKind, ...]] = KINDS
    """Kinds of tasks that its stage may learn."""
    earlier_kinds: ClassVar[tuple[TaskKind, ...]] = KINDS
    """Kinds of earlier tasks that it works on."""

    @property
    def needs_plain_lora(self) -> bool:
        """True if it works on the factors of plain LoRA, and so not with DoRA's magnitudes."""
        return self.new_lora

    @property
    def label(self) -> str:
        """Name of the remedy with its main setting, for a folder: ``rehearsal-10``."""
        return type(self).__name__.lower()

    def pseudo_items(self, context: ParentContext) -> PseudoItems:
        """Make items of the earlier tasks with the parent; called once per training, if it `makes_items`.

        They are kept beside the checkpoints, so that a resumed training has the same ones, and are in `earlier_rows`.
        """
        raise NotImplementedError

    def rows(self, rows: list[Row], earlier_rows: dict[str, list[Row]], seed: int) -> list[Row]:
        """Choose the rows to train on, given the stage's own; the number of optimizer steps does not change."""
        return rows

    def start(self, context: StartContext) -> Path | None:
        """Choose the adapter to start from: that of the context, or another one, written to its folder."""
        return context.adapter

    def hook(self, context: TrainingContext) -> TrainingHook | None:
        """Build the hook for the training loop; called once, with the starting weights on the model.

        The remedy with `new_lora` comes first, so that the others meet the directions that it has chosen.
        """


class Merge(Settings):
    """A remedy that makes one adapter of finished ones, without any training."""

    paper: ClassVar[str] = ""
    """As `Remedy.paper`."""
    behaviour: ClassVar[int] = 1
    """As `Remedy.behaviour`."""

    @property
    def needs_plain_lora(self) -> bool:
        """As `Remedy.needs_plain_lora`."""
        return True

    @property
    def label(self) -> str:
        """As `Remedy.label`."""
        return type(self).__name__.lower()

    def check_number(self, adapters: int) -> None:
        """Raise a ``ValueError`` if the settings do not fit this number of adapters."""

    @abstractmethod
    def merge(self, adapters: list[Path], folder: Path, load_base, seed: int) -> dict | None:
        """Write the adapter made of `adapters` to `folder`: ``adapter_model.safetensors`` and ``adapter_config.json``.

        Parameters
        ----------
        adapters
            Folders of the arm's adapters so far, the newest last: parent and child, or one adapter per task.
        folder
            Folder to write to.
        load_base
            Function without arguments that returns the base model; not needed for work on the files alone.
        seed
            Seed of random draws.

        Returns
        -------
        Facts about the merge for ``training.json``; None if there are none.
        """


@dataclass(frozen=True)
class RemedyEntry:
    """A remedy's class in the registry."""

    name: str
    cls: type[Remedy] | type[Merge]
    file: Path
    builtin: bool
