"""Scores of a loaded model on tasks of lm-evaluation-harness, item by item.

The harness builds requests, reads answers and computes metrics; each item's main metric becomes its score. The mean of
these scores is compared with the harness's own figure every time.
"""

import math
import sys
from contextlib import nullcontext

from stagewise.config.probes import Harness
from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.chat_form import read_chat_form, template_arguments
from stagewise.inference.control_tokens import ControlTokens, chat_template
from stagewise.models.load import compute_context
from stagewise.models.out_of_memory import describe_memory, is_out_of_memory, release_memory
from stagewise.models.own_logits import float32_head
from stagewise.probes.harness_tasks import HarnessTasks, TaskLoader, stay_offline
from stagewise.probes.scores import Item, ProbeScores

SEED = 1234
"""Seed of the examples before an item and of torch, the harness's own default."""


class HarnessModel:
    """A loaded model as the harness asks it.

    Parameters
    ----------
    model
        Causal language model of transformers, with or without an adapter.
    prompting
        System message and variables of the chat template, if tasks are put into it.
    batch_size
        Requests per forward pass; it is halved while they do not fit into memory.

    Raises
    ------
    InputError
        If tasks are to be put into a chat template that cannot be used.
    """

    def __init__(self, model, tokenizer, harness: Harness, prompting: Prompting, batch_size: int):
        stay_offline()
        self.harness, self.prompting = harness, prompting
        self._loader = TaskLoader(harness)
        self._model = _wrap(model, tokenizer, _chat_arguments(tokenizer, harness, prompting), batch_size)

    def score(self, name: str) -> ProbeScores:
        """Score a task, or all tasks of a group or a tag.

        Raises
        ------
        InputError
            If there is no such task, its data are not here, it runs generated code, or its metrics are no means.
        """
        tasks = self._loader.load(name)
        metric = tasks.metric
        self._model.tokens = 0
        results = self._evaluate(tasks)
        samples = {task: _first_filter(results["samples"][task], metric.name) for task in tasks.tasks}
        if empty := next((task for task, rows in samples.items() if not rows), None):
            raise InputError(f"probes.harness: the task {empty} gives no {metric.name} for any item; take another task")
        weights = tasks.weights({task: len(rows) for task, rows in samples.items()}, metric.name)
        items = [
            _item(row, metric.name, weights[task], "" if tasks.is_single else f"{task}/")
            for task, rows in samples.items()
            for row in rows
        ]
        read_filter = next(iter(samples.values()))[0]["filter"]
        facts = {
            "filter": read_filter,
            "task_versions": {task: results["versions"][task] for task in samples},
            "num_fewshot": {task: results["n-shot"][task] for task in samples},
        }
        group = None if tasks.is_single else name
        scores = ProbeScores(
            "harness", metric.name, metric.higher_is_better, items, self._model.tokens, group=group, facts=facts
        )
        _check_agreement(scores, results, name, f"{metric.name},{read_filter}")
        return scores

    def _evaluate(self, tasks: HarnessTasks) -> dict:
        while True:
            try:
                return self._evaluate_once(tasks)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            release_memory()
            size = self._model.batch_size_per_gpu
            if size == 1:
                raise InputError(
                    f"probes.harness: one item of {tasks.name} does not fit into memory ({describe_memory()}); set "
                    "quantization to nf4, or use a device with more memory"
                )
            self._model.batch_size_per_gpu = size // 2
            tasks = self._loader.load(tasks.name)  # anew, because a task keeps the answers of an attempt
            print(f"out of memory with {size} requests per pass; it goes on with {size // 2}", file=sys.stderr)

    def _evaluate_once(self, tasks: HarnessTasks) -> dict:
        """Evaluate as ``lm_eval.simple_evaluate`` does, which besides lists all installed packages each time."""
        from lm_eval import evaluate

        chat = self.harness.apply_chat_template
        _seed()
        for task in tasks.tasks.values():
            _set_examples(task, self.harness.num_fewshot)
        try:
            return evaluate(
                lm=self._model,
                task_dict=tasks.loaded,
                limit=self.harness.limit,
                bootstrap_iters=0,
                log_samples=True,
                apply_chat_template=chat,
                fewshot_as_multiturn=True,
                system_instruction=self.prompting.system if chat else None,
                confirm_run_unsafe_code=False,
            )
        except (ValueError, AssertionError, KeyError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            reason = " ".join(f"{error}".split())[:300] or type(error).__name__
            raise InputError(
                f"probes.harness: the harness cannot score {tasks.name} ({reason}); take it out, or correct the task"
            ) from None


def _seed() -> None:
    """Seed what tasks draw with, and sampled answers."""
    import random

    import numpy as np
    import torch

    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


def _set_examples(task, number: int | None) -> None:
    """Set the number of examples before an item, unless the task has none by its definition."""
    given = task.get_config("num_fewshot")
    if number is None:
        number = given or 0
    if given != 0:
        task.set_config(key="num_fewshot", value=number)
    task.set_fewshot_seed(seed=SEED)


def _chat_arguments(tokenizer, harness: Harness, prompting: Prompting) -> dict:
    """Arguments of the chat template, after a check that it changes from no day to the next."""
    if not harness.apply_chat_template:
        return {}
    read_chat_form(tokenizer, prompting, ControlTokens(tokenizer))
    return template_arguments(chat_template(tokenizer), prompting.template)


def _wrap(model, tokenizer, chat_arguments: dict, batch_size: int):
    """Wrap a loaded model as the harness's own class does it, computing as everywhere in this project."""
    from lm_eval.models.huggingface import HFLM

    class LoadedModel(HFLM):
        tokens = 0
        """Tokens that the model has read, with padding, and generated."""

        def _model_call(self, inps, *args, **kwargs):
            self.tokens += inps.numel()
            with float32_head(self.model):
                return super()._model_call(inps, *args, **kwargs)

        def _model_generate(self, context, *args, **kwargs):
            with float32_head(self.model):
                generated = super()._model_generate(context, *args, **kwargs)
            self.tokens += generated.numel()
            return generated

    # The harness switches off an autocast around it.
    mixed = None if isinstance(compute_context(model), nullcontext) else "bfloat16"
    return LoadedModel(
        pretrained=model.eval(),
        backend="causal",
        tokenizer=tokenizer,
        batch_size=batch_size,
        mixed_precision_dtype=mixed,
        chat_template_args=chat_arguments,
    )


def _first_filter(samples: list[dict], metric: str) -> list[dict]:
    """Records of the first of a task's filters; an item without this metric has none."""
    return [row for row in samples if row["filter"] == samples[0]["filter"] and metric in row]


def _item(row: dict, metric: str, weight: float, prefix: str) -> Item:
    try:
        score = float(row[metric])
    except (TypeError, ValueError):
        raise InputError(f"probes.harness: {metric} of an item is no number but {type(row[metric]).__name__}") from None
    return Item(f"{prefix}{row['doc_id']}", score, weight, row["doc_hash"])


def _check_agreement(scores: ProbeScores, results: dict, name: str, key: str) -> None:
    """Compare the mean of the records with the harness's own figure, if it has one of this name."""
    figure = {**results["results"], **results.get("groups", {})}.get(name, {}).get(key)
    if isinstance(figure, int | float) and not math.isclose(figure, scores.value, rel_tol=1e-9, abs_tol=1e-12):
        raise InputError(
            f"probes.harness: {key} of {name} is {figure} in the harness and {scores.value} by its records of items, "
            "so items do not stand for it; take another task"
        )
