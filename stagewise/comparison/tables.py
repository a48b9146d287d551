"""Tables of several experiments: what they are, their scores, changes and costs, and the paired differences."""

from collections.abc import Callable, Iterator

from stagewise.comparison.experiments import (
    UNTUNED,
    Experiment,
    all_arms,
    all_probes,
    all_tasks,
    are_shares,
    axis,
    has_same_measures,
    measure_on,
    name_measures,
)
from stagewise.comparison.pairs import Pair
from stagewise.metrics.schema import BASELINES, Cost, Value
from stagewise.report.lookup import NAMES
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables import number_format
from stagewise.report.tables.arms import NO_LATER_STAGE, p_cell
from stagewise.report.tables.number_format import MISSING, count, plural
from stagewise.report.tables.probes import last_stage
from stagewise.report.tables.table import Cell, Column, Table, numeric, value_cell, verdict_cell

NO_TASK = "not a task of this experiment"
NO_SCORE = "no score over all runs"
NO_MEAN = "the mean is that over the tasks an arm learnt"
OTHER_MEASURES = "a mean of other measures than those of the first experiment"


def overview(experiments: list[Experiment]) -> Table:
    """Experiments, a row each."""
    caption = "The experiments. All others are compared with the first."
    columns = [
        "Experiment",
        Column("Model", wide=True),
        "Arms",
        "Runs",
        Column("Test items", wide=True),
        "Claims about",
    ]
    table = Table("experiments", caption, columns)
    for e in experiments:
        facts = e.view.experiment
        items = ", ".join(f"{task} {count(e.view.items(task, e.view.main_split))}" for task in e.tasks)
        runs = e.view.over_runs() if e.view.several_runs else f"one (seed {facts.seeds[0]})"
        table.add(
            e.label, ", ".join(e.view.untuned.values()), count(len(e.view.arms)), runs, items, e.view.primary.title
        )
    return table


def scores(experiments: list[Experiment], measure: ShownMeasure) -> Table:
    """Scores after the last stage: every arm, experiment beside experiment."""
    tasks = all_tasks(experiments)
    caption = (
        f"{axis(experiments, tasks, measure)}, after each arm's last stage, on the test items. Brackets: intervals of "
        "each experiment's own report."
    )
    table = _by_arm("scores", caption, [*numeric(*tasks), *numeric("Average")])
    for arm, e in _rows(experiments, table):
        shown = {task: measure_on(experiments, task, measure) for task in tasks}
        cells = [_score(e, e.score(arm, task, shown[task].name), task, shown[task]) for task in tasks]
        if arm == UNTUNED:
            average = Cell(MISSING, reason=NO_MEAN)
        else:
            average = _mean(e, arm, "average", experiments, measure)
        table.add(arm, e.label, *cells, average)
    _add_baselines(table, experiments, measure)
    return table


def _add_baselines(table: Table, experiments: list[Experiment], measure: ShownMeasure) -> None:
    for name in BASELINES:
        table.part()
        for e in experiments:
            shown = {task: measure_on(experiments, task, measure) for task in all_tasks(experiments)}
            values = {task: e.view.value(name, task, e.view.main_split, shown[task].name) for task in shown}
            if any(values.values()):
                cells = [_score(e, value, task, shown[task]) for task, value in values.items()]
                table.add(NAMES[name], e.label, *cells, Cell(MISSING, reason="a baseline has no mean over stages"))


def _score(e: Experiment, value: Value | None, task: str, measure: ShownMeasure) -> Cell:
    return value_cell(value, measure.write, NO_TASK if task not in e.view.tasks else NO_SCORE)


def changes(experiments: list[Experiment], measure: ShownMeasure) -> Table:
    """Changes of earlier tasks since they were learnt: every arm, experiment beside experiment."""
    tasks = [task for task in all_tasks(experiments) if any(task in e.view.earlier_tasks() for e in experiments)]
    points = ", in points" if are_shares(experiments, tasks, measure) else ""
    caption = (
        f"Change of {name_measures(experiments, tasks, measure)} from the stage that learnt a task to the arm's last "
        f"stage, on the same items{points}. Backward transfer is the mean over an arm's earlier tasks. Brackets: "
        "intervals of each experiment's own report."
    )
    table = _by_arm("changes", caption, [*numeric(*tasks), *numeric("Backward transfer")] if tasks else [])
    for arm, e in _rows(experiments, table) if tasks else ():
        if arm == UNTUNED:
            continue
        cells = [_change(e, arm, task, measure_on(experiments, task, measure)) for task in tasks]
        table.add(arm, e.label, *cells, _mean(e, arm, "backward_transfer", experiments, measure))
    return table


def _mean(e: Experiment, arm: str, statistic: str, experiments: list[Experiment], measure: ShownMeasure) -> Cell:
    """A mean over an arm's tasks."""
    if not has_same_measures(e, arm, experiments, measure):
        return Cell(MISSING, reason=OTHER_MEASURES)
    shown = e.view.measures.get(measure.name, measure)  # the range of task scores is that of the experiment's tasks
    write, why = {"average": (shown.write, NO_MEAN), "backward_transfer": (shown.write_difference, NO_LATER_STAGE)}[
        statistic
    ]
    return value_cell(e.view.arm_summary(arm, statistic, measure.name), write, why)


def _change(e: Experiment, arm: str, task: str, measure: ShownMeasure) -> Cell:
    why = NO_TASK if task not in e.view.tasks else NO_LATER_STAGE
    return value_cell(e.view.change(arm, task, measure.name), measure.write_difference, why)


def probes(experiments: list[Experiment]) -> Table:
    """Changes of probes since the untuned model: every arm, experiment beside experiment."""
    names = all_probes(experiments)
    caption = (
        "Change of each probe from the untuned model to the arm's last stage, on the same items. Brackets: intervals "
        "of each experiment's own report. No stage learns a probe; of bits per byte, less is better."
    )
    table = _by_arm("probes", caption, numeric(*names))
    for arm, e in _rows(experiments, table):
        if arm != UNTUNED:
            table.add(arm, e.label, *(_probe_change(e, arm, probe) for probe in names))
    return table


def _probe_change(e: Experiment, arm: str, probe: str) -> Cell:
    if probe not in e.view.probes.records:
        return Cell(MISSING, reason="not a probe of this experiment")
    change = e.view.probes.change(arm, probe, last_stage(e.view, arm))
    return value_cell(change, e.view.probes.measure(probe).write_difference, "this arm learns it, or never answers it")


COSTS: dict[str, Callable[[Cost], str]] = {
    "Trainings": lambda cost: number_format.number(cost.trainings),
    "Steps": lambda cost: f"{cost.steps:,.0f}",
    "Tokens": lambda cost: f"{cost.tokens:,.0f}",
    "Extra tokens": lambda cost: f"{cost.extra_tokens:,.0f}",
    "Time": lambda cost: number_format.seconds(cost.seconds),
    "Adapters": lambda cost: f"{count(cost.adapters)}, {number_format.size(cost.bytes)}",
    "Settings tried": lambda cost: count(cost.tried),
}
"""Columns of the table of costs."""


def costs(experiments: list[Experiment]) -> Table:
    """Cost of one run of every arm, experiment beside experiment."""
    caption = (
        "What one run of each arm costs, all of its stages. Times compare only trainings on the same machine. Extra "
        "tokens are read beside the training, such as by a teacher."
    )
    table = _by_arm("costs", caption, numeric(*COSTS))
    for arm, e in _rows(experiments, table):
        if cost := e.view.find("costs", arm=arm):
            table.add(arm, e.label, *(write(cost) for write in COSTS.values()))
    return table


def paired(pairs: list[Pair], measure: ShownMeasure) -> Table:
    """Every arm against the first experiment's, task by task."""
    caption = f"{measure.axis}, after the last stage."
    if tested := [pair for pair in pairs if pair.claim is not None]:
        confidence = f"{100 * tested[0].first.view.experiment.confidence:g}%"
        caption += (
            f" Difference: the other experiment minus the first on the same test items, {confidence} intervals"
            f"{', in points' if measure.is_share else ''}. p-values are corrected (Holm) over this page's "
            f"{plural(len(tested), 'comparison')}."
        )
    columns = ["Task", Column("Arm", wide=True), *numeric("First", "Other", "Difference", "p", "Corrected p"), "Result"]
    table = Table("paired", caption, columns)
    for pair in pairs:
        table.part(f"{pair.other.label} against {pair.first.label}")
        shown, task = compared_by(pair, measure), pair.task
        first, other = (e.score(arm, task, shown.name) for e, arm in _ends(pair))
        cells = [_score(pair.first, first, task, shown), _score(pair.other, other, task, shown)]
        why = pair.reason or "not compared"
        difference = value_cell(pair.claim and pair.claim.difference, shown.write_difference, why)
        ps = [p_cell(pair.claim, key, why) for key in ("p", "p_corrected")]
        task = task if shown is measure else f"{task} ({shown.title})"
        table.add(task, pair.name, *cells, difference, *ps, verdict_cell(pair.claim, len(pair.runs) > 1, why))
    return table


def compared_by(pair: Pair, measure: ShownMeasure) -> ShownMeasure:
    """The measure of a pair's difference: the page's `measure`, or the task's own where it does not have that."""
    return pair.first.view.measures[pair.claim.measure] if pair.claim else measure


def _ends(pair: Pair) -> tuple[tuple[Experiment, str], tuple[Experiment, str]]:
    return (pair.first, pair.arms[0]), (pair.other, pair.arms[1])


def _by_arm(name: str, caption: str, columns: list[Column]) -> Table:
    return Table(name, caption, ["Arm", "Experiment", *columns], heads=2)


def _rows(experiments: list[Experiment], table: Table) -> Iterator[tuple[str, Experiment]]:
    """Iterate over arms and the experiments that have them, with a rule above each arm that several have."""
    for arm in all_arms(experiments):
        owners = [e for e in experiments if arm in e.arms]
        table.part()
        yield from ((arm, e) for e in owners)
