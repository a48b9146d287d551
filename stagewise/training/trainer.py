"""TRL's SFTTrainer with what this project needs of it. Importing this module imports torch and trl."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import trl
import trl.trainer.utils
from accelerate.data_loader import SeedableRandomSampler
from sklearn.metrics import accuracy_score, f1_score
from transformers import TrainerCallback

from stagewise.inference import likelihood
from stagewise.remedies.base import Batch, Effect
from stagewise.training.distributed import Split
from stagewise.training.sampling import Batches, GroupedByLength, Shares, rows_of_mean

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
        self.trainer.accelerator.wait_for_everyone()  # each process leaves its random state in the folder
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / TOKENS).write_text(str(self.trainer.all_tokens), encoding="utf-8")


class StageTrainer(trl.SFTTrainer):
    """Adds label accuracy and macro-F1 on validation items to every evaluation, and what remedies do to training.

    Parameters
    ----------
    validation
        Validation items of the stage's own tasks; both metrics are means over the tasks. Empty leaves them out.
    watched
        Those of earlier tasks: their metrics are called ``accuracy:<task>`` and ``macro_f1:<task>``.
    split
        How several processes divide every step.
    tokens_per_batch
        Padded tokens per scoring batch.
    """

    def __init__(self, *args, split: Split, validation=(), watched=(), tokens_per_batch=4096, **kwargs):
        super().__init__(*args, **kwargs)
        self._split = split
        self._validation, self._watched = list(validation), list(watched)
        self._tokens_per_batch = tokens_per_batch
        self._effects: list[Effect] = []
        float32_trainable(self.model)
        self.add_callback(LogLastStep())
        self.trained_tokens = 0
        """Tokens trained on since the start or resume, in all processes, padding aside."""
        self.resumed_tokens = 0
        """Those of the training that this one resumes."""
        self.evaluation_seconds = 0.0
        self._passes: list[tuple[float, int, int]] = []
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
        return GroupedByLength(lengths, self._split.step_size, self.args.data_seed)

    def get_train_dataloader(self):
        if self._split.count == 1:
            return super().get_train_dataloader()
        sampler = self._get_train_sampler()
        if isinstance(sampler, torch.utils.data.RandomSampler):  # which accelerate would make reproducible
            sampler = SeedableRandomSampler(sampler.data_source, data_seed=self.args.data_seed)
        return self._shared(self.train_dataset, Batches(sampler, self._split.pass_size), self._split)

    def get_eval_dataloader(self, eval_dataset=None):
        if self._split.count == 1:
            return super().get_eval_dataloader(eval_dataset)
        items = self.eval_dataset if eval_dataset is None else eval_dataset
        sampler = self._get_eval_sampler(items) or torch.utils.data.SequentialSampler(items)
        # A pass has as many items as one process alone would score at a time; here each scores a part of it.
        return self._shared(items, Batches(sampler, self.args.eval_batch_size), replace(self._split, whole=False))

    def _shared(self, items, batches: Batches, split: Split):
        """Not prepared by accelerate, which would shard it once more."""
        pin = self.args.dataloader_pin_memory
        shares = Shares(batches, split)
        return torch.utils.data.DataLoader(items, batch_sampler=shares, collate_fn=self.data_collator, pin_memory=pin)

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        counts = [[len(b["row"]), int(b["attention_mask"].sum()) if len(b["row"]) else 0] for b in batches]
        counts = self.accelerator.gather(torch.tensor(counts, device=device)[None])
        self.trained_tokens += int(counts[..., 1].sum())
        for batch, rows in zip(batches, rows_of_mean(counts[..., 0], self._split), strict=True):
            batch["rows_of_mean"] = rows
        return batches, items

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        rows, mean_over = inputs.pop("row").tolist(), inputs.pop("rows_of_mean", None)
        if not self._effects or not self.model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with self._captured() as seen:
            loss = super().compute_loss(model, inputs, False, num_items_in_batch)
        tokens = seen["output"].label_mask.sum() if num_items_in_batch is None else num_items_in_batch
        batch = Batch(
            rows=rows,
            nll=-seen["output"].log_probs.float().sum(1)[: len(rows)],
            # Gradients are averaged over the processes, but what is divided by the tokens is meant to add up.
            tokens=max(float(tokens), 1.0) / self._split.count,
            mean_over=mean_over,
            share=1 / self.current_gradient_accumulation_steps,
            hidden=seen["hidden"][: len(rows)],
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

    def evaluation_loop(self, *args, **kwargs):
        self._passes = []
        output = super().evaluation_loop(*args, **kwargs)
        if self._split.count > 1:
            output.metrics[f"{kwargs.get('metric_key_prefix', 'eval')}_loss"] = self._loss_of_passes()
        return output

    def _loss_of_passes(self) -> float:
        """The loss that one process would report: a mean over tokens in every pass, and then over items.

        trl takes each process's mean over its own tokens, and transformers gives every process's mean the same weight.
        """
        passes = torch.tensor(self._passes, dtype=torch.float64, device=self.args.device)
        loss, tokens, rows = self.accelerator.gather(passes[None]).unbind(-1)
        of_pass = (loss * tokens).sum(0) / tokens.sum(0).clamp(min=1)
        return float((of_pass * rows.sum(0)).sum() / rows.sum())

    def prediction_step(self, model, inputs, *args, **kwargs):
        rows, tokens = len(inputs["row"]), int((inputs["labels"][:, 1:] != -100).sum())
        loss, *rest = super().prediction_step(model, inputs, *args, **kwargs)
        self._passes.append((float(loss), tokens, rows))
        return loss, *rest

    def _ask(self, questions: Questions) -> tuple[float, float]:
        """Accuracy and macro-F1 on validation items."""
        logprobs = likelihood.score(
            self.model,
            self.processing_class,
            questions.prompts,
            questions.answers,
            self._tokens_per_batch,
            share=(self._split.index, self._split.count),
        )
        logprobs = self.accelerator.reduce(torch.tensor(logprobs, device=self.args.device), "sum").cpu().numpy()
        predicted, labels = logprobs.argmax(axis=1), range(len(questions.answers))
        return (
            float(accuracy_score(questions.gold, predicted)),
            float(f1_score(questions.gold, predicted, labels=labels, average="macro", zero_division=0)),
        )


def float32_trainable(model) -> int:
    """Cast every trainable parameter to float32 in place; return how many parameters are trainable.

    trl casts the adapter of a quantized model to bfloat16 when it builds a trainer, but a resumed run loads it as
    float32: the two runs then part. Call this right after the trainer is built, before the optimizer is.
    """
    import torch

    count = 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
            count += parameter.numel()
    return count
