"""Checks of memory and disk against estimates."""

from stagewise.config.training import Lora, Training
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.models.gpus import visible_gpus
from stagewise.models.machine import free_disk, memory
from stagewise.models.memory_estimate import MemoryEstimate, estimate_memory, gigabytes, too_large
from stagewise.models.target_modules import adapted_modules, adapter_parameters
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context

FULL = 0.8
"""Share of what is free from which on an estimate is a warning."""

COPIES = 3 + 1
"""Adapters' sizes on disk: two checkpoints and the best one, and the finished adapter (the cache's is a hard link)."""

CHECKPOINT = 12
"""Bytes a weight in a checkpoint: the weight and AdamW's two moments in float32."""


@check("memory", "model", step="training")
def check_memory(context: Context):
    """The largest training fits: refused if its weights alone exceed the memory, a warning if it may be too little."""
    on_gpu = bool(visible_gpus()) and not context.elsewhere
    ways = [(adapter.training, context.lora_of(adapter)) for adapter in context.trainings]
    estimates = [_estimate(context, *way, on_gpu) for n, way in enumerate(ways) if way not in ways[:n]]
    weights, peak = max(e.weights for e in estimates), max(e.peak for e in estimates)
    there = min((gpu.memory for gpu in visible_gpus()), key=lambda m: m.free or 0) if on_gpu else memory()
    if context.elsewhere or there.total is None:
        yield Finding(f"about {gigabytes(peak)}; each training refuses a machine without room for the weights", "later")
        return
    words = f"about {gigabytes(peak)}, {gigabytes(there.free)} free"
    if problem := too_large(weights, there):
        yield Finding(words, "failure", f"config: model '{context.model}': {problem}")
    elif peak > FULL * there.free:
        yield Finding(
            words,
            "warning",
            f"config: a training takes about {gigabytes(peak)} (right within a factor of two), and "
            f"{gigabytes(there.free)} of memory are free; set the resources micro_batch and gradient_checkpointing of "
            "train_adapter in a profile, which change no result, or lower evaluation.tokens_per_batch",
        )
    else:
        yield Finding(words)


def _estimate(context: Context, training: Training, lora: Lora, on_gpu: bool) -> MemoryEstimate:
    config = context.config
    trained = {task for adapter in context.trainings for task in adapter.learnt_tasks} or config.active_tasks
    return estimate_memory(
        context.tree,
        lora,
        context.dtype,
        config.quantization,
        tokens=max(task.max_length or training.max_length for task in map(config.active_tasks.get, trained)),
        tokens_per_batch=config.evaluation.tokens_per_batch,
        device="cuda" if on_gpu else "cpu",
        # A training on a GPU takes as many items at once as fit (stagewise/training/passes.py).
        micro_batch=1 if on_gpu else training.batch_size,
        gradient_checkpointing=training.gradient_checkpointing or (on_gpu and context.tree.checkpointing),
    )


@check("disk", "model", step="training", each_model=False)
def check_disk(context: Context):
    """Checkpoints and adapters that are still to be made fit on the disk."""
    numbers, sizes = zip(*map(_adapters_to_make, context.by_model), strict=True)
    number, needed, free = sum(numbers), sum(sizes), free_disk(context.results)
    words = f"about {gigabytes(needed)} for {number} adapters, {gigabytes(free)} free"
    sentence = (
        f"{context.results}: {number} adapters and their checkpoints take about {gigabytes(needed)}, and "
        f"{gigabytes(free)} are free; make room, or set 'results' to a folder on another disk"
    )
    if needed > FULL * free:
        yield Finding(words, "failure" if needed > free else "warning", sentence)
    else:
        yield Finding(words)


def _adapters_to_make(context: Context) -> tuple[int, float]:
    """Number of a base model's adapters that are not there yet, and the bytes of their checkpoints and copies."""
    missing = [
        adapter
        for adapter in context.adapters.values()
        if not (context.results / adapter.lineage / "adapter" / ADAPTER_WEIGHTS).is_file()
    ]
    sizes = [adapter_parameters(adapted_modules(context.tree, lora), lora.r) for lora in context.loras]
    tokenizer = context.model_files / "tokenizer.json"  # saved with every copy
    each = CHECKPOINT * max(sizes, default=0) + (tokenizer.stat().st_size if tokenizer.is_file() else 0)
    return len(missing), len(missing) * COPIES * each
