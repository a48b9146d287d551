"""Settings that sweeps tried: how one was chosen, and whether arms that are compared tried as many."""

from stagewise.report.lookup import View
from stagewise.report.tables.number_format import plural
from stagewise.report.text.sentences import Sentence


def choice(view: View) -> Sentence | None:
    """Say how the settings of swept arms were chosen; None without a sweep."""
    swept = [arm for arm in view.arms if view.tried(arm) > 1]
    if not swept:
        return None
    numbers = sorted({view.tried(arm) for arm in swept})
    each = " each" if len(swept) > 1 and len(numbers) == 1 else ""
    number = f"{numbers[0]}{each}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return Sentence(
        f"The settings of {view.whose(swept)} were chosen on validation, out of {number} that were tried",
        f"the best mean of {view.primary.title} over the tasks decides, no test item takes part, and everything else "
        "on this page is about the chosen ones",
    )


def unequal_numbers(view: View) -> Sentence | None:
    """Say which compared arms had different numbers of tried settings; None if all had as many as their reference."""
    comparisons = []
    for reference in view.references:
        by_number: dict[int, list[str]] = {}
        for arm in view.arms:
            if view.reference_of(arm) == reference:
                by_number.setdefault(view.tried(arm), []).append(arm)
        by_number.setdefault(view.tried(reference), [])
        if len(by_number) > 1:
            names = {number: view.whose(arms or [reference]) for number, arms in by_number.items()}
            comparisons.append(", ".join(f"{names[number]}: {plural(number, 'setting')}" for number in sorted(names)))
    if not comparisons:
        return None
    verdict = "Arms that are compared had different numbers of tried settings, which favours those with more"
    return Sentence(verdict, "; ".join(comparisons))
