"""Imports of large libraries without the garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def import_once() -> Iterator[None]:
    """Switch the garbage collector off for imports, and let it leave alone what they brought.

    It would go through all modules again and again while they come, for a fifth to a third of the time, and they stay
    until the process ends anyway.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
