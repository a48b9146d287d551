"""Distill: keep the parent's distribution over labels, right or wrong."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from stagewise.config.base import MAX_COUNT, Number
from stagewise.errors import InputError
from stagewise.remedies.base import Batch, Remedy, Row, TrainingContext, TrainingHook
from stagewise.remedies.rehearsal import draw_share
from stagewise.task_kinds import LABEL_KINDS, TaskKind

_DEFAULT_SHARE = 0.1

_TOKENS_PER_BATCH = 2048
"""Padded tokens in a pass that scores labels, while the activations of a training pass are in memory."""


class Distill(Remedy):
    """Learning without forgetting (Li & Hoiem 2016): KL divergence from the parent's distribution over earlier labels.

    On the stage's own inputs it trains on no earlier item; on rehearsal items their gold labels are not used. The
    distribution is over an earlier task's whole label answers, renormalized: it fixes their ratios and leaves any other
    answer free, also one that begins alike, such as ``no stress`` beside ``no``.
    """

    paper: ClassVar[str] = "Li & Hoiem 2016 (LwF), arXiv:1606.09282"
    behaviour: ClassVar[int] = 2
    needs_earlier: ClassVar[bool] = True
    needs_parent: ClassVar[bool] = True
    earlier_kinds: ClassVar[tuple[TaskKind, ...]] = LABEL_KINDS

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
    answers
        Token ids of the label answers of all earlier tasks, task after task.
    labels
        Places of each earlier task's labels among `answers`.
    targets
        The parent's distribution over them, by earlier task: shape (rows, labels), NaN for rows that it does not apply
        to.
    """

    def __init__(self, context: TrainingContext, settings: Distill):
        import torch

        self.context, self.settings = context, settings
        self.parameters = [parameter for parameter in context.model.parameters() if parameter.requires_grad]
        self.answers, self.labels = _all_answers(context)
        taught = {task: _rows_to_teach(context, settings, task) for task in context.earlier_rows}
        self.taught_rows = sorted({number for numbers in taught.values() for number in numbers})
        if not self.taught_rows:
            raise InputError(
                "remedies.distill: no training row is left that the parent's distribution could be kept on; leave the "
                "remedy out"
            )
        self._count_tokens()
        self.frozen_layers = self._frozen_layers_that_fit()
        scores = self._parent_scores()
        self.targets = {}
        for task, labels in self.labels.items():
            target = torch.full((len(context.rows), labels.stop - labels.start), float("nan"), dtype=torch.float64)
            target[taught[task]] = (scores[taught[task], labels] / settings.temperature).softmax(1)
            self.targets[task] = target

    def loss(self, batch: Batch):
        """Strength times the mean divergence over the rows of the step, with its gradient.

        The gradient is computed here, pass by pass: no activations of these passes wait for the training's own backward
        pass, so memory is bounded however many labels there are.
        """
        import torch

        from stagewise.inference.likelihood import scoring_passes
        from stagewise.models.load import compute_context
        from stagewise.models.own_logits import float32_head

        numbers = [number for number in batch.row_numbers if self.extra_tokens_of_row[number]]
        if not numbers:
            return None
        model, parameters = self.context.model, self.parameters
        weight = self.settings.strength * self.settings.temperature**2 / batch.step_rows
        value, gradients = 0.0, [torch.zeros_like(parameter) for parameter in parameters]
        with compute_context(model), float32_head(model):
            for group, score in scoring_passes(*self._scored(numbers), _TOKENS_PER_BATCH, self.frozen_layers):
                term = weight * self._divergence(score(), [numbers[i] for i in group])
                parts = torch.autograd.grad(term, parameters, materialize_grads=True)
                gradients = [total + part for total, part in zip(gradients, parts, strict=True)]
                value += term.detach().float()
        slope = sum((total * parameter).sum() for total, parameter in zip(gradients, parameters, strict=True))
        return value + (slope - slope.detach())

    def _divergence(self, scores, numbers: list[int]):
        """Kullback-Leibler divergence from the parent's distributions, summed over the rows and earlier tasks.

        A label's probability is that of its whole answer, p(answer)^(1 / temperature) renormalized over the task's
        labels (Li & Hoiem 2016, equations 2 and 3).
        """
        import torch

        divergence = 0.0 * scores.sum()
        for task, labels in self.labels.items():
            target = self.targets[task][numbers]
            has_target = (~target.isnan().any(1)).nonzero()[:, 0]  # found on the CPU, so that no GPU is waited for
            student = (scores[has_target.to(scores.device), labels] / self.settings.temperature).log_softmax(1)
            teacher = target[has_target].to(scores.device)
            divergence = divergence + torch.nn.functional.kl_div(student, teacher, reduction="sum")
        return divergence

    def _scored(self, numbers: list[int]) -> tuple:
        """Arguments of `likelihood.scoring_passes`: these rows' prompts, and all label answers."""
        rows = [self.context.rows[number] for number in numbers]
        prompts = [row["input_ids"][: row["prompt_tokens"]] for row in rows]
        return self.context.model, self.context.tokenizer, prompts, self.answers

    def _parent_scores(self):
        """Log-probabilities of all answers under the parent, (rows, answers), float64; 0 for rows that are not taught.

        Raises
        ------
        InputError
            If one is not finite.
        """
        import torch

        from stagewise.inference import likelihood

        scores = torch.zeros(len(self.context.rows), len(self.answers), dtype=torch.float64)
        logprobs = likelihood.score(
            *self._scored(self.taught_rows), _TOKENS_PER_BATCH, frozen_layers=self.frozen_layers
        )
        scores[self.taught_rows] = torch.from_numpy(logprobs)
        if not bool(scores.isfinite().all()):
            raise InputError(
                "remedies.distill: a label's log-probability is not finite (NaN or infinite) at the parent adapter; "
                "train the parent with a lower training.learning_rate, or leave the remedy out"
            )
        return scores

    def _count_tokens(self) -> None:
        """Count what the parent reads before training, and the student at every step."""
        from stagewise.inference.likelihood import count_tokens

        scored = self._scored(self.taught_rows)
        self.extra_tokens = sum(count_tokens(*scored, gradient=False))
        self.extra_tokens_of_row = [0] * len(self.context.rows)
        for number, tokens in zip(self.taught_rows, count_tokens(*scored, gradient=True), strict=True):
            self.extra_tokens_of_row[number] = tokens

    def _frozen_layers_that_fit(self):
        """The frozen layers, if the output of all training rows and of all that is scored beside them can be kept."""
        tokens = sum(len(row["input_ids"]) for row in self.context.rows) + sum(self.extra_tokens_of_row)
        layers = self.context.frozen_layers
        return layers if layers and layers.fits(tokens) else None


def _all_answers(context: TrainingContext) -> tuple[list[list[int]], dict[str, slice]]:
    """List the label answers of the earlier tasks, and the places of each task's own.

    Raises
    ------
    InputError
        If there is no earlier task, or one has a single answer, whose share of the distribution is always 1.
    """
    answers, labels = [], {}
    for task in context.earlier_rows:
        of_task = context.label_token_ids[task]
        if len({tuple(answer) for answer in of_task}) < 2:
            raise InputError(
                f"remedies.distill: {task} has one label answer alone, so its distribution says nothing; give the task "
                "two labels, or leave the remedy out"
            )
        labels[task] = slice(len(answers), len(answers) + len(of_task))
        answers += of_task
    if not labels:
        raise InputError(
            "remedies.distill: the stage has no earlier task whose label distribution could be kept; leave the remedy "
            "out"
        )
    return answers, labels


def _rows_to_teach(context: TrainingContext, settings: Distill, task: str) -> list[int]:
    """Numbers of the rows on which the parent's distribution over an earlier task's labels is kept."""
    if settings.inputs == "stage":
        return [n for n, row in enumerate(context.rows) if row["task"] not in context.earlier_rows]
    return [n for n, row in enumerate(context.rows) if row["task"] == task and _is_unlabelled(row)]


def _is_unlabelled(row: Row) -> bool:
    return all(label == -100 for label in row["labels"])
