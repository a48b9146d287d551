"""Cells of CSV files that people open in a spreadsheet."""

import math

_STARTS = ("=", "+", "-", "@", "\t", "\r")


def inert(value):
    """Put an apostrophe before a text that a spreadsheet would take for a formula; numbers stay, as texts too.

    For files that are looked at. Predictions and answers, which programs compare with the data, keep every text.
    """
    if not isinstance(value, str) or not value.lstrip(" ").startswith(_STARTS):
        return value
    try:
        return value if math.isfinite(float(value)) else f"'{value}"
    except ValueError:
        return f"'{value}"
