"""TRL's SFTTrainer with what this project needs of it. Importing this module imports torch and trl."""

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import trl
import trl.trainer.utils
from sklearn.metrics import accuracy_score, f1_score
from transformers import TrainerCallback
from transformers.trainer_pt_utils import get_length_grouped_indices

from forgetting import scoring
from forgetting.numerics import float32_trainable
from forgetting.remedies.base import Batch, Effect


TOKENS = "trained_tokens"


def score_answers_only_on_cpu() -> bool:
    """Let trl's loss compute the output head at the loss's positions alone, on CPU as it does on GPU.

    trl 1.16 scores every position where there is no Triton, which on a CPU costs a third of a step and
    changes no figure. The switch is a private name: where it is gone, training is slower and still right.
    Returns whether it was found.
    """
    if not hasattr(trl.trainer.utils, "_use_triton"):
        return False
    trl.trainer.utils._use_triton = lambda device: True
    return True


@dataclass(frozen=True)
class Questions:
    """Validation items of one task, as label scoring asks them."""

    task: str
    prompts: list[list[int]]
    answers: list[list[int]]
    gold: list[int]
    """Codes of the gold labels."""


class LogLastStep(TrainerCallback):
    """Log the last step too, whatever the interval: its loss is the final loss."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= state.max_steps:
            control.should_log = True
        return control


class AfterStep(TrainerCallback):
    """Tell every effect that the optimizer has stepped."""

    def __init__(self, effects: list[Effect]):
        self.effects = effects

    def on_optimizer_step(self, args, state, control, **kwargs):
        for effect in self.effects:
            effect.after_step()


class KeepTokens(TrainerCallback):
    """Writes the tokens trained on so far into every checkpoint, where a resumed training finds them."""

    def __init__(self, trainer):
        self.trainer = trainer

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / TOKENS).write_text(str(self.trainer.all_tokens), encoding="utf-8")


class Collator:
    """Pads rows on the right; ``row`` carries their numbers."""

    def __init__(self, pad: int):
        self.pad = pad

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)

        def padded(key, value):
            return torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in rows])

        return {
            "input_ids": padded("input_ids", self.pad),
            "attention_mask": torch.tensor(
                [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
            ),
            "labels": padded("labels", -100),
            "row": torch.tensor([row["row"] for row in rows]),
        }


class GroupedByLength(torch.utils.data.Sampler):
    """Items of similar length side by side, in an order that seed and epoch alone decide.

    transformers' own sampler draws from the global generator, so that a training resumed within an epoch would meet
    other batches than it would have without the interruption.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self):
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class StageTrainer(trl.SFTTrainer):
    """Adds label accuracy and macro-F1 on validation items to every evaluation, and what remedies do to training.

    Parameters
    ----------
    validation
        Validation items of the stage's own tasks; both metrics are means over the tasks. Empty leaves them out.
    watched
        Those of earlier tasks: their metrics are called ``accuracy:<task>`` and ``macro_f1:<task>``.
    tokens_per_batch
        Padded tokens per scoring batch.
    """

    def __init__(self, *args, validation=(), watched=(), tokens_per_batch=4096, **kwargs):
        super().__init__(*args, **kwargs)
        self._validation, self._watched = list(validation), list(watched)
        self._tokens_per_batch = tokens_per_batch
        self._effects: list[Effect] = []
        float32_trainable(self.model)
        self.add_callback(LogLastStep())
        self.trained_tokens = 0
        """Tokens trained on in this process, padding aside."""
        self.resumed_tokens = 0
        """Those of the training that this one resumes."""
        self.evaluation_seconds = 0.0
        self.add_callback(KeepTokens(self))

    @property
    def all_tokens(self) -> int:
        return self.resumed_tokens + self.trained_tokens

    def use(self, effects: list[Effect]) -> None:
        """Let these effects act from now on."""
        self._effects = effects
        self.add_callback(AfterStep(effects))

    def _get_train_sampler(self, train_dataset=None):
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        lengths = [len(ids) for ids in (train_dataset or self.train_dataset)["input_ids"]]
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return GroupedByLength(lengths, batch, self.args.data_seed)

    def training_step(self, model, inputs, *args, **kwargs):
        self.trained_tokens += int(inputs["attention_mask"].sum())
        return super().training_step(model, inputs, *args, **kwargs)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        rows = inputs.pop("row").tolist()
        if not self._effects or not self.model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with self._captured() as seen:
            loss = super().compute_loss(model, inputs, False, num_items_in_batch)
        tokens = seen["output"].label_mask.sum() if num_items_in_batch is None else num_items_in_batch
        batch = Batch(
            rows=rows,
            nll=-seen["output"].log_probs.float().sum(1),
            tokens=max(float(tokens), 1.0),
            share=1 / self.current_gradient_accumulation_steps,
            hidden=seen["hidden"],
            head=self.accelerator.unwrap_model(model).get_output_embeddings().weight,
        )
        for effect in self._effects:
            extra = effect.loss(batch)
            if extra is not None:
                loss = loss + extra
        return loss

    @contextmanager
    def _captured(self):
        """What one forward pass gives: the fused head's output and the decoder's last hidden states."""
        base = self.accelerator.unwrap_model(self.model).get_base_model()
        seen = {}
        hooks = [
            base.register_forward_hook(lambda module, args, output: seen.update(output=output)),
            base.base_model.register_forward_hook(
                lambda module, args, output: seen.update(hidden=output.last_hidden_state)
            ),
        ]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        started = time.monotonic()
        metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        extra = {}
        if self._validation:
            own = [self._ask(questions) for questions in self._validation]
            for name, values in zip(("accuracy", "macro_f1"), zip(*own, strict=True), strict=True):
                extra[f"{metric_key_prefix}_{name}"] = sum(values) / len(values)
        for questions in self._watched:
            for name, value in zip(("accuracy", "macro_f1"), self._ask(questions), strict=True):
                extra[f"{metric_key_prefix}_{name}:{questions.task}"] = value
        if extra:
            self.log(extra)
            metrics |= extra
        self.evaluation_seconds += time.monotonic() - started
        return metrics

    def _ask(self, questions: Questions) -> tuple[float, float]:
        """Accuracy and macro-F1 on validation items."""
        logprobs = scoring.score(
            self.model, self.processing_class, questions.prompts, questions.answers, self._tokens_per_batch
        )
        predicted, labels = logprobs.argmax(axis=1), range(len(questions.answers))
        return (
            float(accuracy_score(questions.gold, predicted)),
            float(f1_score(questions.gold, predicted, labels=labels, average="macro", zero_division=0)),
        )
