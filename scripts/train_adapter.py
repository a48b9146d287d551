"""Train one adapter from its recipe.

A finished training is kept under its fingerprint beside its checkpoints, so that running the step again
copies it in a second, an interrupted training resumes, and a changed recipe never meets a stale checkpoint.
With ``--processes`` several GPUs train it together: the step starts itself once per GPU through accelerate's launcher.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from stagewise.cli import add_image
from stagewise.errors import InputError, exit_on_input_error
from stagewise.recipe import Recipe
from stagewise.training import distributed
from stagewise.training.save_adapter import check_inputs, finished_or


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
    parser.add_argument("--processes", type=int, default=1, help="processes, one a GPU, that train it together")
    args = parser.parse_args(argv)
    # The launcher's number counts in the processes that it has started; there the option is passed over.
    launched = distributed.count() > 1
    if args.processes < 1:
        raise InputError(f"--processes: {args.processes} is no number of processes; 1 or more is")

    recipe = Recipe.read(args.recipe)
    if not recipe.training:
        raise InputError(f"{args.recipe}: this adapter is merged from others; see scripts.merge_adapters")
    parents = check_inputs(args.recipe, recipe, args.model, args.data, [args.parent] if args.parent else [])
    wanted = distributed.count() if launched else args.processes
    distributed.split(recipe.training.batch_size, recipe.training.gradient_accumulation, wanted)

    def make(store: Path) -> None:
        if wanted > 1 and not launched:
            distributed.launch(wanted, "scripts.train_adapter", sys.argv[1:] if argv is None else argv)
        train(recipe, args, parents, store)

    finished_or(recipe, parents, args.checkpoints, args.output, make, args.image)
    return 0


def train(recipe: Recipe, args, parents: list[dict], store: Path) -> None:
    """Run the training (or resume it) and leave the finished adapter in ``store/adapter``."""
    from stagewise.models.torch_environment import before_torch

    before_torch()
    if distributed.count() == 1:
        distributed.one_gpu()
    import time

    import torch
    from accelerate.utils import set_seed
    from datasets import Dataset

    from stagewise.models.load import load_base, load_tokenizer
    from stagewise.training import stage_data
    from stagewise.training.arguments import sft_config, total_steps
    from stagewise.training.audit import device_name, frozen_and_trainable, over_processes, weights_digest
    from stagewise.training.checkpoints import last_checkpoint
    from stagewise.training.sampling import Collator
    from stagewise.training.save_adapter import package_versions, save
    from stagewise.training.trainer import TOKENS, StageTrainer, score_answers_only_on_cpu
    from stagewise.training.training_log import summarize, tidy_log

    settings = recipe.training
    split = distributed.split(settings.batch_size, settings.gradient_accumulation)
    team = distributed.join()
    tokenizer = load_tokenizer(args.model)
    material = stage_data.prepare(recipe, tokenizer, args.data)
    torch.manual_seed(recipe.seed)
    base = load_base(args.model, recipe.quantization, recipe.dtype)
    on_cpu = base.device.type == "cpu"
    if on_cpu:
        score_answers_only_on_cpu()
    steps = total_steps(settings, material.items)
    # The first process alone writes; what it tidies up, the others find tidy.
    with team.main_process_first():
        store.mkdir(parents=True, exist_ok=True)
        checkpoint = interrupted = last_checkpoint(store)
        if checkpoint is None and settings.optimizer_state == "parent":
            checkpoint = parent_checkpoint(args, recipe, steps)
    with tempfile.TemporaryDirectory() as temporary:
        model, lora = stage_data.start(recipe, base, args.parent, store if team.is_main_process else Path(temporary))
    rows = [{key: row[key] for key in ("input_ids", "labels")} | {"row": n} for n, row in enumerate(material.rows)]
    trainer = StageTrainer(
        model=model,
        args=sft_config(
            settings,
            split,
            recipe.seed,
            steps,
            store,
            on_cpu,
            args.log_steps,
            args.report_to,
            checkpoint is not None,
        ),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(
            [{key: row[key] for key in ("input_ids", "labels")} | {"row": -1} for row in material.validation_rows]
        ),
        data_collator=Collator(tokenizer.pad_token_id),
        processing_class=tokenizer,
        peft_config=lora,
        split=split,
        validation=material.validation,
        watched=material.watched,
    )
    if len(trainer.train_dataset) != len(material.rows):
        raise InputError(f"{args.data}: {len(material.rows) - len(trainer.train_dataset)} training items were dropped")
    frozen, trainable = frozen_and_trainable(trainer.model)
    before = weights_digest(frozen), weights_digest(trainable)
    started = time.monotonic()
    effects = stage_data.effects(recipe, material, trainer.model, tokenizer)
    trainer.use(effects)
    resumed = int(checkpoint.name.split("-")[1]) if checkpoint else None
    if team.is_main_process:
        print(
            f"{recipe.lineage}: {sum(material.items)} items"
            + (f" and {material.rehearsed} of earlier tasks" if material.rehearsed else "")
            + f", {steps} steps"
            + (f", resumed from step {resumed}" if resumed else "")
            + (f", on {split.count} processes" if split.count > 1 else ""),
            file=sys.stderr,
        )
    if interrupted:
        trainer.resumed_tokens = int((checkpoint / TOKENS).read_text(encoding="utf-8"))
    if split.count > 1:
        set_seed(recipe.seed, device_specific=True)  # each process drops out other weights
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.monotonic() - started

    after = weights_digest(frozen), weights_digest(trainable)
    if after[0] != before[0]:
        raise RuntimeError("the base model's weights changed during training; they must stay frozen")
    if after[1] == before[1]:
        raise InputError(
            f"{args.recipe}: {steps} steps changed no weight of the adapter (the warm-up starts at a learning rate of "
            "0); give it more items or epochs, a smaller batch, or training.warmup_ratio 0"
        )
    apart, memory = over_processes(trainable)
    if apart > 1e-6:
        raise RuntimeError(f"the processes' adapters are {apart:g} apart; a remedy must act equally on each of them")
    team.destroy_process_group()
    if not team.is_main_process:
        return

    history = trainer.state.log_history
    summary = {
        "fingerprint": recipe.fingerprint,
        "lineage": recipe.lineage,
        "task": recipe.task_name,
        "steps": trainer.state.global_step,
        "epochs": settings.epochs,
        **summarize(history, settings.best_metric),
        "seconds": round(seconds, 3),
        "tokens": trainer.all_tokens,
        "extra_tokens": sum(effect.tokens for effect in effects),
        "tokens_per_second": round(trainer.trained_tokens / (seconds - trainer.evaluation_seconds), 1),
        "peak_memory_bytes": memory,
        "trainable_parameters": sum(p.numel() for p in trainable),
        "items": len(material.rows),
        "rehearsed": material.rehearsed,
        "shortened": material.shortened,
        "processes": split.count,
        "device": (f"{split.count} × " if split.count > 1 else "") + device_name(),
        "dtype": str(base.dtype).removeprefix("torch."),
        "resumed_from_step": resumed,
        "packages": package_versions(),
    }
    # PEFT would store this machine's path to the base model.
    stored = trainer.model.peft_config["default"]
    stored.base_model_name_or_path = recipe.model.name
    stored.target_modules = sorted(stored.target_modules)  # a set has no order of its own
    save(
        store,
        args.recipe,
        recipe,
        summary,
        parents,
        tokenizer,
        lambda folder: trainer.model.save_pretrained(folder, save_embedding_layers=False),
        tidy_log(history),
        args.image,
    )


def parent_checkpoint(args, recipe: Recipe, steps: int) -> Path:
    """The parent's last checkpoint, whose optimizer, schedule and step count the published way resumes.

    Raises
    ------
    InputError
        Where there is none, or where its step count leaves nothing of this stage's `steps`.
    """
    from stagewise.training.checkpoints import last_checkpoint

    parent = Path(args.checkpoints) / recipe.parents[0].fingerprint[:16]
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
