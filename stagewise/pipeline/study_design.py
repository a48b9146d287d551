"""What a planned study could show: a table in Markdown, and a picture."""

from dataclasses import replace

from stagewise.metrics.design import MOST_RUNS, Assumed, Comparisons, Design
from stagewise.report.design_picture import Panel, draw_design
from stagewise.report.tables.number_format import listed, percent, plural

RUNS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20)
"""Numbers of runs in the picture."""

HIGHEST = 0.5
"""Differences above this are not drawn."""


def design_picture(name: str, design: Design, assumed: list[Assumed]) -> str:
    """Draw the detectable differences by the number of runs; returns an SVG file's text."""
    panels = []
    for group in design.comparisons:
        lines = []
        for each in assumed:
            points = [(runs, replace(design, runs=runs).detectable(group, each)) for runs in RUNS]
            lines.append([(runs, 100 * value) for runs, value in points if value is not None and value <= HIGHEST])
        caption = f"{describe(group, design)}, {sum(task.items for task in design.tasks_of(group))} items"
        panels.append(Panel(f"design-{group.kind}-{group.task or 'mean'}-{group.against}", caption, lines))
    noise = [100 * each.noise for each in assumed]
    return draw_design(f"What {name} could show", noise, panels, design.runs)


def describe(group: Comparisons, design: Design) -> str:
    """What claims of a kind are about."""
    if group.kind == "kept":
        return f"{group.task}: kept since it was learnt"
    if group.kind == "probe":
        return f"{group.task} (probe): against the untuned model"
    references = {other.against for other in design.comparisons if other.kind == "arms"}
    task, reference = group.task or "mean over tasks", group.against if len(references) > 1 else "the reference arm"
    return f"{task}: against {reference}"


def design_tables(name: str, design: Design, assumed: list[Assumed], effects: list[float]) -> list[str]:
    """Write the detectable differences, and the seeds or items that effects of a given size take."""
    groups = design.comparisons
    if not groups:
        probes = f" Nothing is known of the items of probes, of which there are {plural(design.others, 'claim')}."
        return [
            f"{name}: no arm has an earlier task, a probe among the tasks or another arm to compare with, so nothing "
            f"is claimed.{probes if design.others else ''}"
        ]
    names = [describe(group, design) for group in groups]
    tested = plural(sum(group.number for group in groups) + design.others, "claim")
    probes = ", about probes" if design.others or any(group.kind == "probe" for group in groups) else ""
    lines = [
        f"{name}: {plural(design.runs, 'run')}; {listed(_items(design))}.",
        f"A report of {design.family} claims; {tested} are about what is kept{probes} or about arms, and share a "
        f"chance of {100 * design.level:g}% of any false one.",
        _assumptions(assumed[0], design),
        "",
        "Difference in points that is found with 80% power:",
        "",
        *_header(["Training noise", *names]),
        # One run's claims do not depend on the training noise.
        *(
            _row(each, [_points(design.detectable(group, each)) for group in groups], "any" if design.runs == 1 else "")
            for each in (assumed[:1] if design.runs == 1 else assumed)
        ),
    ]
    for effect in effects:
        lines += ["", f"To find {100 * effect:g} points, seeds (and test items with the planned runs):", ""]
        lines += _header(["Training noise", *names])
        lines += [_row(each, [_needed(design, group, each, effect) for group in groups]) for each in assumed]
    return lines


def _items(design: Design) -> list[str]:
    return [
        f"{items.items} test items of {task}" + (f" in groups of {items.group_size:.1f}" if items.grouped else "")
        for task, items in design.tasks.items()
    ]


def _assumptions(assumed: Assumed, design: Design) -> str:
    text = (
        f"Assumed: accuracy {percent(assumed.accuracy)}%, two trainings disagree on {percent(assumed.disagreement)}% "
        "of the items, and an adapter's accuracy has the training noise (standard deviation) of each row."
    )
    if design.scored:
        text += (
            f" An item's scores of {listed(list(design.scored))} differ between two trainings by a standard deviation "
            f"of {percent(assumed.deviation)} points."
        )
    if any(group.task is None for group in design.comparisons) and len(design.tasks) > 1:
        text += f" Its noise on two tasks correlates by {assumed.task_correlation:g}."
    if design.runs == 1:
        text += " With one run claims are about these very adapters, whatever the training noise."
    return text


def _needed(design: Design, group: Comparisons, assumed: Assumed, effect: float) -> str:
    runs, items = design.runs_for(effect, group, assumed), design.items_for(effect, group, assumed)
    return f"{runs or f'over {MOST_RUNS}'} ({f'{items:,}' if items else 'no number'})"


def _points(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f}"


def _header(cells: list[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def _row(assumed: Assumed, cells: list[str], noise: str = "") -> str:
    return f"| {noise or f'{100 * assumed.noise:g}'} | {' | '.join(cells)} |"
