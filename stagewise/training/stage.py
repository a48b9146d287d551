"""A stage that is ready to be trained, and the ways to run it. Importing this module imports no torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stagewise.models.frozen_layers import KeptLayers
from stagewise.models.shared_base import SharedBase
from stagewise.training.distributed import StepShare, process_count, process_index
from stagewise.training.job import AdapterJob, Scorer
from stagewise.training.passes import PassChoice, Passes, WishedPasses
from stagewise.training.time_limit import TimeLimit

if TYPE_CHECKING:
    from stagewise.training.checkpoints import Checkpoint
    from stagewise.training.stage_data import StageData


@dataclass(frozen=True)
class RunOptions:
    """Ways to run a training; none of them changes an adapter."""

    log_steps: int = 5
    """Log every N optimizer steps."""
    report_to: tuple[str, ...] = ()
    """Trackers that logs go to."""
    tokens_per_batch: int = 4096
    """Padded tokens per scoring batch of validation items; the prediction step's, so that both score alike."""
    passes: WishedPasses = field(default_factory=WishedPasses)
    """Sizes of the passes that train."""
    kept_layers: KeptLayers | None = None
    """Folder and bound of the frozen layers' kept output; None computes it in every pass."""
    processes: int = 1
    """Processes, one per GPU, that train the adapter together."""
    command: tuple[str, ...] = ()
    """Arguments of ``scripts.train_adapter``, with which the launcher starts each process."""
    limit: TimeLimit = field(default_factory=TimeLimit)
    """When to stop at a checkpoint."""
    scorer: Scorer | None = None
    """Scores adapters once they are trained; None leaves that to the prediction step."""
    siblings: Path | None = None
    """File with the adapters that this run trains from the same parent (`stagewise.training.siblings`)."""
    trainings: int = 1
    """Largest number of adapters to train, this one included, with the base model loaded once."""


@dataclass(frozen=True)
class Stage:
    """A stage that is ready to be trained."""

    job: AdapterJob
    options: RunOptions
    base: SharedBase
    cached: Path
    """Cache folder of the adapter, with its checkpoints."""
    tokenizer: object
    data: "StageData"
    choice: PassChoice
    passes: Passes
    """Passes that the optimizer steps are split into."""
    steps: int
    """Optimizer steps that are planned."""
    checkpoint: "Checkpoint | None"
    """Checkpoint to go on from."""

    @property
    def share(self) -> StepShare:
        """This process's share of every optimizer step."""
        items = self.job.recipe.training.items_per_step
        return StepShare(items, self.passes.micro_batch, process_count(), process_index())
