"""Looks that several pictures share: measures, baselines, and how an arm is told from the others."""

from stagewise.metrics.schema import MAJORITY, TFIDF, TFIDF_BALANCED
from stagewise.report.figures.svg import INK, MARKERS, SERIES, Key, variable
from stagewise.report.lookup import View

MEASURES = {"accuracy": "Accuracy", "macro_f1": "Macro-F1"}

# Line styles of the baselines: matplotlib's (offset, dashes in points) and the same for CSS.
BASELINES = {MAJORITY: (6, 3), TFIDF: (2, 2), TFIDF_BALANCED: (8, 2, 2, 2)}

WIDTH = 330

FEW = 5
"""Arms whose names fit beside their points; more are numbered."""


def arm_style(view: View, arms: list[str]) -> tuple[str, int]:
    """Colour and marker of what belongs to these arms; what several share has the text's colour and the first marker.

    Colour and marker together are different for each of 36 arms.
    """
    if not view.several_arms:
        return SERIES[0], 0
    if len(arms) != 1:
        return INK, 0
    place = view.arms.index(arms[0])
    turn, color = divmod(place, len(SERIES))
    return SERIES[color], (color + turn + 1) % len(MARKERS)


def number(view: View, arm: str) -> str:
    """The arm's number, as every picture and table of arms writes it."""
    return str(view.arms.index(arm) + 1)


def label(view: View, arm: str) -> str:
    """What stands beside an arm's point: its name, or its number where names would cover each other."""
    return arm if len(view.arms) <= FEW else number(view, arm)


def named(view: View, arm: str) -> str:
    """An arm in a list: its name after its number."""
    return arm if len(view.arms) <= FEW else f"{number(view, arm)} {arm}"


def arm_keys(view: View, arms=None) -> list[Key]:
    """The legend of the arms."""
    keys = []
    for arm in arms or view.arms:
        color, shape = arm_style(view, [arm])
        keys.append(Key(named(view, arm), variable(color), MARKERS[shape][1]))
    return keys
