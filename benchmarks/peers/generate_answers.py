"""Answer a labelled set by transformers' greedy ``generate()``; it uses nothing of stagewise.

python -m benchmarks.peers.generate_answers --model DIR --adapter DIR --items items.jsonl --output accuracy.json
"""

import argparse
import json
import sys
from pathlib import Path


def main(argv=None) -> int:
    """Generate an answer to each prompt and write the share of right ones."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.generate_answers", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--items", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--new-tokens", type=int, default=4)
    args = parser.parse_args(argv)
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model, local_files_only=True, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype="float32", local_files_only=True)
    model = PeftModel.from_pretrained(model, args.adapter).eval()
    items = [json.loads(line) for line in args.items.read_text(encoding="utf-8").splitlines()]
    right = 0
    for start in range(0, len(items), args.batch_size):
        batch = items[start : start + args.batch_size]
        inputs = tokenizer(
            [item["prompt"] for item in batch], add_special_tokens=False, padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            ids = model.generate(**inputs, max_new_tokens=args.new_tokens, do_sample=False)
        texts = tokenizer.batch_decode(ids[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
        right += sum(text.strip() == item["answers"][item["gold"]] for text, item in zip(texts, batch, strict=True))
    args.output.write_text(json.dumps({"accuracy": right / len(items)}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
