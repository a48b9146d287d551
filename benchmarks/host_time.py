"""Time that the host takes to give a GPU the work of one pass, measured without a GPU.

python -m benchmarks.host_time

A model of Llama-3.2-1B's depth and modules, with tensors so small that their arithmetic takes no time, runs forward and
backward on one CPU thread: what is left is Python, autograd and the dispatch of kernels, which a GPU waits for too.
"""

import sys
import time
from statistics import median

PASSES = 12


def measure_host_time(layers: int, quantization: str, passes: int = PASSES) -> tuple[float, float]:
    """Measure CPU seconds of a forward pass without gradients, and of a forward and backward pass, medians.

    Parameters
    ----------
    quantization
        ``none``: bfloat16 weights; ``nf4``: 4-bit layers, as bitsandbytes computes them on a CPU.
    """
    import torch

    model = tiny_model(layers, quantization)
    ids = torch.randint(0, 64, (1, 2))

    def train():
        model(input_ids=ids, labels=ids).loss.backward()

    def score():
        with torch.no_grad():
            model(input_ids=ids)

    seconds = {}
    for name, call in (("score", score), ("train", train)):
        call()
        times = []
        for _ in range(passes):
            started = time.process_time()
            call()
            times.append(time.process_time() - started)
        seconds[name] = median(times)
    return seconds["score"], seconds["train"]


def tiny_model(layers: int, quantization: str):
    """A Llama of so many layers with 64 hidden units, LoRA on all seven modules in float32."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, num_hidden_layers=layers, **sizes)).to(torch.bfloat16)
    if quantization == "nf4":
        replace_linear_layers(model)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=16, target_modules=modules, lora_dropout=0.05, task_type="CAUSAL_LM"))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model.train()


def replace_linear_layers(model) -> None:
    """Replace every linear layer but the output head by one of NF4."""
    import bitsandbytes as bnb
    import torch

    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear) and name != "lm_head":
                layer = bnb.nn.Linear4bit(
                    child.in_features, child.out_features, bias=False, quant_type="nf4", compute_dtype=torch.bfloat16
                )
                layer.weight = bnb.nn.Params4bit(child.weight.data, requires_grad=False, quant_type="nf4")
                layer.support_avx512bf16_for_cpu = False  # else its backward pass is not that of a GPU
                setattr(module, name, layer.to("cpu"))


def main(argv=None) -> int:
    """Print a table of host times."""
    import torch

    torch.set_num_threads(1)
    print("| base weights | forward | forward and backward |\n|---|---:|---:|")
    for quantization in ("none", "nf4"):
        score, train = measure_host_time(16, quantization)
        print(f"| {'bfloat16' if quantization == 'none' else 'NF4'} | {1e3 * score:.0f} ms | {1e3 * train:.0f} ms |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
