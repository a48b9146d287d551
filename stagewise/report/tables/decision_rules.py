"""Decision rules, what no rule can change, and the gold labels' own noise."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import RULES, Decision, DecisionOverRuns, Estimate, Spread
from stagewise.report.figures.style import MEASURES
from stagewise.report.lookup import View
from stagewise.report.tables import number_format
from stagewise.report.tables.arms import head, spread
from stagewise.report.tables.number_format import MISSING, count, number, percent
from stagewise.report.tables.table import Cell, Table, estimate, numeric, value


def groups(view: View) -> list[tuple[str, list[str]]]:
    """The base model, then every adapter with its runs together: name and lineages."""
    found = [(view.name(BASE), [BASE])]
    for way, lineages in view.variants().items():
        adapter = view.adapters[lineages[0]]
        arms = f", {view.whose(adapter.arms)}" if view.several_arms else ""
        found.append((f"after {way}: stage {adapter.stage}{arms}", lineages))
    return found


def over_runs(values: list[Estimate], whole: list[Spread], write=percent) -> Cell:
    """One estimate with its interval; of several that of the whole, or without one their mean and range."""
    if whole:
        return spread(whole[0], write)
    known = [entry for entry in values if entry.value is not None]
    if len(values) == 1 or not known:
        return estimate(values[0] if values else None, write)
    numbers = [entry.value for entry in known]
    return Cell(write(sum(numbers) / len(numbers)), f"{write(min(numbers))} to {write(max(numbers))}")


def _intervals(view: View) -> str:
    if not view.several_runs:
        return f"Intervals: {view.interval}."
    if view.decisions_over_runs:
        return f"Of an adapter it is the mean over {view.over_runs()}. Intervals: {view.intervals}."
    return f"Of an adapter it is the mean over {view.over_runs()} with the range of the runs below; no intervals."


def decisions(view: View, task: str) -> Table:
    """Every adapter on one task under every decision rule."""
    labels = next(record.labels for record in view.metrics.tasks if record.task == task)
    caption = (
        f"Decision rules on {task}, {view.main_split} split ({count(view.items(task, view.main_split))} items), in "
        "percent. Argmax: the most probable label. Prior-adjusted: tau times the log training priors is subtracted, "
        "tau chosen on validation (Menon et al. 2021). Batch-calibrated: the mean over the split is subtracted (Zhou "
        f"et al. 2023). Contextual: what content-free inputs give is subtracted (Zhao et al. 2021). {_intervals(view)}"
    )
    columns = ["Rule", *numeric("Tau", "Accuracy", "Macro-F1"), *numeric(*labels, group="Recall")]
    table = Table(f"decisions-{task}", caption, columns)
    wanted = [d for d in view.metrics.decisions if (d.task, d.split) == (task, view.main_split)]
    for name, lineages in groups(view):
        for rule in RULES:
            found = [d for d in wanted if d.rule == rule and d.lineage in lineages]
            if not found:
                continue
            table.part(f"{name[0].upper()}{name[1:]}")
            taus = sorted({d.tau for d in found if d.tau is not None})
            tau = " to ".join(dict.fromkeys(f"{t:g}" for t in (taus[0], taus[-1]))) if taus else ""
            whole = _whole(view.decisions_over_runs, (*lineages, task, rule))
            scores = [over_runs(*([getattr(d, key) for d in each] for each in (found, whole))) for key in MEASURES]
            recalls = [over_runs(*(_recalls(each, label) for each in (found, whole))) for label in labels]
            table.add(rule, tau, *scores, *recalls)
    return table


def _whole(records: dict, key: tuple) -> list:
    return [records[key]] if key in records else []


def _recalls(records: list[Decision] | list[DecisionOverRuns], label: str) -> list:
    return [entry.recall for record in records for entry in record.recalls if entry.label == label]


def discrimination(view: View) -> Table:
    """AUROC and log loss, which tell lost knowledge from a shifted label prior."""
    caption = (
        f"What no decision rule changes, {view.main_split} split. AUROC: the mean over pairs of labels on their "
        "log-odds (Hand & Till 2001), in percent; a shifted label prior does not move it. Log loss in nats as it is, "
        "and after a bias for each label that was fitted on validation: what the bias wins back was prior. "
        f"{_intervals(view)}"
    )
    columns: list = ["Model"]
    for task in view.tasks:
        columns += numeric("AUROC", "Log loss", "With fitted bias", group=task)
    table = Table("discrimination", caption, columns)
    records = {(d.lineage, d.task): d for d in view.metrics.discrimination if d.split == view.main_split}
    for name, lineages in groups(view):
        row: list = [name]
        for task in view.tasks:
            found = [records[lineage, task] for lineage in lineages if (lineage, task) in records]
            whole = _whole(view.discrimination_over_runs, (*lineages, task))
            for key, write in (("auroc", percent), ("log_loss", number), ("log_loss_fitted", number)):
                row.append(over_runs(*([getattr(d, key) for d in each] for each in (found, whole)), write))
        if any(cell != row[1] or cell.text != MISSING for cell in row[1:]):
            table.add(*row)
    return table


def agreement(view: View) -> Table:
    """How far annotators agree with the gold labels: a ceiling to be read with care."""
    caption = (
        "How far annotators agree with the gold labels, in percent with intervals: what one annotator reaches, a "
        "ceiling to be read with care."
    )
    table = Table("agreement", caption, ["Task", "Column", *numeric("Items", "Mean agreement")])
    for record in view.metrics.agreement:
        bounds = number_format.interval(record.low, record.high)
        task = Cell(record.task, f"{record.split} split")
        table.add(task, Cell(record.column, style="code"), count(record.items), Cell(percent(record.mean), bounds))
    return table


def agreement_groups(view: View) -> Table:
    """Accuracy of the base model and of every arm's end by how far annotators agree."""
    caption = (
        f"Accuracy by annotator agreement, {view.main_split} split, in percent, after each arm's last stage"
        f"{', the mean over ' + view.over_runs() if view.several_runs else ''}. No intervals: nothing is claimed from "
        "it."
    )
    arms = [head(view, arm).text for arm in view.arms]
    table = Table("agreement-groups", caption, ["Agreement", *numeric("Items", "Untuned", *arms)])
    for record in view.metrics.agreement:
        if record.split != view.main_split:
            continue
        table.part(f"{record.task}, {record.column}")
        for group in record.groups:
            same = f"{group.low:g}" == f"{group.high:g}"
            cells = [value(group.accuracy.get(BASE), percent)]
            for arm in view.arms:
                known = [group.accuracy[name] for name in view.answers(arm, record.task) if name in group.accuracy]
                cells.append(value(sum(known) / len(known) if known else None, percent))
            table.add(f"{group.low:g}" if same else f"{group.low:g} to {group.high:g}", count(group.items), *cells)
    return table
