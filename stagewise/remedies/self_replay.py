"""Self-replay: train again on items of the earlier tasks that the parent writes itself."""

from typing import ClassVar, Literal

from pydantic import Field

from stagewise.config.base import Number, Whole
from stagewise.remedies.base import ParentContext, PseudoItems, Remedy, Row
from stagewise.task_kinds import TaskKind


class SelfReplay(Remedy):
    """Generative replay: the parent writes and labels items of earlier tasks, which are mixed in; no item is stored.

    The parent continues each earlier task's prompt and labels what it wrote with its own answer (Shin et al. 2017; Sun
    et al. 2020; Huang et al. 2024). It writes like the task's items if it was trained on their texts (`loss_on: text`,
    as Sun et al. do), else as a model that was shown the prompt alone. The stage keeps its number of optimizer steps.
    """

    paper: ClassVar[str] = (
        "Shin et al. 2017, arXiv:1705.08690; Sun et al. 2020 (LAMOL), arXiv:1909.03329; Huang et al. 2024 (SSR), "
        "arXiv:2403.01244"
    )
    needs_parent: ClassVar[bool] = True
    makes_items: ClassVar[bool] = True
    earlier_kinds: ClassVar[tuple[TaskKind, ...]] = ("classification", "ordinal")

    items: Whole = Field(64, ge=1, le=1_000_000, description="Items to write of each earlier task.")
    temperature: Number = Field(1.0, gt=0, le=100, description="Temperature of the draws.")
    top_p: Number = Field(
        0.95, gt=0, le=1, description="Tokens are drawn from the most probable ones that have this probability."
    )
    max_tokens: Whole = Field(256, ge=1, le=1_000_000, description="Tokens of a field at most.")
    labels: Literal["most_likely", "drawn"] = Field(
        "most_likely", description="The parent's answer, or a draw from its distribution over the labels."
    )

    @property
    def label(self) -> str:
        return f"self-replay-{self.items}" + ("" if self.labels == "most_likely" else "-drawn")

    def pseudo_items(self, context: ParentContext) -> PseudoItems:
        from stagewise.inference.pseudo_items import Writing, write_items

        items, tokens = {}, 0
        for task, encoder in context.encoders.items():
            seed, progress = f"self_replay {context.seed} {task}", f"{context.lineage}: {task}"
            items[task], read = write_items(context.model, encoder, Writing(**self.model_dump()), seed, progress)
            tokens += read
        return PseudoItems(items, tokens)

    def rows(self, rows: list[Row], earlier_rows: dict[str, list[Row]], seed: int) -> list[Row]:
        return rows + [row for task_rows in earlier_rows.values() for row in task_rows]
