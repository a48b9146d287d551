"""Checks of label words and values as texts; `inference.label_words` has those that need a tokenizer."""

import unicodedata

# Of no width although Unicode counts them among letters, marks and symbols (Default_Ignorable_Code_Point and the blank
# Braille pattern).
_UNSEEN = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_UNSEEN |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000)}

_NAMES = {"\0": "NUL", "\t": "tab", "\n": "line break", "\r": "carriage return"}


def check_label_word(word: str) -> str:
    """Return a label word if a model can answer with it and a reader can see all of it.

    Raises
    ------
    ValueError
        For a word that is empty, has blanks at an end, or holds a line break or a character without width.
    """
    if not word.strip():
        raise ValueError("a label word is a text that the model can answer; this one is empty")
    if unseen := next(filter(_is_unseen, word), None):
        raise ValueError(f"the label word '{visible(word)}' holds {_describe(unseen)}; take it out")
    if word != word.strip():
        raise ValueError(f"the label word '{visible(word)}' has blanks at an end; take them off")
    return word


def check_distinct(words: list[str], values: list[str]) -> None:
    """Refuse label words or values that are told apart by how they are written alone.

    Words are compared as tokenizers and the reader of generated answers may: normalized (NFKC), whatever their case and
    blanks. Values come from data, where case counts: they are compared normalized (NFC), without blanks at their ends.

    Raises
    ------
    ValueError
        Naming both texts.
    """
    for key, texts, normalize in (("value", values, _normalize_value), ("word", words, _normalize_word)):
        first: dict[str, str] = {}
        for text in texts:
            other = first.get(normalize(text))
            if other == text:
                raise ValueError(f"the label {key} '{visible(text)}' is given twice")
            if other is not None:
                raise ValueError(
                    f"the label {key}s '{visible(other)}' and '{visible(text)}' are one text given twice, written in "
                    f"two ways; {'choose other words' if key == 'word' else 'give it once and correct the data'}"
                )
            first[normalize(text)] = text


def visible(text: str) -> str:
    """Write characters that cannot be seen, and marks that combine, as their numbers."""
    return "".join(
        f"<U+{ord(c):04X}>" if _is_unseen(c) or unicodedata.combining(c) or (c.isspace() and c != " ") else c
        for c in text
    )


def _is_unseen(character: str) -> bool:
    """True for control, format and unassigned characters, line breaks, surrogates, and others of no width."""
    unseen = unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
    return unseen or ord(character) in _UNSEEN


def _describe(character: str) -> str:
    name = _NAMES.get(character) or unicodedata.name(character, "which has no name")
    return f"U+{ord(character):04X} ({name})"


def _normalize_word(word: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold()).split())


def _normalize_value(value: str) -> str:
    return unicodedata.normalize("NFC", value).strip()
