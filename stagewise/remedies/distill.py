"""Keep the parent's answers, right or wrong."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from stagewise.remedies.base import Batch, Effect, Remedy, Row, Scene
from stagewise.remedies.rehearsal import sample


class Distill(Remedy):
    """Learning without forgetting (Li & Hoiem 2016): KL divergence from the parent's distribution over earlier labels.

    On the stage's own inputs it trains on no earlier item; on rehearsal items their gold labels are not used. The
    distribution is over the first tokens of an earlier task's label words, renormalized, so that it leaves the stage's
    own answers free.
    """

    paper: ClassVar[str] = "Li & Hoiem 2016 (LwF), arXiv:1606.09282"
    needs_earlier: ClassVar[bool] = True
    needs_parent: ClassVar[bool] = True

    strength: float = Field(1.0, gt=0, description="Weight of the divergence.")
    temperature: float = Field(
        2.0, gt=0, description="Both distributions are softened by it, and the loss scaled by its square."
    )
    inputs: Literal["stage", "rehearsal"] = Field(
        "stage", description="The stage's own inputs, or a share of the earlier tasks' training inputs mixed in."
    )
    share: float | None = Field(
        None, gt=0, le=1, description="Share of each earlier task's items; with `rehearsal` alone (0.1)."
    )

    @model_validator(mode="after")
    def share_goes_with_rehearsal(self):
        if self.share is not None and self.inputs == "stage":
            raise ValueError("'share' goes with inputs: rehearsal; with inputs: stage no earlier item is used")
        return self

    @property
    def label(self) -> str:
        return f"distill-{self.inputs}" + (f"-{100 * (self.share or 0.1):g}" if self.inputs == "rehearsal" else "")

    def rows(self, rows: list[Row], earlier: dict[str, list[Row]], seed: int) -> list[Row]:
        if self.inputs == "stage":
            return rows
        kept = [row for n, known in enumerate(earlier.values()) for row in sample(known, self.share or 0.1, seed, n)]
        # Their gold labels take no part in the loss.
        return rows + [row | {"labels": [-100] * len(row["labels"])} for row in kept]

    def effect(self, scene: Scene) -> Effect:
        return _Taught(scene, self)


class _Taught(Effect):
    """`targets[task]` holds the parent's distribution over the task's label tokens by row; NaN where there is none."""

    def __init__(self, scene: Scene, settings: Distill):
        import torch

        self.settings = settings
        self.label_tokens = {task: list(dict.fromkeys(a[0] for a in scene.answers[task])) for task in scene.earlier}
        self.ends = torch.tensor([row["prompt_tokens"] - 1 for row in scene.rows])
        on_stage = settings.inputs == "stage"
        taught = [
            [
                n
                for n, row in enumerate(scene.rows)
                if (row["task"] not in scene.earlier if on_stage else row["task"] == task and _unlabelled(row))
            ]
            for task in scene.earlier
        ]
        prompts = sorted({n for rows in taught for n in rows})
        logits = _next_token_logits(
            scene, prompts, sorted({t for tokens in self.label_tokens.values() for t in tokens})
        )
        self.tokens = sum(scene.rows[n]["prompt_tokens"] for n in prompts)
        self.targets = {}
        for (task, tokens), rows in zip(self.label_tokens.items(), taught, strict=True):
            target = torch.full((len(scene.rows), len(tokens)), float("nan"))
            for n in rows:
                known = torch.tensor([logits[n][token] for token in tokens])
                target[n] = (known / settings.temperature).softmax(0)
            self.targets[task] = target

    def loss(self, batch: Batch):
        import torch

        temperature, total = self.settings.temperature, 0.0
        rows = torch.tensor(batch.rows, dtype=torch.long)
        for task, tokens in self.label_tokens.items():
            target = self.targets[task][rows]
            taught = ~target.isnan().any(1)
            if not taught.any():
                continue
            device = batch.hidden.device
            student = (batch.logits(self.ends[rows].to(device), tokens) / temperature).log_softmax(-1)[
                taught.to(device)
            ]
            teacher = target[taught].to(device)
            total = total + torch.nn.functional.kl_div(student, teacher, reduction="sum")
        if isinstance(total, float):
            return None
        return batch.share * self.settings.strength * temperature**2 * total / batch.mean_over


def _unlabelled(row: Row) -> bool:
    return all(label == -100 for label in row["labels"])


def _next_token_logits(scene: Scene, numbers: list[int], tokens: list[int]) -> dict[int, dict[int, float]]:
    """The model's logits of some tokens after the prompts of some rows."""
    import torch

    from stagewise.inference.likelihood import batches, pad_left

    prompts = [scene.rows[n]["input_ids"][: scene.rows[n]["prompt_tokens"]] for n in numbers]
    device = next(scene.model.parameters()).device
    was_training, found = scene.model.training, {}
    scene.model.eval()
    with torch.no_grad():
        for group in batches([len(prompt) for prompt in prompts], 4096):
            ids, mask, positions = pad_left([prompts[i] for i in group], scene.tokenizer.pad_token_id, device)
            logits = (
                scene.model(
                    input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1
                )
                .logits[:, -1, tokens]
                .float()
                .cpu()
            )
            found |= {
                numbers[i]: dict(zip(tokens, row.tolist(), strict=True)) for i, row in zip(group, logits, strict=True)
            }
    scene.model.train(was_training)
    return found
