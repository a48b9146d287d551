"""Small tokenizers of the kinds that models have, each with control tokens in and beside its vocabulary."""

from tests.helpers.tiny_llama import CHAT_TEMPLATE, CORPUS, build_tokenizer

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def tokenizer_kinds() -> dict:
    """Tokenizers by kind; all have `SPECIAL` but the byte-level one, which has those of the tiny model."""
    from tokenizers import AddedToken

    kinds = {
        "byte-level (GPT-2, Llama 3)": build_tokenizer(),
        "byte-level with a blank (RoBERTa)": _byte_level(),
        "metaspace always (Mistral)": _metaspace("always"),
        "metaspace first (Llama 2)": _metaspace("first"),
        "metaspace unsplit": _metaspace("always", split=False),
        "prepend (Llama 2, legacy)": _legacy(),
        "byte fallback (Gemma)": _byte_fallback(),
        "unigram with an end (T5)": _unigram(),
        "word pieces (BERT)": _word_pieces(),
    }
    for tokenizer in kinds.values():
        tokenizer.add_tokens([AddedToken("[INST]", normalized=True), AddedToken("<think>"), AddedToken("\n\n")])
    return kinds


def _byte_level():
    from tokenizers import decoders, models, pre_tokenizers

    kind = pre_tokenizers.ByteLevel(add_prefix_space=True)
    model = models.BPE(unk_token="<unk>")
    return _bpe(model, _template("<s> $A </s>"), pre_tokenizer=kind, decoder=decoders.ByteLevel())


def _metaspace(scheme: str, split: bool = True):
    from tokenizers import models, pre_tokenizers

    blank = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    return _bpe(models.BPE(unk_token="<unk>"), pre_tokenizer=blank)


def _legacy():
    from tokenizers import models, normalizers, pre_tokenizers

    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    words = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer = _bpe(models.BPE(unk_token="<unk>"), _template("<s> $A"), normalizer=normalizer, pre_tokenizer=words)
    tokenizer.backend_tokenizer.pre_tokenizer = None  # as in the converted files: words are only how it was trained
    return tokenizer


def _byte_fallback():
    from tokenizers import models, normalizers, pre_tokenizers

    return _bpe(
        models.BPE(unk_token="<unk>", byte_fallback=True),
        _template("<s> $A"),
        extra=[f"<0x{byte:02X}>" for byte in range(256)],
        normalizer=normalizers.Replace(" ", "▁"),
        pre_tokenizer=pre_tokenizers.Split("▁", "merged_with_next"),
    )


def _unigram():
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    parts = {"normalizer": normalizers.NFKC(), "pre_tokenizer": pre_tokenizers.Metaspace()}
    return _fast(models.Unigram(), trainer, _template("$A </s>"), parts)


def _word_pieces():
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    parts = {"normalizer": normalizers.BertNormalizer(), "pre_tokenizer": pre_tokenizers.BertPreTokenizer()}
    return _fast(models.WordPiece(unk_token="<unk>"), trainer, _template("<s> $A </s>"), parts)


def _bpe(model, post_processor=None, extra=(), **parts):
    from tokenizers import trainers

    trainer = trainers.BpeTrainer(vocab_size=400 + len(extra), special_tokens=[*SPECIAL, *extra], show_progress=False)
    return _fast(model, trainer, post_processor, parts)


def _template(single: str):
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])


def _fast(model, trainer, post_processor, parts: dict):
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(model)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    tokenizer.train_from_iterator([text * 3 for text in CORPUS] * 4, trainer)
    if post_processor:
        tokenizer.post_processor = post_processor
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>", unk_token="<unk>"
    )
    fast.chat_template = "{{ bos_token }}" + CHAT_TEMPLATE
    return fast
