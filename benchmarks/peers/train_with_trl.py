"""Train a LoRA adapter by a plain TRL script; it uses nothing of stagewise.

python -m benchmarks.peers.train_with_trl --model DIR --settings settings.json --train rows.jsonl
    --validation rows.jsonl --output DIR [--trl-defaults]
"""

import argparse
import json
import sys
import time
from pathlib import Path


def main(argv=None) -> int:
    """Train and write ``result.json``: losses by step, validation losses, steps, and seconds of ``train()``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.train_with_trl", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--settings", required=True, type=Path, help="JSON with `lora`, `training` and `seed`")
    parser.add_argument("--train", required=True, help="rows of all epochs, in the order of training")
    parser.add_argument("--validation", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--trl-defaults", action="store_true", help="TRL's precision and checkpointing")
    parser.add_argument("--max-steps", type=int, default=-1)
    args = parser.parse_args(argv)
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    settings = json.loads(args.settings.read_text(encoding="utf-8"))
    lora, training = settings["lora"], settings["training"]
    torch.manual_seed(settings["seed"])
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype="float32", local_files_only=True)
    depth, last = model.config.num_hidden_layers, lora["last_layers"]
    plain = {} if args.trl_defaults else {"bf16": False, "gradient_checkpointing": False}
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(args.output),
            num_train_epochs=1,  # the rows are those of all epochs
            max_steps=args.max_steps,
            train_sampling_strategy="sequential",
            per_device_train_batch_size=training["batch_size"],
            per_device_eval_batch_size=training["batch_size"],
            gradient_accumulation_steps=training["gradient_accumulation"],
            learning_rate=training["learning_rate"],
            lr_scheduler_type=training["scheduler"],
            warmup_steps=training["warmup_ratio"],
            weight_decay=training["weight_decay"],
            max_grad_norm=training["max_grad_norm"],
            max_length=None,
            eval_strategy="steps",
            save_strategy="steps",
            eval_steps=settings["steps_per_epoch"],
            save_steps=settings["steps_per_epoch"],
            logging_steps=5,
            logging_first_step=True,
            report_to=[],
            seed=settings["seed"],
            data_seed=settings["seed"],
            use_cpu=not torch.cuda.is_available(),
            **plain,
        ),
        train_dataset=load_dataset("json", data_files=args.train, split="train"),
        eval_dataset=load_dataset("json", data_files=args.validation, split="train"),
        processing_class=AutoTokenizer.from_pretrained(args.model, local_files_only=True),
        peft_config=LoraConfig(
            layers_to_transform=None if last is None else list(range(depth - last, depth)),
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=lora["target_modules"],
            task_type="CAUSAL_LM",
        ),
    )
    started = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started
    history = trainer.state.log_history
    evaluating = sum(entry.get("eval_runtime", 0) for entry in history)
    result = {
        "losses": {str(entry["step"]): entry["loss"] for entry in history if "loss" in entry},
        "validation_losses": [entry["eval_loss"] for entry in history if "eval_loss" in entry],
        "steps": trainer.state.global_step,
        "train_seconds": seconds,
        "step_seconds": seconds - evaluating,
    }
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
