"""Training one stage: data, arguments, checks and the tidy log around the trainer."""

import hashlib
import math
import re
import resource
import shutil
from pathlib import Path

from forgetting.config.models import Training
from forgetting.errors import InputError
from forgetting.processes import Split
from forgetting.prompts import Encoder
from forgetting.remedies.base import Row

# What HF's Trainer needs to resume, written last to first; a folder without all of them was interrupted.
_CHECKPOINT_FILES = (
    "trained_tokens",
    "trainer_state.json",
    "optimizer.pt",
    "scheduler.pt",
    "adapter_model.safetensors",
)
_BEST = {"loss": ("eval_loss", False), "accuracy": ("eval_accuracy", True), "macro_f1": ("eval_macro_f1", True)}


def encode(task: str, items: list[dict], encoder: Encoder, loss_on: str) -> tuple[list[Row], int]:
    """Token ids and labels (-100 where the loss does not count) of every item.

    Returns
    -------
    rows, shortened
        One row per item, and how many prompts were shortened to fit.

    Raises
    ------
    InputError
        Where an item does not fit; nothing is ever dropped silently.
    """
    rows, shortened = [], 0
    for item in items:
        prompt, cut = encoder.prompt(item)
        answer = encoder.answer(item["label"])
        ignored = [-100] * len(prompt) if loss_on == "answer" else prompt
        rows.append(
            Row(
                input_ids=prompt + answer,
                labels=ignored + answer,
                task=task,
                label=encoder.words.index(item["label"]),
                prompt_tokens=len(prompt),
            )
        )
        shortened += cut
    return rows, shortened


def last_checkpoint(folder) -> Path | None:
    """The newest complete checkpoint below `folder`; interrupted ones are removed."""
    found = []
    for path in Path(folder).glob("checkpoint-*"):
        step = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if step and all((path / name).is_file() for name in _CHECKPOINT_FILES):
            found.append((int(step[1]), path))
        elif step:
            shutil.rmtree(path)
    return max(found)[1] if found else None


def total_steps(training: Training, items: list[int]) -> int:
    """Optimizer steps of a stage on tasks of so many items each: as many as one stage after the other would take."""
    batch = training.batch_size * training.gradient_accumulation
    return sum(math.ceil(math.ceil(count / batch) * training.epochs) for count in items)


def sft_config(
    training: Training,
    split: Split,
    seed: int,
    total: int,
    output_dir,
    use_cpu: bool,
    log_steps: int,
    report_to,
    resumed: bool,
):
    """TRL's arguments for one stage of `total` optimizer steps."""
    import trl

    # A best checkpoint needs at least one evaluation, at the end where the stage is shorter than the interval.
    per_epoch = training.eval_every == "epoch"
    every = training.eval_every if per_epoch or training.best_metric == "last" else min(training.eval_every, total)
    metric, greater = _BEST.get(training.best_metric, (None, None))
    return trl.SFTConfig(
        output_dir=str(output_dir),
        max_steps=total,
        per_device_train_batch_size=split.batch_size,
        per_device_eval_batch_size=training.batch_size,
        gradient_accumulation_steps=split.accumulation,
        ddp_find_unused_parameters=False,  # every pass uses the whole adapter
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.scheduler,
        warmup_steps=training.warmup_ratio,  # below 1 it is a ratio
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        max_length=None,  # items are shortened before, so that no answer is cut and none is dropped
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,  # a row's number tells remedies which one it is
        train_sampling_strategy="group_by_length" if training.group_by_length else "random",
        activation_checkpointing=training.gradient_checkpointing,
        activation_offloading=False,
        bf16=False,  # the base model is loaded in the compute type; adapters stay in float32
        use_cpu=use_cpu,
        seed=seed,
        data_seed=seed,
        eval_on_start=not resumed,  # what the parent knows before the stage begins
        eval_strategy="epoch" if per_epoch else "steps",
        save_strategy="epoch" if per_epoch else "steps",
        eval_steps=None if per_epoch else every,
        save_steps=500 if per_epoch else every,
        save_total_limit=2,
        load_best_model_at_end=metric is not None,
        metric_for_best_model=metric,
        greater_is_better=greater,
        logging_steps=log_steps,
        logging_first_step=True,
        report_to=list(report_to),
        dataloader_pin_memory=not use_cpu,
    )


def weights_digest(parameters) -> str:
    """SHA-256 over tensors' bytes, in the given order."""
    import torch

    digest = hashlib.sha256()
    for parameter in parameters:
        flat = parameter.detach().contiguous().view(torch.uint8).reshape(-1) if parameter.numel() else parameter
        digest.update(memoryview(flat.cpu().numpy()))
    return digest.hexdigest()


def check_target_modules(model, names: list[str]) -> None:
    """Refuse a name that matches no layer; PEFT ignores one as long as another matches."""
    layers = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    for name in names:
        if name not in layers:
            raise InputError(f"config: lora.target_modules names '{name}', which no layer of the base model is called")


def frozen_and_trainable(model) -> tuple[list, list]:
    """The model's frozen and trainable parameters."""
    frozen = [p for p in model.parameters() if not p.requires_grad]
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise RuntimeError("no parameter is trainable")
    return frozen, trainable


def over_processes(parameters) -> tuple[float, int]:
    """How far any process's parameters are from the first one's, and the most memory that one has used."""
    import torch
    from accelerate.utils import broadcast, gather

    first = broadcast([parameter.detach().clone() for parameter in parameters])
    apart = max(float((mine.detach() - its).abs().max()) for mine, its in zip(parameters, first, strict=True))
    device = parameters[0].device
    found = gather(torch.tensor([[apart, peak_memory()]], dtype=torch.float64, device=device)).amax(0)
    return float(found[0]), int(found[1])


def peak_memory() -> int:
    """Most memory used so far, in bytes: the GPU's where there is one, else the process's."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def device_name() -> str:
    """The GPU's name, or the CPU's as the kernel lists it."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    with open("/proc/cpuinfo", encoding="utf-8") as handle:
        names = [line.split(":", 1)[1].strip() for line in handle if line.startswith("model name")]
    return f"{names[0] if names else 'CPU'}, {torch.get_num_threads()} threads"


def tidy_log(history: list[dict]) -> list[tuple]:
    """(step, epoch, split, metric, value) rows from the trainer's log history."""
    rows = []
    for entry in history:
        # Sorted, because a checkpoint keeps its history so: a resumed training's log has the same order.
        for key, value in sorted(entry.items()):
            if key in ("step", "epoch") or not isinstance(value, int | float):
                continue
            split = "validation" if key.startswith("eval_") else "train"
            rows.append((entry["step"], round(entry.get("epoch", 0), 4), split, key.removeprefix("eval_"), value))
    return rows


def summarize(history: list[dict], best_metric: str) -> dict:
    """Final loss, mean token accuracy and best evaluation from the trainer's log history."""
    logged = [entry for entry in history if "loss" in entry]
    evaluated = [entry for entry in history if "eval_loss" in entry]
    scored = {entry["step"]: entry for entry in history if "eval_accuracy" in entry}
    lowest = min(evaluated, key=lambda entry: entry["eval_loss"], default=None)
    summary = {
        "final_loss": logged[-1]["loss"] if logged else None,
        "mean_token_accuracy": logged[-1].get("mean_token_accuracy") if logged else None,
        "best_eval_loss": lowest and lowest["eval_loss"],
        "best_eval_step": lowest and lowest["step"],
        "best_metric": best_metric,
        "best_value": None,
        "best_step": None,
    }
    if best_metric in _BEST:
        key, greater = _BEST[best_metric]
        entries = evaluated if best_metric == "loss" else list(scored.values())
        if entries:
            best = (max if greater else min)(entries, key=lambda entry: entry[key])
            summary |= {"best_value": best[key], "best_step": best["step"]}
    return summary
