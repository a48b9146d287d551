"""Style that several figures share: baselines, and how arms are told apart."""

from stagewise.metrics.schema import MAJORITY, TFIDF, TFIDF_BALANCED
from stagewise.report.figures.svg import INK, MARKERS, SERIES, Key, variable
from stagewise.report.lookup import View

# Line styles of the baselines: matplotlib's (offset, dashes in points) and the same for CSS.
BASELINES = {MAJORITY: (6, 3), TFIDF: (2, 2), TFIDF_BALANCED: (8, 2, 2, 2)}

WIDTH = 330
"""Width of a picture in pixels, so that three stand side by side on a wide screen."""

SMALL = 160
"""Width of a picture that is one of many alike, so that two stand side by side on a phone and six on a wide screen."""

FEW = 5
"""Number of arms whose names fit beside their points; more are numbered."""


def arm_style(view: View, arms: list[str]) -> tuple[str, int]:
    """Choose colour and marker of the arms; what several arms share has the text's colour and the first marker.

    Colour and marker together are different for each of 36 arms.
    """
    if not view.several_arms:
        return SERIES[0], 0
    if len(arms) != 1:
        return INK, 0
    turn, color = divmod(view.arms.index(arms[0]), len(SERIES))
    return SERIES[color], (color + turn + 1) % len(MARKERS)  # the first marker is that of shared adapters


def label(view: View, arm: str) -> str:
    """Label of an arm's point: its name, or its number if names would cover each other."""
    return arm if len(view.arms) <= FEW else view.number(arm)


def named(view: View, arm: str) -> str:
    """Name of an arm in a list, after its number if points are numbered."""
    return arm if len(view.arms) <= FEW else f"{view.number(arm)} {arm}"


def arm_keys(view: View) -> list[Key]:
    """Legend of the arms."""
    keys = []
    for arm in view.arms:
        color, shape = arm_style(view, [arm])
        keys.append(Key(named(view, arm), variable(color), MARKERS[shape][1]))
    return keys


def shared_key(view: View) -> Key:
    """Legend entry of what several arms share."""
    return Key("shared by several arms", variable(arm_style(view, [])[0]), MARKERS[0][1], "")


def shorten(text: str, length: int) -> str:
    """Cut a text to so many characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
