"""More about arms: what each kept, the matrix metrics, what the comparison could show, and what each costs."""

from stagewise.report.figures.style import MEASURES
from stagewise.report.lookup import View, final
from stagewise.report.tables import number_format
from stagewise.report.tables.arms import comparison, head, is_reference, last_forgetting, p_cell, rules, spread, summary
from stagewise.report.tables.number_format import MISSING, count, interval, percent, points
from stagewise.report.tables.table import Cell, Column, Table, claim, numeric, value


def kept(view: View) -> Table:
    """Every earlier task after the stage that learnt it and after the last, over runs and under each rule."""
    shown = rules(view)
    caption = (
        f"Earlier tasks of each arm, {view.main_split} split: accuracy in percent after the stage that learnt the task "
        f"and after the arm's last stage, and the change in points with its interval ({view.intervals}), under every "
        "decision rule. Forgotten, retained: runs whose own interval carries it; a task is retained where accuracy is "
        "still above both the majority class and the untuned model."
    )
    columns = ["Arm", *numeric("Learnt", "Last", group="Argmax"), *numeric(*shown, group="Change")]
    table = Table("kept", caption, [*columns, *numeric("Forgotten", "Retained", group="Runs")])
    for task in view.tasks:
        for arm in view.arms:
            records = {rule: final(view, arm, task, "accuracy", rule) for rule in shown}
            plain = records.get("argmax")
            if plain is None or not plain.earlier:
                continue
            table.part(task)
            own = last_forgetting(view, arm, task)
            counts = [sum(r.claim == "forgotten" for r in own), sum(r.retained == "retained" for r in own)]
            table.add(
                head(view, arm),
                spread(plain.learnt),
                spread(plain.final),
                *(spread(record and record.change, points) for record in records.values()),
                *(f"{n} of {len(own)}" for n in counts),
            )
    return table


def matrix_metrics(view: View) -> Table:
    """Average, backward transfer, forgetting and forward transfer of every arm under argmax."""
    caption = (
        f"Metrics of the stage × task matrix, {view.main_split} split, argmax, with intervals ({view.intervals}). "
        "Average accuracy, backward and forward transfer as Lopez-Paz & Ranzato (2017) define them, forgetting as "
        "Chaudhry et al. (2018): the best score at any earlier stage minus the last. Average in percent, the rest in "
        "points."
    )
    columns: list = ["Arm"]
    for title in MEASURES.values():
        columns += numeric("Average", "Backward transfer", "Forgetting", "Forward transfer", group=title)
    table = Table("matrix-metrics", caption, columns)
    for arm in view.arms:
        row: list = [head(view, arm)]
        for measure in MEASURES:
            record = summary(view, arm, measure)
            row.append(spread(record and record.average))
            for key in ("backward_transfer", "forgetting", "forward_transfer"):
                row.append(spread(record and getattr(record, key), points))
        table.add(*row)
    return table


def against_reference(view: View) -> Table:
    """What the comparison with the reference could show and did, accuracy under argmax."""
    caption = (
        f"Accuracy against the arm {view.reference} on the same items and runs, argmax, {view.main_split} split, in "
        "points. The interval of items alone is the size of the test set, that of training alone the noise between "
        "runs; the claim goes by both together and by Holm's p. Smallest effect: the difference that these items would "
        "have shown with 80% power (Connor 1987); a smaller one may be there and unseen."
    )
    columns = ["Arm", Column("Claim"), *numeric("Difference", "Items alone", "Training alone", "p", "Holm p")]
    table = Table("against-reference", caption, [*columns, *numeric("Smallest effect")])
    for task in [*view.tasks, None]:
        for arm in view.arms:
            record = comparison(view, arm, task, "accuracy")
            if record is None or is_reference(view, arm):
                continue
            table.part(task or "Mean over all tasks")
            alone = [
                Cell(text) if (text := interval(i.low, i.high, points)) else Cell(MISSING, reason=i.reason or "one run")
                for i in (record.difference.items, record.difference.training)
            ]
            verdict = claim(record.claim)
            reason = record.reason.rstrip(".") if record.claim == "not claimed" else None
            table.add(
                head(view, arm),
                Cell(verdict.text, reason=reason, style=verdict.style, sign=verdict.sign),
                spread(record.difference, points),
                *alone,
                p_cell(record, "p", "a mean over tasks has no test"),
                p_cell(record, "p_holm", "a mean over tasks has no test"),
                value(record.smallest_effect, percent, "no test, so none"),
            )
    return table


def cost(view: View) -> Table:
    """What one run of each arm costs."""
    caption = (
        f"What one run of each arm costs{', the mean over ' + view.over_runs() if view.several_runs else ''}. "
        "Trainings, tokens and time count every stage of the arm, also those that it shares with others and that were "
        "trained once. Extra tokens are read beside the training, such as by a teacher. Adapters: those to keep so as "
        f"to answer every task.{f' Ratios are to {view.reference}.' if view.several_arms else ''}"
    )
    columns = ["Arm", *numeric("Trainings", "Merges", "Tokens", "Extra tokens", "Time")]
    if view.several_arms:
        columns += numeric("Tokens", "Time", group=f"Times {view.reference}")
    table = Table("cost", caption, [*columns, *numeric("Adapters kept", "Their size")])
    for arm in view.arms:
        record = next((r for r in view.metrics.costs if r.arm == arm), None)
        if record is None:
            continue
        ratios = (record.tokens_over_reference, record.seconds_over_reference) if view.several_arms else ()
        table.add(
            head(view, arm),
            number_format.number(record.trainings),
            number_format.number(record.merges),
            f"{record.tokens:,.0f}",
            f"{record.extra_tokens:,.0f}",
            number_format.seconds(record.seconds),
            *(value(ratio, lambda n: f"{n:.2f}") for ratio in ratios),
            count(record.adapters),
            value(record.bytes, number_format.size),
        )
    return table
