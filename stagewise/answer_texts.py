"""Texts of generated answers: normalized, in tokens, and the numbers in them.

Nothing here is about one language or script but for the English articles and the English way to write numbers:
letters, digits and combining marks of all scripts are kept, and scripts that put no blanks between words are compared
character by character.
"""

import re
import string
import unicodedata
from collections.abc import Callable
from decimal import Decimal

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")

# The sign counts where nothing is subtracted: 3-2 holds 3 and 2.
_NUMBER = re.compile(r"(?:(?<![\w)])(-)[$€£¥]?)?((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)")


def tokens(text: str) -> list[str]:
    """Split a text at blanks, punctuation and symbols, without regard to case.

    On ASCII text it is the tokenizer of `rouge_score` without stemming, which drops every other letter.
    """
    return _TOKEN.findall(_replaced(text, lambda character: " " if _is_sign(character, "PS") else character))


def normalized(text: str) -> str:
    """Normalize an answer as SQuAD's evaluation does (Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1).

    Case, punctuation, English articles and the number of blanks do not count. Punctuation is that of all scripts.
    """
    kept = _replaced(text, lambda c: "" if c in string.punctuation or _is_sign(c, "P") else c)
    return " ".join(_ARTICLE.sub(" ", kept).split())


def normalized_tokens(text: str) -> list[str]:
    """The words of a normalized answer."""
    return _TOKEN.findall(normalized(text))


def last_number(text: str) -> Decimal | None:
    """The last number of a text, written as in English (-3, 1,000, 0.5); None if it has none.

    A percent or currency sign beside it does not count, nor do zeros behind the decimal point.
    """
    numbers = _NUMBER.findall(unicodedata.normalize("NFKC", text).replace("\u2212", "-"))
    return Decimal("".join(numbers[-1]).replace(",", "")) if numbers else None


def _replaced(text: str, replacement: Callable[[str], str]) -> str:
    return "".join(map(replacement, unicodedata.normalize("NFKC", text).casefold()))


def _is_sign(character: str, categories: str) -> bool:
    """Tell if a character is punctuation (P) or a symbol (S)."""
    return unicodedata.category(character)[0] in categories
