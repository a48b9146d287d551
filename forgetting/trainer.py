"""TRL's SFTTrainer with what this project needs of it. Importing this module imports torch and trl."""

import time

import trl
import trl.trainer.utils
from sklearn.metrics import accuracy_score, f1_score
from transformers import TrainerCallback

from forgetting import scoring
from forgetting.numerics import float32_trainable


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


class LogLastStep(TrainerCallback):
    """Log the last step too, whatever the interval: its loss is the final loss."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= state.max_steps:
            control.should_log = True
        return control


class StageTrainer(trl.SFTTrainer):
    """Adds label accuracy and macro-F1 on the validation items to every evaluation.

    Parameters
    ----------
    validation
        ``(prompts, answers, gold)``: token ids of n prompts, token ids of the labels' answers, and n gold
        label indices; None leaves the two metrics out.
    tokens_per_batch
        Padded tokens per scoring batch.
    """

    def __init__(self, *args, validation=None, tokens_per_batch=4096, **kwargs):
        super().__init__(*args, **kwargs)
        self._validation = validation
        self._tokens_per_batch = tokens_per_batch
        float32_trainable(self.model)
        self.add_callback(LogLastStep())
        self.trained_tokens = 0
        """Tokens trained on in this process, padding aside."""
        self.evaluation_seconds = 0.0

    def training_step(self, model, inputs, *args, **kwargs):
        self.trained_tokens += int(inputs["attention_mask"].sum())
        return super().training_step(model, inputs, *args, **kwargs)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        started = time.monotonic()
        metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        if self._validation is not None:
            prompts, answers, gold = self._validation
            logprobs = scoring.score(self.model, self.processing_class, prompts, answers, self._tokens_per_batch)
            predicted = logprobs.argmax(axis=1)
            extra = {
                f"{metric_key_prefix}_accuracy": float(accuracy_score(gold, predicted)),
                f"{metric_key_prefix}_macro_f1": float(
                    f1_score(gold, predicted, labels=range(len(answers)), average="macro", zero_division=0)
                ),
            }
            self.log(extra)
            metrics |= extra
        self.evaluation_seconds += time.monotonic() - started
        return metrics
