"""Scoring and generation with as many tokens per batch as fit into memory."""

import sys
from collections.abc import Callable
from typing import TypeVar

from stagewise.errors import InputError
from stagewise.models.out_of_memory import describe_memory, is_out_of_memory, release_memory

Result = TypeVar("Result")


def within_memory(
    compute: Callable[[int], Result],
    tokens_per_batch: int,
    longest: int,
    way_out: str = "lower training.max_length",
) -> tuple[Result, int]:
    """Compute with fewer tokens per batch until they fit into memory; scores change by rounding only.

    Parameters
    ----------
    compute
        Function of the tokens per batch; it begins anew each time, with the longest items.
    longest
        Tokens of the longest item: a batch of as many tokens is a single item.
    way_out
        What makes items shorter, for the refusal.

    Returns
    -------
    result, tokens_per_batch
        The result, and the tokens per batch that it was computed with.

    Raises
    ------
    InputError
        If one item does not fit.
    """
    while True:
        try:
            return compute(tokens_per_batch), tokens_per_batch
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        release_memory()
        if tokens_per_batch <= longest:
            raise InputError(
                f"scoring one item of {longest} tokens does not fit into memory ({describe_memory()}); "
                f"{way_out}, set quantization to nf4, or use a device with more memory"
            )
        before, tokens_per_batch = tokens_per_batch, max(longest, tokens_per_batch // 2)
        print(f"out of memory with {before} tokens per batch; it goes on with {tokens_per_batch}", file=sys.stderr)
