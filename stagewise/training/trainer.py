"""TRL's SFTTrainer with label metrics, remedies' hooks and shared steps. Importing this module imports torch."""

import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from accelerate.data_loader import SeedableRandomSampler
from transformers.trainer_utils import EvalLoopOutput

from stagewise.inference import likelihood
from stagewise.inference.label_words import without_missing_options
from stagewise.measures import evaluate
from stagewise.models.frozen_layers import FrozenLayers
from stagewise.models.load import compute_context
from stagewise.models.token_tree import TokenTree
from stagewise.remedies.base import Batch, TrainingHook
from stagewise.training.callbacks import LogLastStep, RunHooksAfterStep
from stagewise.training.checkpointed import CheckpointedTrainer
from stagewise.training.distributed import StepShare
from stagewise.training.hooks import evaluated_weights
from stagewise.training.sampling import GroupedByLength, StepPasses
from stagewise.training.stage_data import ValidationPrompts

_EXTRA_TOKENS = "extra_tokens"  # among a checkpoint's sums


def cast_trainable_to_float32(model) -> int:
    """Cast every trainable LoRA weight to float32 in place; return the number of trainable parameters.

    trl casts the adapter of a quantized model to bfloat16 when it builds a trainer, but a resumed run loads it as
    float32: the two runs then diverge. Call this right after the trainer is built, before the optimizer is. What an
    adapter brings beside LoRA, whole modules and biases, computes in the base model's type.
    """
    count = 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32 if "lora_" in name else model.dtype)
            count += parameter.numel()
    return count


def _count(batch: dict) -> list[int]:
    """Count a pass's rows, its tokens without padding, and those that the loss counts."""
    if not batch["row"]:
        return [0, 0, 0]
    return [len(batch["row"]), int(batch["attention_mask"].sum()), int((batch["labels"][:, 1:] != -100).sum())]


class StageTrainer(CheckpointedTrainer):
    """Adds every measure on validation items to every evaluation, and remedies' hooks to training.

    Parameters
    ----------
    share
        This process's share of every step.
    validation
        Validation items of the stage's own tasks; each measure is the mean over the tasks. Empty leaves them out.
    earlier_validation
        Those of earlier tasks: their measures are called ``accuracy:<task>``, ``macro_f1:<task>`` and so on.
    tokens_per_batch
        Padded tokens per scoring batch, as in prediction: with other batches some answers would be others.
    loss_on
        Tokens of the validation loss, ``answer`` or ``text``. That of answers follows from the labels' scores.

    Attributes
    ----------
    frozen_layers
        The model's frozen layers, if their output is kept (`use_frozen_layers`).
    extra_tokens
        Tokens that hooks read beside training, in all processes, interruptions included.
    """

    def __init__(
        self,
        *args,
        share: StepShare,
        validation: list[ValidationPrompts] = (),
        earlier_validation: list[ValidationPrompts] = (),
        tokens_per_batch: int = 4096,
        loss_on: str = "answer",
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self._share, self._loss_on = share, loss_on
        self._validation, self._earlier_validation = list(validation), list(earlier_validation)
        self._tokens_per_batch = tokens_per_batch
        cast_trainable_to_float32(self.model)
        self.add_callback(LogLastStep(self.may_be_last))
        self._pass_tokens: list[int] = []  # of the passes since the last step
        self._evaluated_passes: list[tuple[float, int]] = []
        self._label_scores: dict[str, np.ndarray] = {}  # of this evaluation, by task
        self.frozen_layers: FrozenLayers | None = None
        self.extra_tokens = 0

    def use_frozen_layers(self, frozen_layers: FrozenLayers | None) -> None:
        """Take the frozen layers' output from what is kept, if that of all training and validation items fits."""
        tokens = sum(map(len, self.train_dataset["input_ids"]))
        for validation in [*self._validation, *self._earlier_validation]:
            answers = sum(map(len, validation.label_token_ids))
            tokens += sum(len(prompt) + answers for prompt in validation.prompts)
        if self._has_generated_answers:
            tokens += sum(map(len, self.eval_dataset["input_ids"]))
        self.frozen_layers = frozen_layers if frozen_layers and frozen_layers.fits(tokens) else None

    def add_hooks(self, hooks: list[TrainingHook]) -> None:
        """Let these hooks act from now on."""
        self._hooks = hooks
        self.add_callback(RunHooksAfterStep(hooks))

    # Items of each pass.

    def _get_train_sampler(self, train_dataset=None):
        """Group items by length in an order that a resumed training repeats; transformers' own order would differ."""
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        lengths = [len(ids) for ids in (train_dataset or self.train_dataset)["input_ids"]]
        return GroupedByLength(lengths, self._share.items, self.args.data_seed)

    def get_train_dataloader(self):
        sampler = self._get_train_sampler()
        if isinstance(sampler, torch.utils.data.RandomSampler):  # which accelerate would make reproducible
            sampler = SeedableRandomSampler(sampler.data_source, data_seed=self.args.data_seed)
        return self._shared_loader(self.train_dataset, sampler, self._share)

    def get_eval_dataloader(self, eval_dataset=None):
        if self._share.count == 1:
            return super().get_eval_dataloader(eval_dataset)
        items = self.eval_dataset if eval_dataset is None else eval_dataset
        sampler = self._get_eval_sampler(items) or torch.utils.data.SequentialSampler(items)
        share = replace(self._share, items=self._share.micro_batch * self._share.count)
        return self._shared_loader(items, sampler, share)

    def _shared_loader(self, items, sampler, share: StepShare):
        """Build a loader of this process's share; accelerate must not prepare it, which would shard it once more."""
        return torch.utils.data.DataLoader(
            items,
            batch_sampler=StepPasses(sampler, share),
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Collect a step's passes, and count what its means are over while they are in the CPU's memory."""
        batches = list(islice(epoch_iterator, num_batches))
        counts = torch.tensor([[*_count(batch), self._count_extra(batch)] for batch in batches]).reshape(-1, 4)
        if self._share.count > 1:
            counts = self.accelerator.gather(counts[None].to(device)).sum(0)
        rows, tokens, counted_tokens, extra_tokens = counts.sum(0).tolist()
        self.trained_tokens += tokens
        self.extra_tokens += extra_tokens
        for batch, pass_tokens in zip(batches, counts[:, 2].tolist(), strict=True):
            for name, value in batch.items():
                if isinstance(value, torch.Tensor):  # copied while the GPU computes, if the memory is pinned
                    batch[name] = value.to(device, non_blocking=True)
            batch |= {"step_rows": rows / self._share.count, "pass_tokens": pass_tokens}
        return batches, counted_tokens

    def _count_extra(self, batch: dict) -> int:
        """Count the tokens that hooks will read of a pass's rows, in addition to training."""
        of_rows = [hook.extra_tokens_of_row for hook in self._hooks if hook.extra_tokens_of_row]
        return sum(tokens[row] for tokens in of_rows for row in batch["row"])

    def begin(self) -> None:
        if self._start is not None and self._start.continues_stage:
            self.extra_tokens = self._start.log_sums.get(_EXTRA_TOKENS, 0)
        super().begin()

    def _log_sums(self) -> dict:
        return super()._log_sums() | {_EXTRA_TOKENS: self.extra_tokens}

    def training_step(self, model, inputs, *args, **kwargs):
        loss = super().training_step(model, inputs, *args, **kwargs)
        self._pass_tokens.append(inputs["pass_tokens"])
        if len(self._pass_tokens) == self.current_gradient_accumulation_steps:
            self._log_step_means()
        return loss

    def _log_step_means(self) -> None:
        """Replace what trl logs of every pass of a step by its mean over the step's tokens, however it was split."""
        metrics, weights, self._pass_tokens = self._metrics["train"], np.array(self._pass_tokens), []
        for name in ("entropy", "mean_token_accuracy"):
            passes = metrics[name][-len(weights) :]
            metrics[name][-len(weights) :] = [float(weights @ passes) / max(int(weights.sum()), 1)]
        metrics["num_tokens"] = [self.all_tokens]

    # Loss.

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        row_numbers, step_rows = inputs.pop("row"), inputs.pop("step_rows", None)
        inputs.pop("pass_tokens", None)
        if not self._hooks or not self.model.training:
            with compute_context(self.model), self._frozen_layers_replayed(inputs, len(row_numbers)):
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        replayed = self._frozen_layers_replayed(inputs, len(row_numbers))
        with compute_context(self.model), replayed, self._captured_outputs() as captured:
            loss = super().compute_loss(model, inputs, False, num_items_in_batch)
        tokens = captured["output"].label_mask.sum() if num_items_in_batch is None else num_items_in_batch
        batch = Batch(
            row_numbers=row_numbers,
            nll=-captured["output"].log_probs.float().sum(1)[: len(row_numbers)],
            # Gradients are averaged over the processes, but what is divided by the tokens is meant to add up.
            loss_tokens=max(float(tokens), 1.0) / self._share.count,
            step_rows=step_rows,
            batch_fraction=1 / self.current_gradient_accumulation_steps,
            hidden_states=captured["hidden_states"][: len(row_numbers)],
        )
        for hook in self._hooks:
            extra = hook.loss(batch)
            if extra is not None:
                loss = loss + extra
        return loss

    def _frozen_layers_replayed(self, inputs, rows: int):
        """Replay the frozen layers' output for a padded batch, of which `rows` are items.

        No loss is on what follows a row's last token, so that token's states are not needed.
        """
        if not self.frozen_layers or not rows:
            return nullcontext()
        lengths = inputs["attention_mask"].sum(1).tolist()
        ids = inputs["input_ids"].tolist()
        trees = [TokenTree(tuple(row[: length - 1])) for row, length in zip(ids, lengths, strict=True)]
        return self.frozen_layers.replayed(trees, inputs["input_ids"].shape[1])

    @contextmanager
    def _captured_outputs(self):
        """Capture a forward pass's outputs: the fused head's, and the decoder's last hidden states."""
        base = self.accelerator.unwrap_model(self.model).get_base_model()
        captured = {}
        handles = [
            base.register_forward_hook(lambda module, args, output: captured.update(output=output)),
            base.base_model.register_forward_hook(
                lambda module, args, output: captured.update(hidden_states=output.last_hidden_state)
            ),
        ]
        try:
            yield captured
        finally:
            for handle in handles:
                handle.remove()

    # Evaluation.

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        started = time.monotonic()
        self._label_scores = {}
        with evaluated_weights(self._hooks):
            metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            if not np.isfinite(metrics[f"{metric_key_prefix}_loss"]):
                self.diverged("the validation loss")
            label_metrics = self._label_metrics(metric_key_prefix)
        if label_metrics:
            self.log(label_metrics)
            metrics |= label_metrics
        seconds = time.monotonic() - started
        self.evaluation_seconds += seconds
        self._limit.measure("evaluation", seconds)
        return metrics

    def _label_metrics(self, prefix: str) -> dict[str, float]:
        metrics = {}
        if self._validation:
            by_task = [self._evaluate_labels(prompts) for prompts in self._validation]
            # Tasks of different kinds share some measures, and those have a mean.
            for name in [name for name in by_task[0] if all(name in scores for scores in by_task)]:
                metrics[f"{prefix}_{name}"] = sum(scores[name] for scores in by_task) / len(by_task)
        for prompts in self._earlier_validation:
            for name, value in self._evaluate_labels(prompts).items():
                metrics[f"{prefix}_{name}:{prompts.task}"] = value
        return metrics

    def _evaluate_labels(self, validation: ValidationPrompts) -> dict[str, float]:
        """Compute every measure on the validation items of one task."""
        logprobs = self._score_labels(validation)
        if not np.isfinite(logprobs).all():
            self.diverged(f"a validation log-probability of {validation.task}")
        if validation.options is not None:
            logprobs = without_missing_options(logprobs, validation.options)
        self.validation_answers[validation.task] = logprobs.argmax(1).tolist()
        return evaluate(validation.gold, logprobs, validation.kind)

    def _score_labels(self, validation: ValidationPrompts) -> np.ndarray:
        """Log-probability of every label of a task's validation items, (items, labels); once in an evaluation."""
        if validation.task not in self._label_scores:
            logprobs = likelihood.score(
                self.model,
                self.processing_class,
                validation.prompts,
                validation.label_token_ids,
                self._tokens_per_batch,
                share=(self._share.index, self._share.count),
                frozen_layers=self.frozen_layers,
                before_batch=self.check_interrupted,
            )
            logprobs = self.accelerator.reduce(torch.tensor(logprobs, device=self.args.device), "sum")
            self._label_scores[validation.task] = logprobs.cpu().numpy()
        return self._label_scores[validation.task]

    def evaluation_loop(self, *args, metric_key_prefix: str = "eval", **kwargs):
        """Compute the validation loss: summed negative log-probability of the counted tokens over their number.

        It does not depend on how items are batched, or shared among processes.
        """
        if self._scores_answers:
            self.model.eval()  # as the loop of transformers leaves it
            loss, items = self._answer_loss(), sum(len(validation.gold) for validation in self._validation)
            return EvalLoopOutput(None, None, {f"{metric_key_prefix}_loss": loss}, items)
        self._evaluated_passes = []
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        passes = torch.tensor(self._evaluated_passes, dtype=torch.float64, device=self.args.device)
        loss, tokens = self.accelerator.gather(passes[None]).unbind(-1)
        output.metrics[f"{metric_key_prefix}_loss"] = float((loss * tokens).sum() / tokens.sum().clamp(min=1))
        return output

    @property
    def _has_generated_answers(self) -> bool:
        """True if some validation items of the stage's tasks are not answered with one label."""
        return sum(len(validation.gold) for validation in self._validation) < len(self.eval_dataset)

    @property
    def _scores_answers(self) -> bool:
        """True if the validation loss follows from the labels' scores."""
        return self._loss_on == "answer" and bool(self._validation) and not self._has_generated_answers

    def _answer_loss(self) -> float:
        """Mean negative log-probability of the gold answers' tokens, nats."""
        nll, tokens = 0.0, 0
        for validation in self._validation:
            nll -= self._score_labels(validation)[np.arange(len(validation.gold)), validation.gold].sum()
            tokens += sum(len(validation.label_token_ids[label]) for label in validation.gold)
        return float(nll / max(tokens, 1))

    def prediction_step(self, model, inputs, *args, **kwargs):
        self.check_interrupted()
        tokens = int((inputs["labels"][:, 1:] != -100).sum())
        loss, *rest = super().prediction_step(model, inputs, *args, **kwargs)
        self._evaluated_passes.append((float(loss), tokens))
        return loss, *rest
