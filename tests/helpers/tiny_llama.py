"""A tiny random Llama with a BPE tokenizer and a chat template, built in well under a second."""

from pathlib import Path

# What the tokenizer learns from; everyday words, so that label words and prompts come out as few tokens.
CORPUS = [
    "yes no maybe stress no stress",
    " yes no maybe stress no stress",
    "Question: does the treatment help? Answer yes, no or maybe.",
    "Is the writer under stress? Answer stress or no stress.",
    "The trial found no difference between the two groups, but the sample was small.",
    "I cannot sleep and I worry about everything. Today was a calm day at the lake.",
    "Post in r/anxiety: text. Context: the study was done in a hospital with many people.",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def build_tokenizer(vocabulary: int = 352):
    """A byte-level BPE tokenizer; ``<|im_end|>`` ends an answer and pads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        model_max_length=512,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def build_model(vocabulary: int = 352, seed: int = 0):
    """A random Llama: 2 layers, hidden size 64, grouped-query attention, tied embeddings, float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        # Wider than the usual 0.02, so that different prompts get clearly different answers.
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def build(folder, name: str = "tiny", seed: int = 0) -> Path:
    """Save model, tokenizer and receipt, as the model step does, into `folder`; return it."""
    from transformers.utils import logging

    from stagewise.models.receipts import write_model_receipt

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    logging.disable_progress_bar()
    build_model(len(tokenizer), seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_model_receipt(folder, name, {"path": "tests/tiny.py"})
    return folder


def build_adapter(folder, model_dir, seed: int = 0, fingerprint: str = "f" * 64, layers=None, **facts) -> Path:
    """Save a random LoRA adapter for the tiny model, with the receipt that training writes, into `folder`.

    It is on all layers, or on those with an index in `layers`.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from stagewise.models.load import load_base
    from stagewise.models.receipts import model_receipt
    from stagewise.provenance.receipts import write_receipt

    config = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=["q_proj", "v_proj"],
        layers_to_transform=layers,
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_peft_model(load_base(model_dir, "none", "float32"), config)
    # Strong enough to change answers.
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data *= 2
    model.save_pretrained(folder)
    inputs = {"recipe": fingerprint, "model": model_receipt(model_dir)["fingerprint"], "parents": []}
    write_receipt(folder, {"inputs": inputs, **facts})
    return Path(folder)
