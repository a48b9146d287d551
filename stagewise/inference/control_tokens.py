"""Control tokens of a tokenizer, and the encoding of texts that must not speak for the model. Imports no torch.

A tokenizer finds its added tokens in any text: ``<|im_end|>`` in an item would end the user's turn. A text of the
experiment's data is therefore encoded by a copy of the tokenizer in which the control tokens have other names, and only
those that the chat template or the author of a prompt wrote are called by them. Everything else about the copy is the
same, so that a prompt has the tokens that it always had unless one of its texts holds a control token.
"""

import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache

from stagewise.errors import InputError

Part = tuple[str, bool]
"""A piece of a prompt, and whether its control tokens are meant as such."""

# A non-special added token is a control token if it is written as one, as `<think>`, `[INST]` or `◁think▷` are. Others
# are vocabulary: runs of blanks (Gemma, GPT-NeoX), or words of a field that a user has added.
_MARKUP = re.compile(r"[^\w\s].*\w.*[^\w\s]", re.DOTALL)

# The bytes of characters that a vocabulary lacks; they spell texts and steer nothing.
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def chat_template(tokenizer) -> str | None:
    """Source of the tokenizer's chat template; None if it has none, or several of which none is the default."""
    try:
        return tokenizer.get_chat_template() if tokenizer.chat_template else None
    except ValueError:
        return None


def control_tokens(tokenizer) -> dict[str, int]:
    """Ids of the added tokens that steer the model, by their text.

    They are the special tokens and those that are written as markup or stand in the chat template; tokens of nothing
    but blanks are not among them.
    """
    template = chat_template(tokenizer) or ""
    return {
        token.content: number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.content.replace("▁", " ").strip()
        and not _BYTE.fullmatch(token.content)
        and (token.special or _MARKUP.fullmatch(token.content) or token.content in template)
    }


def describe_control_tokens(items: int) -> str:
    """Say how many items held control tokens, and what became of them."""
    return f"{items} {'item holds' if items == 1 else 'items hold'} control tokens of the model, read as plain text"


class ControlTokens:
    """Encoder of prompts of which some parts must not be read as control tokens."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.ids = control_tokens(tokenizer)
        self._pattern = _any_of(self.ids)
        self._copy_name: str | None = None

    def find(self, text: str) -> list[str]:
        """Control tokens that the tokenizer would find in a text, as they are written there."""
        tokens = self._pattern.findall(text)
        if not tokens and self._normalized:
            tokens = self._normalized.findall(self._normalizer.normalize_str(text))
        return tokens

    def first(self, text: str) -> re.Match | None:
        """Match of the first control token in a text that is trusted."""
        return self._pattern.search(text)

    def held(self, parts: Sequence[Part]) -> bool:
        """True if a part that is not trusted, or the joint of two parts, would be read as a control token."""
        return bool(self.find("".join(self._pattern.sub("\0", text) if trusted else text for text, trusted in parts)))

    def changes(self, parts: Sequence[Part]) -> bool:
        """True if the prompt's tokens would be others if its texts could hold control tokens."""
        return self.held(parts) and self.encode(parts) != self._encode_as_it_stands(parts, False)

    def encode(self, parts: Sequence[Part], add_special_tokens: bool = False) -> list[int]:
        """Token ids of the joined parts; control tokens count in trusted parts alone.

        Parameters
        ----------
        add_special_tokens
            Whether the tokenizer puts its own tokens (BOS) before the text; those that it puts after it are left out,
            because an answer follows.

        Raises
        ------
        InputError
            If a text holds a control token and this tokenizer has no way to encode it as plain text.
        """
        if not self.held(parts):
            return self._encode_as_it_stands(parts, add_special_tokens)
        names = self._names("".join(text for text, _ in parts))
        renamed = (
            self._pattern.sub(lambda match: names[match[0]], text) if trusted else text for text, trusted in parts
        )
        encoding = self._copy.encode("".join(renamed), add_special_tokens=add_special_tokens)
        return _without_end(encoding.ids, encoding.special_tokens_mask)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token in a text that is not trusted."""
        if not self.find(text):
            return self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        self._names(text)
        return self._copy.encode(text, add_special_tokens=False).offsets

    def _encode_as_it_stands(self, parts: Sequence[Part], add_special_tokens: bool) -> list[int]:
        text = "".join(text for text, _ in parts)
        # A tokenizer may be set to split its special tokens, but here they are those of the template.
        encoding = self.tokenizer(
            text,
            add_special_tokens=add_special_tokens,
            return_special_tokens_mask=True,
            split_special_tokens=False,
        )
        return _without_end(encoding["input_ids"], encoding["special_tokens_mask"])

    @cached_property
    def _normalizer(self):
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        return backend.normalizer if backend is not None else None

    @cached_property
    def _normalized(self) -> re.Pattern | None:
        """Pattern of the tokens in a normalized text; None if the tokenizer does not normalize.

        There tokens are found that are declared so, and a vocabulary's own may come out of other characters: NFKC makes
        `</s>` of `＜/s＞`.
        """
        if self._normalizer is None:
            return None
        return _any_of({*self.ids, *map(self._normalizer.normalize_str, self.ids)} - {""})

    def _names(self, text: str) -> dict[str, str]:
        """Names of the control tokens in the copy, none of which stands in the text; builds the copy if need be."""
        number = 0
        while f"zq{number}x" in text.casefold():
            number += 1
        if self._copy_name != f"zq{number}x":
            self._copy_name = f"zq{number}x"
            self._copy_names = {token: f"{self._copy_name}{index}qz" for index, token in enumerate(self.ids)}
            self._copy = _renamed_copy(self.tokenizer, tuple(self.ids.items()), tuple(self._copy_names.items()))
        return self._copy_names


def _any_of(texts) -> re.Pattern:
    """Pattern that matches any of the texts, the longest first; none if there are no texts."""
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)")


def _without_end(ids: list[int], added: list[int]) -> list[int]:
    """Token ids without those that the tokenizer itself has put at the end (`added` is 1 for its own tokens).

    One is left of a text without tokens, so that an answer has something to follow.
    """
    length = len(ids)
    while length > 1 and added[length - 1]:
        length -= 1
    return ids[:length]


@lru_cache(maxsize=2)  # tasks share a tokenizer, and a copy of a large one takes seconds
def _renamed_copy(tokenizer, token_ids: tuple[tuple[str, int], ...], token_names: tuple[tuple[str, str], ...]):
    """Copy a tokenizer under other names of its control tokens, which keep their ids.

    The vocabulary is renamed too: a Unigram model would else put `</s>` together from plain text.
    """
    from tokenizers import Tokenizer

    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            "the model's tokenizer cannot encode control tokens as plain text; use one with tokenizer.json"
        )
    names = dict(token_names)
    values = json.loads(tokenizer.backend_tokenizer.to_str())
    values["truncation"] = values["padding"] = None
    for token in values["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = values["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if "merges" in model:
        merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [pair for pair in merges if not {*pair, "".join(pair)} & set(names)]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    copy = Tokenizer.from_str(json.dumps(values))
    if any(copy.token_to_id(names[token]) != number for token, number in token_ids):
        raise InputError("the model's tokenizer gives its control tokens other ids when it is loaded again; rebuild it")
    return copy
