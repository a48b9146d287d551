"""TRL's SFTTrainer that stops rather than diverge, writes whole checkpoints, and keeps to a time limit.

Importing this module imports torch.
"""

import json
import logging
import sys
import time
from contextlib import contextmanager

import torch
import trl

from stagewise.errors import InputError, Unfinished
from stagewise.models.finite import all_finite, optimizer_tensors
from stagewise.models.out_of_memory import is_out_of_memory
from stagewise.remedies.base import TrainingHook
from stagewise.training.callbacks import ResumeLog
from stagewise.training.checkpoints import LOG_SUMS, TRAINED_TOKENS, VALIDATION_ANSWERS, Checkpoint, CheckpointFolder
from stagewise.training.early_stopping import StoppingRule
from stagewise.training.hooks import evaluated_weights, load_hook_state, save_hook_state
from stagewise.training.time_limit import TimeLimit

_STEPS_BEFORE = "steps_before"  # among a checkpoint's sums

# What is looked at after every step, in the order in which one makes the next.
_WATCHED = ("the training loss", "the gradient", "a weight of the adapter")


class ScoringOutOfMemory(torch.OutOfMemoryError):
    """Memory ran out while validation items were scored."""


@contextmanager
def _no_warning_of_other_passes():
    """Silence transformers' warning of a checkpoint with other items per pass, which are the same step here."""
    logger = logging.getLogger("transformers.trainer_utils")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


class CheckpointedTrainer(trl.SFTTrainer):
    """Checks every step for numbers that are not finite, and leaves checkpoints that can be trusted.

    Parameters
    ----------
    name
        Name of the adapter, for messages.
    checkpoints
        The training's checkpoints.
    start
        Checkpoint that it goes on from; None for a start from the beginning.
    limit
        When to stop at a checkpoint, to go on later.
    stopping_rule
        When to stop for good; None for never before the last step.
    """

    def __init__(
        self,
        *args,
        name: str,
        checkpoints: CheckpointFolder,
        start: Checkpoint | None = None,
        limit: TimeLimit | None = None,
        stopping_rule: StoppingRule | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self._name, self._checkpoints, self._start = name, checkpoints, start
        self._limit = limit or TimeLimit()
        self._stopping_rule, self._has_ended = stopping_rule, False
        self.steps_before = 0
        """Steps of the log that are not the stage's: its parent's, whose count it goes on with."""
        if start:
            self.steps_before = start.log_sums.get(_STEPS_BEFORE, 0) if start.continues_stage else start.step
        self._hooks: list[TrainingHook] = []
        self.trained_tokens = 0
        """Tokens trained on since the start or resume, in all processes, without padding."""
        self.resumed_tokens = start.trained_tokens if start else 0
        self.evaluation_seconds = 0.0
        self.validation_answers: dict[str, list[int]] = {}
        """Answers of the last evaluation, as codes of labels in item order, by task."""
        if start and start.continues_stage:
            self.validation_answers = start.validation_answers
        self._losses: list[torch.Tensor] = []  # of the passes since the last step
        self._grad_norm, self._step_rate = torch.tensor(0.0), 0.0
        self._checked_step = self._saved_step = start.step if start else 0
        self._mark = time.monotonic()
        self._steps_per_epoch = 1
        self.add_callback(ResumeLog(self.begin))

    @property
    def all_tokens(self) -> int:
        """Tokens of the whole training, interruptions included."""
        return self.resumed_tokens + self.trained_tokens

    # Start and end.

    def train(self, *args, **kwargs):
        try:
            return super().train(*args, **kwargs)
        finally:
            for callback in self.callback_handler.callbacks:
                # A bar that is left open would share its line with the sentence of an error.
                for bar in (getattr(callback, "prediction_bar", None), getattr(callback, "training_bar", None)):
                    if bar is not None:
                        bar.close()

    def set_initial_training_values(self, args, dataloader):
        values = super().set_initial_training_values(args, dataloader)
        self._steps_per_epoch = values[1]
        return values

    def _init_training_state(self, max_steps, steps_per_epoch, epochs, *args):
        with _no_warning_of_other_passes():
            values = super()._init_training_state(max_steps, steps_per_epoch, epochs, *args)
        if self._start is None:
            return values
        self._has_ended = self._stops_early()
        # The state in a checkpoint names no folder, so that a results folder can be moved.
        best = self.state.best_global_step if self._start.continues_stage else None
        if best:
            self.state.best_model_checkpoint = str(self._checkpoints.path(best))
        else:  # the parent's best checkpoint is none of this stage
            self.state.best_model_checkpoint = self.state.best_metric = self.state.best_global_step = None
        return (epochs, 0) if self._has_ended else values  # no epoch is left, only the end of the training

    def begin(self) -> None:
        """Take up the hooks' state, the log's sums and the clock, right before the first step."""
        if self._start is not None and self._start.continues_stage:
            load_hook_state(self._hooks, self._start)
            sums = self._start.log_sums
            self._tr_loss = torch.tensor(sums["loss"], dtype=self._tr_loss.dtype, device=self._tr_loss.device)
            self._total_loss_scalar, self._globalstep_last_logged = sums["total_loss"], sums["logged_step"]
            self._total_train_tokens = sums["tokens"]
            self._metrics["train"].update(sums["metrics"])
            self._initial_global_step = 0
            self._limit.expect(self._start.facts["seconds"])
        if self.state.global_step < self.state.max_steps and not self._has_ended:
            self.check_interrupted(self._evaluates_at(self.state.global_step + 1))
        self._mark = time.monotonic()

    # Steps.

    def training_step(self, *args, **kwargs):
        loss = super().training_step(*args, **kwargs)
        self._losses.append(loss)
        return loss

    def _get_grad_norm(self, model, grad_norm=None):
        self._grad_norm = super()._get_grad_norm(model, grad_norm)
        self._step_rate = self._get_learning_rate()  # the scheduler has gone on when the step is over
        return self._grad_norm

    def _maybe_log_save_evaluate(self, *args, **kwargs):
        step, last = self.state.global_step, self._has_ended or self.state.global_step >= self.state.max_steps
        self.state.epoch = step / self._steps_per_epoch  # transformers counts passes, of which the last step has fewer
        if step > self._checked_step:
            self._limit.measure_step(time.monotonic() - self._mark)
            self._check_step()
        stop = not last and self._must_stop()
        if stop and self._saved_step != step and not self._evaluates_at(step):
            # Not evaluated, so that the choice of the best one is that of an undisturbed training.
            self.control.should_save = True
        super()._maybe_log_save_evaluate(*args, **kwargs)
        if self._saved_step == step and not last and self._stops_early():
            self._has_ended = self.control.should_training_stop = last = True
        if self._saved_step == step and not last and (stop or self._must_stop()):
            raise Unfinished(
                f"{self._name}: stopped after step {step} of {self.state.max_steps}, {self._limit.reason()}; the same "
                "command goes on from there"
            )
        self._mark = time.monotonic()

    def _stops_early(self) -> bool:
        """Tell if the training is over before its last step; all processes agree."""
        if self._stopping_rule is None:
            return False
        over = self._stopping_rule.is_over(self.state.log_history, self.steps_before)
        if self.args.world_size > 1:
            over = bool(self.accelerator.gather(torch.tensor([int(over)], device=self.args.device)).any())
        if over and not self.args.process_index:
            step, planned = self.state.global_step, self.state.max_steps
            print(f"{self._name}: over after step {step} of {planned}: {self._stopping_rule.reason}", file=sys.stderr)
        return over

    def may_be_last(self, step: int) -> bool:
        """Tell if the training may be over after a step."""
        return step >= self.state.max_steps or (self._stopping_rule is not None and self._evaluates_at(step))

    def _evaluate(self, *args, **kwargs):
        try:
            return super()._evaluate(*args, **kwargs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ScoringOutOfMemory(str(error)) from None

    def _check_step(self) -> None:
        """Stop if anything in the step that is over was not finite; nothing of it has been saved yet."""
        self._checked_step = self.state.global_step
        losses, self._losses = self._losses, []
        trainable = (parameter for parameter in self.model.parameters() if parameter.requires_grad)
        norm = torch.as_tensor(self._grad_norm, dtype=torch.float32, device=self.args.device)
        finite = torch.stack([all_finite(values).to(self.args.device) for values in (losses, [norm], trainable)])
        if self.args.world_size > 1:
            finite = self.accelerator.gather(finite[None].int()).amin(0)
        if bool(finite.all()):
            return
        self.diverged(_WATCHED[finite.tolist().index(0)])

    def diverged(self, what: str) -> None:
        """Stop a training in which something, named by `what`, is not finite.

        Raises
        ------
        InputError
            Always.
        """
        if self.state.global_step == 0:
            raise InputError(
                f"{self._name}: {what} is not finite (NaN or infinite) before the first step: the base model, or the "
                "adapter that the stage starts from, computes no numbers in this dtype; check both, or set dtype to "
                "float32"
            )
        rate = f"learning rate {self._step_rate:.3g}"
        path = self._checkpoints.path(self._saved_step)
        good = (
            f"the last good checkpoint is {path}" if path.is_dir() and self._saved_step else "no checkpoint was saved"
        )
        raise InputError(
            f"{self._name}: the training has diverged: {what} is not finite (NaN or infinite) at step "
            f"{self.state.global_step} of {self.state.max_steps} ({rate}); {good}; lower training.learning_rate, or "
            "raise training.warmup_ratio"
        )

    def _must_stop(self) -> bool:
        """Tell if the training has to stop now; all processes agree."""
        limit, evaluates = self._limit, self._evaluates_at(self.state.global_step + 1)
        if self.args.world_size == 1:
            return limit.is_over(evaluates)
        flags = torch.tensor([[limit.terminated, limit.is_over(evaluates)]], device=self.args.device).int()
        limit.terminated, over = self.accelerator.gather(flags).bool().any(0).tolist()
        return over

    def _evaluates_at(self, step: int) -> bool:
        """Tell if a step is followed by an evaluation, and so by a checkpoint that may be the best one."""
        every = self._steps_per_epoch if self.args.eval_strategy == "epoch" else self.state.eval_steps
        return step >= self.state.max_steps or step % every == 0

    def check_interrupted(self, evaluates: bool = False) -> None:
        """Stop before a step, or in the middle of an evaluation, if nothing would come of it and nothing is lost.

        The main process alone decides: when it ends, the launcher ends the others.

        Raises
        ------
        Unfinished
            If SIGTERM has come.
        InputError
            If the time limit is over, or would be before the next checkpoint.
        """
        if self.state.global_step != self._saved_step or self.args.process_index:
            return
        if self._limit.terminated:
            raise Unfinished(f"{self._name}: stopped before the next step, {self._limit.reason()}; run it again")
        self._limit.check_start(self._name, evaluates)

    # Checkpoints.

    def _save_checkpoint(self, model, trial) -> None:
        """Write a checkpoint aside, whole, and then give it its name."""
        started, step, writes = time.monotonic(), self.state.global_step, self.args.should_save
        if not bool(all_finite(optimizer_tensors(self.optimizer))):  # the weights were looked at after the step
            self.diverged("the optimizer's state")
        self.store_flos()
        sums = self._log_sums()
        if writes:
            self._checkpoints.begin(step)
        self.accelerator.wait_for_everyone()
        folder = self._checkpoints.aside(step)
        if writes:
            with evaluated_weights(self._hooks):
                self.model.save_pretrained(folder, save_embedding_layers=False)
            save_hook_state(self._hooks, folder)
            self._save_optimizer_and_scheduler(str(folder))
            self._save_state(folder, sums)
        self._save_rng_state(str(folder))
        self.accelerator.wait_for_everyone()
        best = self.state.best_global_step or None
        if writes:
            self._limit.measure("checkpoint", time.monotonic() - started)
            self._checkpoints.publish(step, best, self.args.world_size, self._limit.seconds)
        self.accelerator.wait_for_everyone()
        if best:
            self.state.best_model_checkpoint = str(self._checkpoints.path(best))
        self._saved_step = step
        self._limit.measure("checkpoint", time.monotonic() - started)

    def _save_state(self, folder, sums: dict) -> None:
        best, self.state.best_model_checkpoint = self.state.best_model_checkpoint, None
        self.state.save_to_json(str(folder / "trainer_state.json"))
        self.state.best_model_checkpoint = best
        (folder / LOG_SUMS).write_text(json.dumps(sums), encoding="utf-8")
        (folder / VALIDATION_ANSWERS).write_text(json.dumps(self.validation_answers), encoding="utf-8")
        (folder / TRAINED_TOKENS).write_text(str(self.all_tokens), encoding="utf-8")

    def _log_sums(self) -> dict:
        """Collect what the next line of the training log is the mean of."""
        return {
            "loss": float(self.accelerator.gather(self._tr_loss).mean()),
            "total_loss": self._total_loss_scalar,
            "logged_step": self._globalstep_last_logged,
            "tokens": self._total_train_tokens,
            "metrics": {name: list(values) for name, values in self._metrics["train"].items()},
        } | ({_STEPS_BEFORE: self.steps_before} if self.steps_before else {})

    def save_weights(self, folder) -> None:
        """Write the adapter of the finished training: the best checkpoint's if one was chosen, else the last one."""
        is_best = self.state.best_model_checkpoint is not None  # then it is on the model
        with evaluated_weights([] if is_best else self._hooks):
            self.model.save_pretrained(folder, save_embedding_layers=False)

    def _load_best_model(self) -> None:
        path = self._checkpoints.path(self.state.best_global_step)
        if reason := self._checkpoints.damage(path):
            raise InputError(
                f"{path}: the best checkpoint {reason} since it was saved; the same command trains again from one that "
                "is whole"
            )
        super()._load_best_model()
