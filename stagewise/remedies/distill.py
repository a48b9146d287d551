"""Distill: keep the parent's distribution over labels, right or wrong."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from stagewise.config.base import MAX_COUNT, Number
from stagewise.remedies.base import Batch, Remedy, Row, TrainingContext, TrainingHook
from stagewise.remedies.rehearsal import draw_share

_DEFAULT_SHARE = 0.1

_TOKENS_PER_BATCH = 4096


class Distill(Remedy):
    """Learning without forgetting (Li & Hoiem 2016): KL divergence from the parent's distribution over earlier labels.

    On the stage's own inputs it trains on no earlier item; on rehearsal items their gold labels are not used. The
    distribution is over the first tokens of an earlier task's label words, renormalized, so that it leaves the stage's
    own answers free.
    """

    paper: ClassVar[str] = "Li & Hoiem 2016 (LwF), arXiv:1606.09282"
    needs_earlier: ClassVar[bool] = True
    needs_parent: ClassVar[bool] = True

    strength: Number = Field(1.0, gt=0, le=MAX_COUNT, description="Weight of the divergence.")
    temperature: Number = Field(
        2.0, gt=0, le=1000, description="Both distributions are softened by it, and the loss scaled by its square."
    )
    inputs: Literal["stage", "rehearsal"] = Field(
        "stage", description="The stage's own inputs, or a share of the earlier tasks' training inputs mixed in."
    )
    share: Number | None = Field(
        None, gt=0, le=1, description="Share of each earlier task's items; with `rehearsal` alone (0.1)."
    )

    @model_validator(mode="after")
    def share_goes_with_rehearsal(self):
        if self.share is not None and self.inputs == "stage":
            raise ValueError("'share' goes with inputs: rehearsal; with inputs: stage no earlier item is used")
        return self

    @property
    def label(self) -> str:
        if self.inputs == "stage":
            return "distill-stage"
        return f"distill-rehearsal-{100 * (self.share or _DEFAULT_SHARE):g}"

    def rows(self, rows: list[Row], earlier_rows: dict[str, list[Row]], seed: int) -> list[Row]:
        if self.inputs == "stage":
            return rows
        return rows + [
            # Gold labels of earlier items take no part in the loss.
            row | {"labels": [-100] * len(row["labels"])}
            for number, task_rows in enumerate(earlier_rows.values())
            for row in draw_share(task_rows, self.share or _DEFAULT_SHARE, seed, number)
        ]

    def hook(self, context: TrainingContext) -> TrainingHook:
        return DistillationLoss(context, self)


class DistillationLoss(TrainingHook):
    """Divergence from the parent's distributions, which are computed once, before training.

    Attributes
    ----------
    label_tokens
        First tokens of the labels, by earlier task.
    targets
        The parent's distribution over them, by earlier task: shape (rows, label tokens), NaN for rows that it does not
        apply to.
    """

    def __init__(self, context: TrainingContext, settings: Distill):
        import torch

        self.settings = settings
        self.label_tokens = {
            task: list(dict.fromkeys(ids[0] for ids in context.label_token_ids[task])) for task in context.earlier_rows
        }
        self.prompt_ends = torch.tensor([row["prompt_tokens"] - 1 for row in context.rows])
        taught_rows = {task: _rows_to_teach(context, settings, task) for task in context.earlier_rows}
        prompts = sorted({number for numbers in taught_rows.values() for number in numbers})
        tokens = sorted({token for tokens in self.label_tokens.values() for token in tokens})
        logits = _next_token_logits(context, prompts, tokens)
        self.extra_tokens = sum(context.rows[number]["prompt_tokens"] for number in prompts)
        self.targets = {}
        for task, tokens in self.label_tokens.items():
            target = torch.full((len(context.rows), len(tokens)), float("nan"))
            for number in taught_rows[task]:
                parent_logits = torch.tensor([logits[number][token] for token in tokens])
                target[number] = (parent_logits / settings.temperature).softmax(0)
            self.targets[task] = target

    def loss(self, batch: Batch):
        rows = _as_indices(batch.row_numbers)
        divergences = [
            divergence for task in self.label_tokens if (divergence := self._divergence(batch, rows, task)) is not None
        ]
        if not divergences:
            return None
        strength, temperature = self.settings.strength, self.settings.temperature
        return strength * temperature**2 * sum(divergences) / batch.step_rows

    def _divergence(self, batch: Batch, rows, task: str):
        """Kullback-Leibler divergence summed over the rows with a target; None if there are none."""
        import torch

        target, device = self.targets[task][rows], batch.hidden_states.device
        has_target = (~target.isnan().any(1)).nonzero()[:, 0]  # found on the CPU, so that no GPU is waited for
        if not len(has_target):
            return None
        logits = batch.logits(self.prompt_ends[rows].to(device), self.label_tokens[task])
        student = (logits / self.settings.temperature).log_softmax(-1)[has_target.to(device)]
        return torch.nn.functional.kl_div(student, target[has_target].to(device), reduction="sum")


def _as_indices(numbers: list[int]):
    import torch

    return torch.tensor(numbers, dtype=torch.long)


def _rows_to_teach(context: TrainingContext, settings: Distill, task: str) -> list[int]:
    """Numbers of the rows on which the parent's distribution over an earlier task's labels is kept."""
    if settings.inputs == "stage":
        return [n for n, row in enumerate(context.rows) if row["task"] not in context.earlier_rows]
    return [n for n, row in enumerate(context.rows) if row["task"] == task and _is_unlabelled(row)]


def _is_unlabelled(row: Row) -> bool:
    return all(label == -100 for label in row["labels"])


def _next_token_logits(context: TrainingContext, numbers: list[int], tokens: list[int]) -> dict[int, dict[int, float]]:
    """Compute the model's logits of some tokens after the prompts of some rows, by row number and token."""
    import torch

    from stagewise.inference.likelihood import batches, float32_head, pad_left
    from stagewise.models.load import compute_context

    model = context.model
    prompts = [context.rows[n]["input_ids"][: context.rows[n]["prompt_tokens"]] for n in numbers]
    device = next(model.parameters()).device
    was_training, logits = model.training, {}
    model.eval()
    with torch.no_grad(), compute_context(model), float32_head(model):
        for group in batches([len(prompt) for prompt in prompts], _TOKENS_PER_BATCH):
            ids, mask, positions = pad_left([prompts[i] for i in group], context.tokenizer.pad_token_id, device)
            output = model(
                input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1
            )
            values = output.logits[:, -1, tokens].float().cpu()
            for i, row in zip(group, values, strict=True):
                logits[numbers[i]] = dict(zip(tokens, row.tolist(), strict=True))
    model.train(was_training)
    return logits
