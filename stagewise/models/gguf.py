"""Convert a GGUF file to a folder that transformers loads like any other model."""

from pathlib import Path

from stagewise.config.base_model import Model
from stagewise.config.shareable import shareable
from stagewise.errors import InputError
from stagewise.provenance.files import read_json, write_json

GGUF_SHA256 = "gguf_sha256"
"""Key of a file's checksum in a converted model's origin."""

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""Pattern by which tokenizers of Llama 3 and Qwen split a text, which differ in how they group digits."""

_DIGITS = {"llama-bpe": r"\p{N}{1,3}", "qwen2": r"\p{N}"}

PRE_TOKENIZERS = ("smollm", "gpt-2", *_DIGITS)
"""Names that GGUF has for the pre-tokenizers that can be rebuilt."""

# A wrong pre-tokenizer, a lost merge or a lost special token would garble this text.
_PROBE = 'In 2024, 37.5% of the naïve patients (n=1048) said: "I\'m fine"\n\tnot «stress» – 😀 <|im_start|>user'


def gguf_origin(model: Model, sha256: str) -> dict:
    """Describe a local GGUF file by its checksum, as plain data that may be passed on."""
    return shareable(model.origin) | {GGUF_SHA256: sha256}


def convert_gguf(gguf_file, output) -> None:
    """Write weights (safetensors, bfloat16), configuration, tokenizer and chat template of a GGUF file.

    The weights are unpacked to float32 and rounded once to bfloat16, the type that such models were published in;
    4-bit packing has lost far more than that rounding does.

    Raises
    ------
    InputError
        If the file is not GGUF, its architecture is not read, its tokenizer is of a kind that cannot be rebuilt, or
        it has no chat template.
    """
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    gguf_file, output = Path(gguf_file), Path(output)
    try:
        fields = GGUFReader(gguf_file).fields
    except (ValueError, IndexError) as error:
        raise InputError(f"{gguf_file.name}: not a GGUF file ({error})") from None
    architecture = _text(fields, "general.architecture")
    if architecture not in (supported := _architectures()):
        raise InputError(
            f"{gguf_file.name}: its architecture is '{architecture}', and {', '.join(supported)} are converted here; "
            "take the model as safetensors from a hub or a local directory instead"
        )
    source = {"pretrained_model_name_or_path": gguf_file.parent, "gguf_file": gguf_file.name, "local_files_only": True}

    tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    restore_pre_tokenizer(tokenizer, _text(fields, "tokenizer.ggml.pre"), gguf_file.name)
    tokenizer.model_max_length = int(fields[f"{architecture}.context_length"].contents())
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


def _text(fields: dict, key: str) -> str:
    return str(fields[key].contents()) if key in fields else ""


def _architectures() -> list[str]:
    """Architectures of GGUF files that transformers reads as decoders."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    return sorted({*GGUF_SUPPORTED_ARCHITECTURES} - {"general", "tokenizer", "t5", "umt5"})


def restore_pre_tokenizer(tokenizer, kind: str, name: str) -> None:
    """Set the pre-tokenizer, which GGUF stores by name only and transformers reads as plain byte-level BPE.

    ``smollm`` splits off every digit first: without that, numbers become tokens that the model never saw.
    """
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

    if kind not in PRE_TOKENIZERS:
        raise InputError(
            f"{name}: its pre-tokenizer is '{kind}', and {', '.join(PRE_TOKENIZERS)} are known here; take the model as "
            "safetensors from a hub or a local directory instead"
        )
    if kind in _DIGITS:
        split = Split(Regex(_SPLIT.format(numbers=_DIGITS[kind])), behavior="isolated")
        pre_tokenizer = Sequence([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        pre_tokenizer = ByteLevel(add_prefix_space=False)
        if kind == "smollm":
            pre_tokenizer = Sequence([Digits(individual_digits=True), pre_tokenizer])
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizer


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
