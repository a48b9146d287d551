"""Decision rules, discrimination, which no rule can change, and the gold labels' own noise."""

from stagewise.metrics.schema import RULES, AgreementGroup, Value
from stagewise.report.lookup import View
from stagewise.report.tables.arms import arm_cell
from stagewise.report.tables.number_format import count, number, percent
from stagewise.report.tables.scores import list_measures, models, with_labels
from stagewise.report.tables.table import Cell, Table, numeric, value, value_cell

MANY_RECALLS = 3
"""Labels whose recall a table of decision rules shows; of more, only that of the rarest."""


def over_runs_cell(over_runs: Value | None, by_run: list[Value], write=percent) -> Cell:
    """One value with its interval; without one over several runs their mean and range."""
    if over_runs is not None:
        return value_cell(over_runs, write)
    numbers = [entry.value for entry in by_run if entry.value is not None]
    if len(by_run) < 2 or not numbers:
        return value_cell(by_run[0] if by_run else None, write)
    return Cell(write(sum(numbers) / len(numbers)), f"{write(min(numbers))} to {write(max(numbers))}")


def _describe_intervals(view: View) -> str:
    if not view.several_runs:
        return f"Intervals: {view.interval}."
    if view.has_intervals_over_runs:
        return f"Of an adapter it is the mean over {view.over_runs()}. Intervals: {view.intervals}."
    return f"Of an adapter it is the mean over {view.over_runs()} with the range of the runs below; no intervals."


def decisions(view: View, task: str) -> Table:
    """Every adapter on one task under every decision rule."""
    labels, measures = view.find("tasks", task=task).labels, view.of_tasks.measures_of(task)
    shown = range(len(labels)) if len(labels) <= MANY_RECALLS else [_rarest(view, task)]
    if task not in with_labels(view):
        shown = []
    caption = (
        f"Decision rules on {task}, {view.main_split} split ({count(view.items(task, view.main_split))} items): "
        f"{list_measures(view, task)}. Argmax: the most probable label. Prior-adjusted: tau times the log "
        "training priors is subtracted, tau chosen on validation (Menon et al. 2021). Batch-calibrated: the mean over "
        "the split is subtracted (Zhou et al. 2023). Contextual: what content-free inputs give is subtracted (Zhao et "
        "al. 2021). Tau and the mean are fitted anew in every resample. "
        f"{_describe_intervals(view)}"
    )
    headings = [measure.heading for measure in measures.values()]
    columns = ["Rule", *numeric("Tau", *headings), *numeric(*(labels[n] for n in shown), group="Recall")]
    table = Table(f"decisions-{task}", caption, columns)
    for name, lineages in models(view):
        for rule in RULES if _has_probabilities(view, lineages, task) else ():
            by_run = [s for x in lineages if (s := view.score(x, task, view.main_split, rule))]
            if not by_run:
                continue
            table.part(f"{name[0].upper()}{name[1:]}")
            taus = [score.tau for score in by_run if score.tau is not None]
            together = view.score(lineages, task, view.main_split, rule)
            row: list = [rule, over_runs_cell(None, taus, number) if taus else ""]
            for key, measure in measures.items():
                values = [score.measures[key] for score in by_run]
                row.append(over_runs_cell(together and together.measures[key], values, measure.write))
            for n in shown:
                values = [score.labels[n].recall for score in by_run]
                row.append(over_runs_cell(together and together.labels[n].recall, values))
            table.add(*row)
    return table


def _rarest(view: View, task: str) -> int:
    """Number of the label that the fewest items of the main split have, of those that some item has."""
    counts = [entry.items for entry in view.find("splits", task=task, split=view.main_split).labels]
    return counts.index(min(filter(None, counts)))


def _has_probabilities(view: View, lineages: list[str], task: str) -> bool:
    """True if some of these answers have label probabilities, which leave a choice of rules."""
    return any(view.score(x, task, view.main_split, rule) for x in lineages for rule in RULES[1:])


def discrimination(view: View) -> Table:
    """AUROC and log loss, which tell lost knowledge from a shifted label prior."""
    caption = (
        f"What no decision rule changes, {view.main_split} split. AUROC: the mean over pairs of labels on their "
        "log-odds (Hand & Till 2001), in percent; a shifted label prior does not move it. Log loss in nats as it is, "
        "and after a bias for each label that is fitted on validation, anew in every resample: what the bias wins back "
        "was prior. "
        f"{_describe_intervals(view)}"
    )
    table = Table("discrimination", caption, ["Model", *numeric("AUROC", "Log loss", "With fitted bias")])
    for task in view.every_task:
        keys = {"task": task, "split": view.main_split}
        for name, lineages in models(view):
            by_run = [r for x in lineages if (r := view.find("discrimination", lineages=[x], **keys))]
            if not by_run:
                continue
            table.part(task)
            together = view.find("discrimination", lineages=lineages, **keys)
            row: list = [name]
            for key, write in (("auroc", percent), ("log_loss", number), ("log_loss_fitted", number)):
                values = [getattr(record, key) for record in by_run]
                row.append(over_runs_cell(together and getattr(together, key), values, write))
            table.add(*row)
    return table


def agreement(view: View) -> Table:
    """Agreement of annotators with the gold labels: a ceiling to be read with care."""
    caption = (
        "How far annotators agree with the gold labels, in percent with intervals over items: what one "
        "annotator reaches, a ceiling to be read with care."
    )
    table = Table("agreement", caption, ["Task", "Column", *numeric("Items", "Mean agreement")])
    for record in view.metrics.agreement:
        task = Cell(record.task, f"{record.split} split")
        mean = value_cell(record.mean)
        mean = Cell(mean.text, mean.detail)
        table.add(task, Cell(record.column, style="code"), count(record.items), mean)
    return table


def agreement_groups(view: View) -> list[Table]:
    """Accuracy of the base model and of every arm's end by how far annotators agree, a table per task and column."""
    mean = f", the mean over {view.over_runs()}" if view.several_runs else ""
    tables = []
    for number_of, record in enumerate(view.select("agreement", split=view.main_split), start=1):
        caption = (
            f"Accuracy on {record.task} by annotator agreement ({record.column}), {view.main_split} split, in percent, "
            f"after each arm's last stage{mean}. No intervals: nothing is claimed from it."
        )
        table = Table(f"agreement-groups-{number_of}", caption, ["Arm", *numeric(*map(_agreement, record.groups))])
        table.add("Items", *(count(group.items) for group in record.groups))
        for base, model in view.untuned.items():
            name = f"Untuned {model}" if len(view.untuned) > 1 else "Untuned"
            table.add(name, *(value(group.accuracy.get(base), percent) for group in record.groups))
        for arm in view.arms:
            lineages, cells = view.answered_by(arm, record.task), []
            for group in record.groups:
                by_run = [group.accuracy[name] for name in lineages if name in group.accuracy]
                cells.append(value(sum(by_run) / len(by_run) if by_run else None, percent))
            table.add(arm_cell(view, arm), *cells)
        tables.append(table)
    return tables


def _agreement(group: AgreementGroup) -> str:
    """Heading of the items of one degree of agreement."""
    same = f"{group.low:g}" == f"{group.high:g}"
    return f"Agreement {group.low:g}" if same else f"{group.low:g} to {group.high:g}"
