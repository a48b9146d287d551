"""Convert a GGUF file to a folder that transformers loads like any other model."""

from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import read_json, write_json

# A wrong pre-tokenizer, a lost merge or a lost special token would garble this text.
_PROBE = 'In 2024, 37.5% of the naïve patients (n=1048) said: "I\'m fine"\n\tnot «stress» – 😀 <|im_start|>user'


def convert_gguf(gguf_file, output) -> None:
    """Write weights (safetensors, bfloat16), configuration, tokenizer and chat template of a GGUF file.

    The weights are unpacked to float32 and rounded once to bfloat16, the type that such models were published in;
    4-bit packing has lost far more than that rounding does.

    Raises
    ------
    InputError
        If the file is not GGUF, its tokenizer is of a kind that cannot be rebuilt, or it has no chat template.
    """
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    gguf_file, output = Path(gguf_file), Path(output)
    try:
        fields = GGUFReader(gguf_file).fields
    except ValueError as error:
        raise InputError(f"{gguf_file.name}: not a GGUF file ({error})") from None
    source = {"pretrained_model_name_or_path": gguf_file.parent, "gguf_file": gguf_file.name, "local_files_only": True}

    tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    restore_pre_tokenizer(tokenizer, fields["tokenizer.ggml.pre"].contents(), gguf_file.name)
    tokenizer.model_max_length = int(fields[f"{fields['general.architecture'].contents()}.context_length"].contents())
    check_tokenizer(tokenizer, gguf_file.name)
    tokenizer.save_pretrained(output)
    _remove_keys(output / "tokenizer_config.json", "is_local", "local_files_only")

    model = AutoModelForCausalLM.from_pretrained(
        **source, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True), trust_remote_code=False
    )
    model.to(torch.bfloat16).save_pretrained(output)
    for name in ("config.json", "generation_config.json"):
        # The model does not depend on the converter's version, so the fingerprint must not either.
        _remove_keys(output / name, "transformers_version")


def restore_pre_tokenizer(tokenizer, kind: str, name: str) -> None:
    """Set the pre-tokenizer, which GGUF stores by name only and transformers reads as plain byte-level BPE.

    ``smollm`` splits off every digit first: without that, numbers become tokens that the model never saw.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    if kind != "smollm":
        raise InputError(
            f"{name}: its pre-tokenizer is '{kind}', and only 'smollm' is known here; take the model as safetensors "
            "from a hub or a local directory instead"
        )
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )


def check_tokenizer(tokenizer, name: str) -> None:
    """Refuse a tokenizer that changes a text when it encodes and decodes it, or that has no chat template."""
    if tokenizer.decode(tokenizer(_PROBE, add_special_tokens=False)["input_ids"]) != _PROBE:
        raise InputError(f"{name}: its tokenizer does not give a text back unchanged; this file cannot be used")
    if not tokenizer.chat_template:
        raise InputError(f"{name}: it has no chat template; take the model from a hub or a local directory instead")


def _remove_keys(path: Path, *keys: str) -> None:
    """Remove keys from a JSON file that say how it was made and are not part of the model."""
    values = read_json(path, "the converted file")
    write_json(path, {key: value for key, value in values.items() if key not in keys})
