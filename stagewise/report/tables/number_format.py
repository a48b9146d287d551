"""Formats of numbers: percentages, points, p-values, times, sizes."""

MISSING = "–"

MINUS = "\N{MINUS SIGN}"


def percent(value: float | None) -> str:
    """A share from 0 to 1 as percent without the sign, one decimal."""
    return MISSING if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """A difference of shares in percentage points, always with its sign."""
    if value is None:
        return MISSING
    text = f"{100 * value:+.1f}".replace("-", MINUS)
    return "0.0" if text[1:] == "0.0" else text


def decimal(value: float | None) -> str:
    """A value that is no share, three decimals."""
    return MISSING if value is None else _unsigned_zero(f"{value:.3f}").replace("-", MINUS)


def signed_decimal(value: float | None) -> str:
    """A difference of such values, always with its sign."""
    return MISSING if value is None else _unsigned_zero(f"{value:+.3f}").replace("-", MINUS)


def _unsigned_zero(text: str) -> str:
    return text.lstrip("+-") if not text.strip("+-0.") else text


def interval(low: float | None, high: float | None, write=percent) -> str:
    """``[low, high]``, or nothing without an interval."""
    return "" if low is None or high is None else f"[{write(low)}, {write(high)}]"


def number(value: float | None, digits: int = 4) -> str:
    """A plain number with so many significant digits."""
    return MISSING if value is None else f"{value:.{digits}g}".replace("-", MINUS)


def count(value: int | None) -> str:
    """A whole number with thousands apart."""
    return MISSING if value is None else f"{value:,}"


def p_value(value: float) -> str:
    """A p-value; small ones are not spelled out."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """A duration in the unit a reader would choose."""
    if value is None:
        return MISSING
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(value: int | None) -> str:
    """Bytes as GiB, as MiB below one tenth of that, as KiB below 1 MiB."""
    if value is None:
        return MISSING
    if value >= 2**30 / 10:
        return f"{value / 2**30:.1f} GiB"
    return f"{value / 2**20:.0f} MiB" if value >= 2**20 else f"{value / 2**10:.0f} KiB"


def plain(value) -> str:
    """A setting's value in words."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(plain(entry) for entry in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def plural(n: int, word: str) -> str:
    """``1 item``, ``2 items``."""
    return f"{count(n)} {word}{'' if n == 1 else 's'}"


def capital(text: str) -> str:
    """Begin a sentence with a text."""
    return text[:1].upper() + text[1:]


def listed(words) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
