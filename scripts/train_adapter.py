"""Train one adapter from its recipe.

A finished training is kept under its fingerprint beside its checkpoints, so that running the step again
copies it in a second, an interrupted training resumes, and a changed recipe never meets a stale checkpoint.
"""

import argparse
import shutil
import sys
from pathlib import Path

from forgetting import recipes
from forgetting.errors import InputError, exit_on_input_error
from forgetting.models import ADAPTER_WEIGHTS, adapter_receipt
from forgetting.receipts import fingerprint, read_receipt, replaced_folder, sha256_file, write_json, write_receipt


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
    args = parser.parse_args(argv)

    recipe = recipes.read(args.recipe)
    parent = check_inputs(recipe, args)
    # Training on a GPU is not bit-reproducible: the parent's recipe alone does not say which weights it has.
    key = fingerprint({"recipe": recipe["fingerprint"], "parent": parent and parent["files"][ADAPTER_WEIGHTS]})
    store = Path(args.checkpoints) / recipe["fingerprint"][:16] / key[:16]
    finished = store / "adapter"
    if not finished.is_dir():
        train(recipe, args, parent, store)
    read_receipt(finished, "the stored adapter")
    publish(finished, Path(args.output), recipe)
    return 0


def check_inputs(recipe: dict, args) -> dict | None:
    """Refuse inputs that are not the ones the recipe names; return the parent adapter's receipt."""
    model = read_receipt(args.model, "the base model", verify=False)
    if model["fingerprint"] != recipe["model"]["fingerprint"]:
        raise InputError(f"{args.recipe}: written for another base model than {args.model}; write the recipe again")
    for split, expected in recipe["data"].items():
        path = Path(args.data) / recipe["task"] / f"{split}.jsonl"
        if not path.is_file() or sha256_file(path) != expected:
            raise InputError(f"{path}: not the data that {args.recipe} names; write the recipe again")
    if bool(recipe["parent"]) != bool(args.parent):
        raise InputError(f"{args.recipe}: {'needs' if recipe['parent'] else 'has no'} parent adapter (--parent)")
    if not args.parent:
        return None
    parent = adapter_receipt(args.parent, args.model)
    if parent["fingerprint"] != recipe["parent"]["fingerprint"]:
        raise InputError(f"{args.parent}: not the parent that {args.recipe} names; write the recipe again")
    return parent


def publish(finished: Path, output: Path, recipe: dict) -> None:
    """Copy a finished adapter to where the workflow wants it, whole or not at all."""
    with replaced_folder(output) as folder:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
    print(f"{recipe['lineage']}: adapter {recipe['fingerprint'][:16]} is at {output}", file=sys.stderr)


def train(recipe: dict, args, parent_receipt: dict | None, store: Path) -> None:
    """Run the training (or resume it) and leave the finished adapter in ``store/adapter``."""
    from forgetting.numerics import before_torch

    before_torch()
    import time

    import torch
    from datasets import Dataset
    from peft import LoraConfig

    from forgetting import models, training
    from forgetting.cards import package_versions, write_card
    from forgetting.config.models import Prompting, Training
    from forgetting.prompts import Encoder, Template
    from forgetting.trainer import StageTrainer, score_answers_only_on_cpu

    settings = Training(**recipe["training"])
    tokenizer = models.load_tokenizer(args.model)
    encoder = Encoder(
        tokenizer,
        Template(recipe["prompt"]["file"], recipe["prompt"]["text"]),
        Prompting(**recipe["prompting"]),
        recipe["words"],
        settings.max_length,
        recipe["shorten"],
    )
    folder = Path(args.data) / recipe["task"]
    items = {split: training.read_items(folder / f"{split}.jsonl") for split in ("train", "validation")}
    encoded = {split: training.encode(items[split], encoder, settings.loss_on) for split in items}
    validation = (
        [
            row["input_ids"][: -len(encoder.answer(item["label"]))]
            for item, row in zip(items["validation"], encoded["validation"][0], strict=True)
        ],
        encoder.answers,
        [recipe["words"].index(item["label"]) for item in items["validation"]],
    )

    torch.manual_seed(recipe["seed"])
    base = models.load_base(args.model, recipe["quantization"], recipe["dtype"])
    lora = None
    if args.parent:
        model = models.load_adapter(base, args.parent, trainable=True)
    else:
        model = base
        training.check_target_modules(base, recipe["lora"]["target_modules"])
        lora = LoraConfig(
            r=recipe["lora"]["r"],
            lora_alpha=recipe["lora"]["alpha"],
            lora_dropout=recipe["lora"]["dropout"],
            target_modules=recipe["lora"]["target_modules"],
            bias="none",
            task_type="CAUSAL_LM",
        )
    on_cpu = base.device.type == "cpu"
    if on_cpu:
        score_answers_only_on_cpu()
    store.mkdir(parents=True, exist_ok=True)
    config = training.sft_config(
        settings, recipe["seed"], len(items["train"]), store, on_cpu, args.log_steps, args.report_to
    )
    trainer = StageTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(encoded["train"][0]),
        eval_dataset=Dataset.from_list(encoded["validation"][0]),
        processing_class=tokenizer,
        peft_config=lora,
        validation=validation,
    )
    if len(trainer.train_dataset) != len(items["train"]):
        raise InputError(f"{folder}: {len(items['train']) - len(trainer.train_dataset)} training items were dropped")
    frozen, trainable = training.frozen_and_trainable(trainer.model)
    before = training.weights_digest(frozen), training.weights_digest(trainable)

    checkpoint = interrupted = training.last_checkpoint(store)
    if checkpoint is None and settings.optimizer_state == "parent":
        checkpoint = parent_checkpoint(args, recipe, training.total_steps(settings, len(items["train"])))
    resumed = int(checkpoint.name.split("-")[1]) if checkpoint else None
    print(
        f"{recipe['lineage']}: {len(items['train'])} items, {settings.epochs:g} epochs"
        + (f", resumed from step {resumed}" if resumed else ""),
        file=sys.stderr,
    )
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.monotonic() - started

    after = training.weights_digest(frozen), training.weights_digest(trainable)
    if after[0] != before[0]:
        raise RuntimeError("the base model's weights changed during training; they must stay frozen")
    if after[1] == before[1]:
        raise RuntimeError("training changed no weight of the adapter")

    history = trainer.state.log_history
    training_seconds = seconds - trainer.evaluation_seconds
    planned_tokens = round(settings.epochs * sum(len(row["input_ids"]) for row in encoded["train"][0]))
    summary = {
        "fingerprint": recipe["fingerprint"],
        "lineage": recipe["lineage"],
        "task": recipe["task"],
        "steps": trainer.state.global_step,
        "epochs": settings.epochs,
        **training.summarize(history, settings.best_metric),
        "seconds": round(seconds, 3),
        # Of the whole training, also where this process resumed it; the speed is this process's.
        "tokens": planned_tokens if interrupted else trainer.trained_tokens,
        "tokens_per_second": round(trainer.trained_tokens / training_seconds, 1),
        "peak_memory_bytes": training.peak_memory(),
        "trainable_parameters": sum(p.numel() for p in trainable),
        "items": len(items["train"]),
        "shortened": encoded["train"][1],
        "device": training.device_name(),
        "dtype": str(base.dtype).removeprefix("torch."),
        "resumed_from_step": resumed,
        "packages": package_versions(),
    }
    # PEFT would store this machine's path to the base model.
    trainer.model.peft_config["default"].base_model_name_or_path = recipe["model"]["name"]
    with replaced_folder(store / "adapter") as folder:
        trainer.model.save_pretrained(folder, save_embedding_layers=False)
        tokenizer.save_pretrained(folder)
        shutil.copy(args.recipe, folder / "recipe.json")
        write_json(folder / "training.json", summary)
        write_log(folder / "training_log.csv", training.tidy_log(history))
        write_card(folder, recipe, summary)
        write_receipt(
            folder,
            {
                "fingerprint": recipe["fingerprint"],
                "model": recipe["model"]["fingerprint"],
                "parent": parent_receipt and parent_receipt["files"][ADAPTER_WEIGHTS],
            },
        )


def parent_checkpoint(args, recipe: dict, steps: int) -> Path:
    """The parent's last checkpoint, whose optimizer, schedule and step count the published way resumes.

    Raises
    ------
    InputError
        Where there is none, or where its step count leaves nothing of this stage's `steps`.
    """
    from forgetting.training import last_checkpoint

    parent = Path(args.checkpoints) / recipe["parent"]["fingerprint"][:16]
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


def write_log(path: Path, rows: list[tuple]) -> None:
    import csv

    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("step", "epoch", "split", "metric", "value"))
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
