"""Train one adapter from its recipe.

A finished training is kept under its fingerprint beside its checkpoints, so that running the step again
copies it in a second, an interrupted training resumes, and a changed recipe never meets a stale checkpoint.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from forgetting import recipes
from forgetting.adapters import check_inputs, finished_or
from forgetting.cli import add_image
from forgetting.errors import InputError, exit_on_input_error


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.train_adapter", description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", required=True, help="the adapter's recipe.json")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument("--parent", help="folder of the parent adapter; none for a first stage")
    parser.add_argument("--checkpoints", required=True, help="folder for checkpoints, kept by fingerprint")
    parser.add_argument("--output", required=True, help="folder to write the adapter to")
    parser.add_argument("--log-steps", type=int, default=5, help="log every so many optimizer steps")
    parser.add_argument("--report-to", nargs="*", default=["tensorboard"], help="where logs go")
    add_image(parser)
    args = parser.parse_args(argv)

    recipe = recipes.read(args.recipe)
    if not recipe["training"]:
        raise InputError(f"{args.recipe}: this adapter is merged from others; see scripts.merge_adapters")
    parents = check_inputs(args.recipe, recipe, args.model, args.data, [args.parent] if args.parent else [])
    make = partial(train, recipe, args, parents)
    finished_or(recipe, parents, args.checkpoints, args.output, make, args.image)
    return 0


def train(recipe: dict, args, parents: list[dict], store: Path) -> None:
    """Run the training (or resume it) and leave the finished adapter in ``store/adapter``."""
    from forgetting.numerics import before_torch

    before_torch()
    import time

    import torch
    from datasets import Dataset

    from forgetting import models, stage, training
    from forgetting.adapters import package_versions, save
    from forgetting.config.models import Training
    from forgetting.trainer import TOKENS, Collator, StageTrainer, score_answers_only_on_cpu

    settings = Training(**recipe["training"])
    tokenizer = models.load_tokenizer(args.model)
    material = stage.prepare(recipe, tokenizer, args.data)
    torch.manual_seed(recipe["seed"])
    base = models.load_base(args.model, recipe["quantization"], recipe["dtype"])
    on_cpu = base.device.type == "cpu"
    if on_cpu:
        score_answers_only_on_cpu()
    store.mkdir(parents=True, exist_ok=True)
    model, lora = stage.start(recipe, base, args.parent, store)
    steps = training.total_steps(settings, material.items)
    checkpoint = interrupted = training.last_checkpoint(store)
    if checkpoint is None and settings.optimizer_state == "parent":
        checkpoint = parent_checkpoint(args, recipe, steps)
    rows = [{key: row[key] for key in ("input_ids", "labels")} | {"row": n} for n, row in enumerate(material.rows)]
    trainer = StageTrainer(
        model=model,
        args=training.sft_config(
            settings, recipe["seed"], steps, store, on_cpu, args.log_steps, args.report_to, checkpoint is not None
        ),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(
            [{key: row[key] for key in ("input_ids", "labels")} | {"row": -1} for row in material.validation_rows]
        ),
        data_collator=Collator(tokenizer.pad_token_id),
        processing_class=tokenizer,
        peft_config=lora,
        validation=material.validation,
        watched=material.watched,
    )
    if len(trainer.train_dataset) != len(material.rows):
        raise InputError(f"{args.data}: {len(material.rows) - len(trainer.train_dataset)} training items were dropped")
    frozen, trainable = training.frozen_and_trainable(trainer.model)
    before = training.weights_digest(frozen), training.weights_digest(trainable)
    started = time.monotonic()
    effects = stage.effects(recipe, material, trainer.model, tokenizer)
    trainer.use(effects)
    resumed = int(checkpoint.name.split("-")[1]) if checkpoint else None
    print(
        f"{recipe['lineage']}: {sum(material.items)} items"
        + (f" and {material.rehearsed} of earlier tasks" if material.rehearsed else "")
        + f", {steps} steps"
        + (f", resumed from step {resumed}" if resumed else ""),
        file=sys.stderr,
    )
    if interrupted:
        trainer.resumed_tokens = int((checkpoint / TOKENS).read_text(encoding="utf-8"))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.monotonic() - started

    after = training.weights_digest(frozen), training.weights_digest(trainable)
    if after[0] != before[0]:
        raise RuntimeError("the base model's weights changed during training; they must stay frozen")
    if after[1] == before[1]:
        raise InputError(
            f"{args.recipe}: {steps} steps changed no weight of the adapter (the warm-up starts at a learning rate of "
            "0); give it more items or epochs, a smaller batch, or training.warmup_ratio 0"
        )

    history = trainer.state.log_history
    summary = {
        "fingerprint": recipe["fingerprint"],
        "lineage": recipe["lineage"],
        "task": recipes.task_name(recipe),
        "steps": trainer.state.global_step,
        "epochs": settings.epochs,
        **training.summarize(history, settings.best_metric),
        "seconds": round(seconds, 3),
        "tokens": trainer.all_tokens,
        "extra_tokens": sum(effect.tokens for effect in effects),
        "tokens_per_second": round(trainer.trained_tokens / (seconds - trainer.evaluation_seconds), 1),
        "peak_memory_bytes": training.peak_memory(),
        "trainable_parameters": sum(p.numel() for p in trainable),
        "items": len(material.rows),
        "rehearsed": material.rehearsed,
        "shortened": material.shortened,
        "device": training.device_name(),
        "dtype": str(base.dtype).removeprefix("torch."),
        "resumed_from_step": resumed,
        "packages": package_versions(),
    }
    # PEFT would store this machine's path to the base model.
    trainer.model.peft_config["default"].base_model_name_or_path = recipe["model"]["name"]
    save(
        store,
        args.recipe,
        recipe,
        summary,
        parents,
        tokenizer,
        lambda folder: trainer.model.save_pretrained(folder, save_embedding_layers=False),
        training.tidy_log(history),
        args.image,
    )


def parent_checkpoint(args, recipe: dict, steps: int) -> Path:
    """The parent's last checkpoint, whose optimizer, schedule and step count the published way resumes.

    Raises
    ------
    InputError
        Where there is none, or where its step count leaves nothing of this stage's `steps`.
    """
    from forgetting.training import last_checkpoint

    parent = Path(args.checkpoints) / recipe["parents"][0]["fingerprint"][:16]
    for store in sorted(parent.glob("*")):
        if checkpoint := last_checkpoint(store):
            done = int(checkpoint.name.split("-")[1])
            if done >= steps:
                raise InputError(
                    f"{args.recipe}: resumes its parent's step count of {done}, but the stage has {steps} steps, so "
                    "nothing would be trained; give it more epochs or set training.optimizer_state to 'fresh'"
                )
            return checkpoint
    raise InputError(
        f"{parent}: the parent's checkpoint is missing, and training.optimizer_state is 'parent'; "
        "train the parent again here or set it to 'fresh'"
    )


if __name__ == "__main__":
    sys.exit(main())
