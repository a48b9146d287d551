"""Arms side by side: the short table of the first screen, and every measure by decision rule."""

from collections.abc import Iterator
from dataclasses import replace

from stagewise.lineage import BASE
from stagewise.metrics.schema import MAJORITY, RULES, Claim, Value
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import MISSING, capital, p_value, percent
from stagewise.report.tables.scores import on_items
from stagewise.report.tables.table import SIGNS, Cell, Column, Table, numeric, value_cell

ONE_RUN_SIGNS = {"worse": ("■", "down"), "better": ("◆", "up")}
"""Sign and style of what adapters of one run lost or gained: no arrow, because it says nothing about the arm."""

SHORT_TASKS = 3
"""Tasks that have a column of their own in the short table; of more, it names the worst."""

MAX_TASKS = 6
"""Tasks that have a column of their own in a table of arms; of more, the stage × task matrix has the scores."""

ARROW = "\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}"

MEAN_OVER_TASKS = "mean over all tasks"

TASK_SCORES = (
    "they are means of the tasks' own measures, of which one whose lower values are better counts turned over within "
    "its range"
)

NO_LATER_STAGE = "no stage came after the one that learnt it"


def noise_cell(value: Value | None) -> Cell:
    """Share of training noise in a variance."""
    if value is None or value.training_share is None:
        return Cell(MISSING, reason=(value and value.reason) or "not computed")
    return Cell(f"{percent(value.training_share)}%")


def measured_rules(view: View) -> list[str]:
    """Decision rules that some arm was measured under, argmax first."""
    used = {record.rule for record in view.metrics.arm_tasks}
    return [rule for rule in RULES if rule in used]


def arm_cell(view: View, arm: str) -> Cell:
    """An arm as a row heading: its number, as figures write it, and its name."""
    return Cell(
        f"{view.number(arm)} {arm}" if view.several_arms else arm, "reference" if view.is_reference(arm) else ""
    )


def arms_by_order(view: View, table: Table, heading: str = "") -> Iterator[str]:
    """Iterate over the arms, those that learnt the tasks in one order below a part of the table.

    `heading` stands before the order. There is no part for an order if no two arms share one.
    """
    if not 1 < len(view.orders) < len(view.arms):
        if heading:
            table.part(heading)
        yield from view.arms
        return
    for order, arms in view.orders.items():
        table.part(": ".join(filter(None, (heading, ARROW.join(order)))))
        yield from arms


def p_cell(claim: Claim | None, key: str, why: str = "not compared: the same adapter") -> Cell:
    """A p-value of a claim."""
    p = getattr(claim, key) if claim else None
    return Cell(MISSING, reason=why) if p is None else Cell(p_value(p))


def short(view: View) -> Table:
    """The arms in as few columns as a reader needs first: each task, the average, and backward transfer.

    Without an earlier task nothing is transferred: then each task's score is beside that of the untuned model.
    """
    each, caption = len(view.tasks) <= SHORT_TASKS, ""
    if view.tasks:
        scores = "Earlier tasks: when learnt → at the end." if view.earlier_tasks() else "Tasks: untuned → when learnt."
        caption = (
            f"{view.primary_axis}, {view.main_split} split ({on_items(view, view.main_split)}). {scores} Brackets: "
            f"intervals ({view.intervals})."
        )
    if each and len(view.orders) > 1:
        caption += " Tasks stand in the order in which the arm learnt them."
    caption += _legend(view)
    columns: list = ["Arm"]
    if each:
        columns += numeric(*_positions(view))
    if not view.earlier_tasks():
        columns += numeric(*_learnt_headings(view))
    elif view.tasks:
        columns += numeric("Average", "Backward transfer", *([] if each else ["Worst earlier task"]))
    if view.probes:
        columns.append("Probes lost")
        caption = f"{caption} Probes lost: those on which a loss against the untuned model is shown.".lstrip()
    table = Table("arms-short", caption, columns)
    for arm in arms_by_order(view, table) if measured_rules(view) or view.probes else ():
        row: list = [replace(arm_cell(view, arm), detail="")]
        if each:
            cell = _before_after_cell if view.earlier_tasks() else _untuned_after_cell
            row += [cell(view, arm, task, name=len(view.orders) > 1) for task in view.order(arm)]
        if not view.earlier_tasks():
            row += _learnt_cells(view, arm)
        elif view.tasks:
            row.append(_average_cell(view, arm))
            transfer = view.arm_summary(arm, "backward_transfer", view.primary.name)
            row.append(value_cell(transfer, view.primary.write_difference, NO_LATER_STAGE))
            row += [] if each else [_worst_cell(view, arm)]
        table.add(*row, *([_probes_cell(view, arm)] if view.probes else []))
    return table


def _probes_cell(view: View, arm: str) -> Cell:
    """Number of an arm's probes on which a loss is shown, and their names."""
    claims = [claim for probe in view.probes.of_arm(arm) if (claim := view.claim("probe", arm, probe))]
    if not claims:
        return Cell(MISSING, reason="nothing is claimed about this arm's probes")
    lost = [claim.task for claim in claims if claim.verdict == "worse"]
    sign, style = _sign(view, "worse" if lost else None)
    return Cell(f"{len(lost)} of {len(claims)}", ", ".join(lost), style=style, sign=sign)


def _positions(view: View) -> list[str]:
    """Headings of the columns of tasks: their names, or their places where arms learnt them in different orders."""
    if len(view.orders) == 1:
        return list(view.ordered_tasks)
    return [f"Task {place}" for place in range(1, len(view.tasks) + 1)]


def _legend(view: View) -> str:
    """Meaning of the signs in the short table; empty if it has none."""
    if not view.earlier_tasks() and len(view.tasks) == 1:
        claims = [claim for claim in view.select("claims", kind="learnt") if claim.against in (BASE, MAJORITY)]
        words = {"worse": "shown to be worse", "better": "shown to be better"}
    else:
        claims = view.select("claims", kind="arms" if view.claims_average else "kept")
        words = {"worse": "lost by these adapters", "better": "gained by these adapters"}
        if view.several_runs:
            words = {"worse": "forgotten", "better": "improved"}
        if view.claims_average:
            words = {verdict: f"average {verdict} than that of {view.named_reference}" for verdict in words}
    verdicts = {claim.verdict for claim in claims}
    shown = [f"{_sign(view, verdict)[0]} {text}" for verdict, text in words.items() if verdict in verdicts]
    return f" {', '.join(shown)}." if shown else ""


def _sign(view: View, verdict: str | None) -> tuple[str, str]:
    """Sign and style of a claimed change; none of what is not shown."""
    signs = SIGNS if view.several_runs else ONE_RUN_SIGNS
    return signs[verdict] if verdict in ONE_RUN_SIGNS else ("", "")


def _average_cell(view: View, arm: str) -> Cell:
    """An arm's mean over the tasks, with the sign of a claimed difference from its reference."""
    cell = value_cell(view.arm_summary(arm, "average", view.primary.name), view.primary.write)
    claim = view.claim("arms", arm, None)
    sign, style = _sign(view, claim and claim.verdict)
    return replace(cell, sign=sign, style=style)


def _before_after_cell(view: View, arm: str, task: str, name: bool) -> Cell:
    """An arm's score on a task; of an earlier one when learnt and at the end, with the sign of a claimed change."""
    measure, detail = view.own(task), task if name else ""
    after, before = view.arm_value(arm, task, measure.name), None
    if view.change(arm, task, measure.name) is not None:
        before = view.learnt_value(arm, task, measure.name)
    if after is None or after.value is None:
        return Cell(MISSING, detail, (after and after.reason) or "not computed")
    if before is None or before.value is None:
        reason = None if task in view.learnt_stages(arm) else "the arm did not learn this task"
        return Cell(measure.write(after.value), detail, reason)
    # Signs of the average and of single tasks beside each other would seem to compare the same.
    claim = None if view.claims_average else view.claim("kept", arm, task)
    sign, style = _sign(view, claim and claim.verdict)
    return Cell(f"{measure.write(before.value)}{ARROW}{measure.write(after.value)}", detail, None, style, sign)


def _untuned_after_cell(view: View, arm: str, task: str, name: bool) -> Cell:
    """An arm's score on a task, after that of its untuned model."""
    after = _before_after_cell(view, arm, task, name)
    measure = view.own(task)
    before = view.arm_value(arm, task, measure.name, stage=0)
    if before is None or before.value is None or after.text == MISSING:
        return after
    return replace(after, text=f"{measure.write(before.value)}{ARROW}{after.text}")


def _learnt_headings(view: View) -> list[str]:
    """Columns after those of the tasks, where none is an earlier one: of one task what it is compared with."""
    if len(view.tasks) != 1:
        return ["Average"] if view.tasks else []
    return ["Against the untuned model", f"Against the {view.of_tasks.name_majority(view.tasks[0])}"]


def _learnt_cells(view: View, arm: str) -> list[Cell]:
    if len(view.tasks) != 1:
        return [_average_cell(view, arm)] if view.tasks else []
    cells = []
    for against in (BASE, MAJORITY):
        claim = view.claim("learnt", arm, view.tasks[0], against)
        write = view.measures[claim.measure].write_difference if claim else str
        cell = value_cell(claim and claim.difference, write, "nothing is claimed")
        sign, style = _sign(view, claim and claim.verdict)
        cells.append(replace(cell, sign=sign, style=style))
    return cells


def _worst_cell(view: View, arm: str) -> Cell:
    """The earlier task whose score changed most for the worse."""
    direction = 1 if view.primary.higher_is_better else -1
    changes = {task: view.change(arm, task, view.primary.name) for task in view.earlier_tasks(arm)}
    changed = {task: direction * c.value for task, c in changes.items() if c and c.value is not None}
    if not changed:
        return Cell(MISSING, reason=NO_LATER_STAGE)
    return _before_after_cell(view, arm, min(changed, key=changed.__getitem__), name=True)


def final_scores(view: View, measure: ShownMeasure, rules: list[str], name: str) -> Table:
    """Every arm's final score on each task and their average, a part per decision rule."""
    tasks = [task for task in view.ordered_tasks if _is_scored(view, task, measure, rules)]
    caption = (
        f"{_score_title(view, measure)} after the arm's last stage, {view.main_split} split "
        f"({on_items(view, view.main_split)}), with intervals ({view.intervals}). "
    )
    if not measure.higher_is_better:
        caption += "Lower is better. "
    means = _has_means(view, measure, rules)
    if means:
        caption += "Average and backward transfer after Lopez-Paz & Ranzato (2017)"
        caption += f"; {TASK_SCORES}." if _is_task_score(view, measure) else "."
    noise = ["Training noise"] if view.several_runs and means else []
    if noise:
        caption += " Training noise: its share of the average's variance; the rest is the size of the test set."
    probes = ["Probes, change"] if _has_probe_changes(view, measure, rules) else []
    if probes:
        caption += " Probes, change: the mean over those among the tasks since the untuned model."
    columns = _task_columns(view, tasks if len(view.tasks) <= MAX_TASKS else [], measure)
    tasks = tasks[: len(columns)]
    columns += numeric(*(["Average", "Backward transfer"] if means else []), *probes, *noise)
    table = Table(name, caption.rstrip(), ["Arm", *columns])
    for rule in rules if columns else ():
        for arm in arms_by_order(view, table, "" if rules == ["argmax"] else f"Decision rule: {rule}"):
            average, transfer = (
                view.arm_summary(arm, statistic, measure.name, rule) for statistic in ("average", "backward_transfer")
            )
            table.add(
                arm_cell(view, arm),
                *(_score_cell(view, arm, task, measure, rule) for task in tasks),
                *([value_cell(average, measure.write)] if means else []),
                *([value_cell(transfer, measure.write_difference, NO_LATER_STAGE)] if means else []),
                *(_probe_change_cells(view, arm, measure, rule) if probes else []),
                *([noise_cell(average)] if noise else []),
            )
    return table


def _is_task_score(view: View, measure: ShownMeasure) -> bool:
    return view.of_tasks.are_mixed and measure.name == view.primary.name


def _score_title(view: View, measure: ShownMeasure) -> str:
    """A measure at the start of a caption, with its unit."""
    text = view.name_primary() if _is_task_score(view, measure) else measure.title
    return capital(text) + (" in percent" if measure.is_share else "")


def _task_columns(view: View, tasks: list[str], measure: ShownMeasure) -> list[Column]:
    """A column per task; of each task's own measure with its name above."""
    if not _is_task_score(view, measure):
        return numeric(*tasks)
    return [column for task in tasks for column in numeric(task, group=view.own(task).heading)]


def _score_cell(view: View, arm: str, task: str, measure: ShownMeasure, rule: str) -> Cell:
    shown = view.own(task) if _is_task_score(view, measure) else measure
    return value_cell(view.arm_value(arm, task, shown.name, rule), shown.write)


def _is_scored(view: View, task: str, measure: ShownMeasure, rules: list[str]) -> bool:
    """True if a task that some arm learns has the measure, and is answered by some of the rules."""
    has = _is_task_score(view, measure) or measure.name in view.of_tasks.measures_of(task)
    return has and any(view.arm_task(arm, task, rule) for rule in rules for arm in view.arms)


def _has_means(view: View, measure: ShownMeasure, rules: list[str]) -> bool:
    """True if there are means over tasks of the measure: all tasks that are learnt have it."""
    return any(view.arm_summary(arm, "average", measure.name, rule) for rule in rules for arm in view.arms)


def _has_probe_changes(view: View, measure: ShownMeasure, rules: list[str]) -> bool:
    pairs = ((arm, rule) for rule in rules for arm in view.arms)
    return view.probes.among_tasks and any(
        view.arm_summary(arm, "probe_change", measure.name, rule) for arm, rule in pairs
    )


def _probe_change_cells(view: View, arm: str, measure: ShownMeasure, rule: str) -> list[Cell]:
    return [value_cell(view.arm_summary(arm, "probe_change", measure.name, rule), measure.write_difference)]


def final_tables(view: View, rules: list[str], name: str) -> list[Table]:
    """`final_scores` of every measure, the primary one first; none without rules."""
    return [
        final_scores(view, measure, rules, f"{name}-{measure.name.replace('_', '-')}" if number else name)
        for number, measure in enumerate(view.measures.values() if rules else ())
    ]
