"""Label words: checks that need the model's tokenizer (`config.label_texts` has the others), and those of an item."""

from collections.abc import Callable, Sequence

import numpy as np

from stagewise.errors import InputError


def check_label_words(where: str, label_words: list[str], find_control_tokens: Callable[[str], list[str]]) -> None:
    """Refuse label words that hold a control token of the model.

    Parameters
    ----------
    where
        Key or file of the label words, for the message.
    find_control_tokens
        Function that finds the control tokens in a text.
    """
    for word in label_words:
        if held := find_control_tokens(word):
            raise InputError(
                f"{where}: the label word '{word}' holds the model's control token '{held[0]}'; choose a word of plain "
                "text"
            )


def check_label_token_ids(where: str, answers: dict[str, list[int]], end_tokens: int) -> None:
    """Refuse label words whose tokens cannot be told apart.

    Parameters
    ----------
    where
        Key or file of the label words, for the message.
    answers
        Token ids of each word's whole answer, its end included.
    end_tokens
        Number of end tokens that are not of the word's own encoding.

    Raises
    ------
    InputError
        If a word has no token, or one answer is the start of another: the longer one could never be more probable.
    """
    for word, ids in answers.items():
        if len(ids) <= end_tokens:
            raise InputError(f"{where}: the label word '{word}' has no token in this model; choose another word")
        for other, others in answers.items():
            if other != word and ids == others[: len(ids)]:
                same = "are the same tokens" if len(ids) == len(others) else "begin alike up to the end of the first"
                raise InputError(
                    f"{where}: the label words '{word}' and '{other}' {same} in this model, so that the first would "
                    "always win; choose other words"
                )


def without_missing_options(logprobs: np.ndarray, options: Sequence[int]) -> np.ndarray:
    """Set the log-probabilities, (items, letters), of the letters that an item of multiple choice lacks to -inf.

    `options` has the number of each item's options.
    """
    return np.where(np.arange(logprobs.shape[1]) < np.asarray(options)[:, None], logprobs, -np.inf)
