"""Sections of the report, each declared once for the page and the Markdown file.

A section's figures are not named here: each figure names its section.
"""

import yaml

from stagewise.config.shareable import LOCAL
from stagewise.report.blocks import (
    Beside,
    Block,
    Bullets,
    Code,
    Conclusions,
    Figures,
    Fold,
    ItemsNote,
    Lineage,
    LostItems,
    Matrices,
    Section,
    TableBlock,
    Text,
)
from stagewise.report.figures.curves import missing_reason
from stagewise.report.lookup import View
from stagewise.report.probe_sections import probes_section
from stagewise.report.stage_sections import stage_sections
from stagewise.report.tables import (
    arm_details,
    arms,
    changes,
    claims,
    decision_rules,
    drift,
    flips,
    orders,
    provenance,
    published,
    scores,
    setup,
    tried,
)
from stagewise.report.tables.number_format import listed
from stagewise.report.tables.table import Table
from stagewise.report.task_measures import GENERATION, MULTI_LABEL
from stagewise.report.text import observations, verdicts
from stagewise.report.text.sentences import Sentence
from stagewise.report.text.tried import unequal_numbers

MANY_ROWS = 12
"""Rows with which a table of details is folded away."""

OVERVIEW, CROSS_TASK = "Overview", "Cross-task evaluation"


def build_sections(view: View) -> list[Section]:
    """Every section of the report in the page's order: the result, what was run, its findings, then details."""
    return [
        result_section(view),
        run_section(view),
        data_section(view),
        arms_section(view),
        forgetting_section(view),
        probes_section(view, OVERVIEW),
        *stage_sections(view),
        scores_section(view),
        items_section(view),
        rules_section(view),
        observations_section(view),
        curves_section(view),
        calibration_section(view),
        confusion_section(view),
        published_section(view),
        training_section(view),
        provenance_section(view),
    ]


def result_section(view: View) -> Section:
    """The verdict in a sentence, a picture and a table; then a few words on each arm."""
    by_arm = verdicts.conclusions(view) if view.several_arms else []
    blocks: list[Block] = [
        Text(verdicts.headline(view).text, style="verdict"),
        Beside([Figures(first=1), TableBlock(arms.short(view), "main")]),
        Figures(),
        Text(verdicts.runs_remark(view), style="quiet"),
        Fold("Each arm in words", [Conclusions(verdicts.lead(view), by_arm)], if_long=len(view.arms) <= 3),
        Fold("Every claim with its test", [TableBlock(claims.claims(view))], in_markdown=False),
    ]
    return Section("result", "Result", blocks, chapter=OVERVIEW)


def run_section(view: View) -> Section:
    """The experiment, its adapters and its settings."""
    lineage = [Text("Each adapter starts from the weights of the one above it."), Lineage()]
    blocks = [
        TableBlock(setup.run(view), "pairs"),
        Fold("All adapters", lineage),
        Fold("Training settings", [TableBlock(setup.settings(view), "pairs")], in_markdown=False),
    ]
    return Section("run", "What was run", blocks, chapter=OVERVIEW)


def data_section(view: View) -> Section:
    """Sources, splits and their labels."""
    agreement = [TableBlock(decision_rules.agreement(view)), *_tables(decision_rules.agreement_groups(view))]
    blocks = [
        Text("No text of any item is part of this report."),
        TableBlock(setup.splits(view)),
        Fold("Sources, licences, rows set aside and duplicates", [TableBlock(setup.sources(view))]),
        Fold("How far annotators agree", agreement, in_markdown=False),
        Fold("Checksums of raw files and splits", [TableBlock(setup.checksums(view))], in_markdown=False),
    ]
    return Section("data", "Data", blocks, chapter=OVERVIEW)


def arms_section(view: View) -> Section:
    """Arms side by side, and what each costs."""
    first, *other_measures = arms.final_tables(view, arms.measured_rules(view)[:1], "arms") or [None]
    other_rules = arms.final_tables(view, arms.measured_rules(view)[1:], "arms-rules")
    blocks: list[Block] = [TableBlock(first, "main"), TableBlock(orders.over_orders(view))] if first else []
    blocks += [
        Section("comparison", "Against the reference arm", _comparison(view)),
        Figures(),
        Section("tried", "What was tried", _tried(view)),
        Section("cost", "Cost", [TableBlock(arm_details.cost(view))]),
        Fold("The other measures", _tables(other_measures), in_markdown=False),
        Fold("The other decision rules", _tables(other_rules), in_markdown=False),
    ]
    if first:
        transfer = [TableBlock(arm_details.matrix_metrics(view))]
        blocks.append(Fold("Average, transfer and forgetting in every measure", transfer, in_markdown=False))
    title = "Arms compared" if view.several_arms else "The arm"
    return Section("arms", title, blocks, chapter=OVERVIEW, empty="The arms were not summarized.")


def _comparison(view: View) -> list[Block]:
    """Arms against their reference arms, and whether all of them tried as many settings."""
    unequal = unequal_numbers(view)
    blocks: list[Block] = [Text(unequal.text)] if unequal else []
    by_task = [TableBlock(arm_details.unclaimed_differences(view))]
    return [
        *blocks,
        TableBlock(arm_details.against_reference(view), "main"),
        Fold("Each task, without a claim", by_task),
    ]


def _tried(view: View) -> list[Block]:
    """The settings that sweeps tried, folded if they are many."""
    table = tried.tried(view)
    if len(table.rows) <= MANY_ROWS:
        return [TableBlock(table)]
    return [Fold(f"All {len(table.rows)} settings", [TableBlock(table)])]


def _tables(tables: list[Table]) -> list[Block]:
    return [TableBlock(table) for table in tables]


def forgetting_section(view: View) -> Section:
    """Forgetting of earlier tasks, and what each stage taught."""
    forgotten: list[Block] = [TableBlock(arm_details.kept(view), "main"), Figures()]
    paired = changes.forgetting(view, view.main_split)
    if not paired.rows:
        forgotten.append(Text("– No earlier task was scored after a later stage, so there is nothing to compare."))
    forgotten += [
        Fold("Every adapter, before and after", [TableBlock(paired)]),
        Fold("The other measures", _tables(changes.forgetting_others(view, view.main_split)), in_markdown=False),
        *_other_splits(view, changes.forgetting),
        Fold("The published way of measuring", [TableBlock(changes.published_way(view))], in_markdown=False),
    ]
    taught = [
        Fold("Every adapter against the baselines", [TableBlock(changes.learning(view, view.main_split))]),
        Fold("The other measures", _tables(changes.learning_others(view, view.main_split))),
        *_other_splits(view, changes.learning),
        Fold("How far each stage moved from its parent", [TableBlock(drift.drift(view))]),
    ]
    blocks = [
        Section("forgotten", "What was forgotten", forgotten),
        Section("taught", "What each stage taught", taught, in_markdown=False),
    ]
    return Section("forgetting", "Learning and forgetting", blocks, chapter=OVERVIEW)


def _other_splits(view: View, make_table) -> list[Block]:
    """The same table of every split that no claim is about, each folded away."""
    _, *others = view.shown_splits
    return [
        Fold(f"The same on the {split} split", [TableBlock(make_table(view, split))], in_markdown=False)
        for split in others
    ]


def _every_task(view: View, make_table) -> list[Block]:
    """A table of the main split for each task, then those of the other splits folded away."""
    main, *others = view.shown_splits
    blocks = _tables([make_table(view, main, task) for task in view.every_task])
    for split in others:
        tables = _tables([make_table(view, split, task) for task in view.every_task])
        blocks.append(Fold(f"The same on the {split} split", tables, in_markdown=False))
    return blocks


def scores_section(view: View) -> Section:
    """Scores of every model on every task."""
    blocks: list[Block] = [Figures(), *_every_task(view, scores.before_after)]
    if view.shown_splits != view.splits:
        rest = listed(split for split in view.splits if split not in view.shown_splits)
        left = f"With so many adapters, tables of single ones are about the {view.main_split} split; "
        blocks.insert(0, Text(f"{left}`report_metrics.json` has the {rest} split too.", style="quiet", marked=True))
    return Section("before-after", "Every model on every task", blocks, folded=True, chapter=CROSS_TASK)


def observations_section(view: View) -> Section:
    """Everything worth saying about the figures."""
    blocks = [Bullets(observations.observations(view))]
    return Section("observations", "Observations", blocks, folded=True, empty="The figures carry no observation.")


def items_section(view: View) -> Section:
    """Items that arms lost and gained, by id."""
    table = flips.flips_table(view)
    in_some = " in at least one run" if view.several_runs else ""
    lists = [
        Fold(f"{arm}: {len(lost)} items of {task} lost{in_some}", [LostItems(arm, lost)], in_markdown=False)
        for task, arm, lost in flips.lost_items(view)
    ]
    blocks = [ItemsNote(in_markdown=False), Figures(), TableBlock(table), *lists] if table.rows else []
    nothing = "No earlier task was answered after a later stage, so no item could be lost."
    return Section("items", "Items known, then lost", blocks, folded=True, chapter=CROSS_TASK, empty=nothing)


def rules_section(view: View) -> Section:
    """Decision rules, and what none of them can change."""
    blocks: list[Block] = [Figures(), TableBlock(decision_rules.discrimination(view))]
    for task in view.every_task:
        table = TableBlock(decision_rules.decisions(view, task))
        blocks.append(Fold(f"Every decision rule on {task}", [table], in_markdown=False))
    nothing = "No decision rule but the answer itself: there are no label probabilities."
    return Section("rules", "Decision rules", blocks, folded=True, chapter=CROSS_TASK, empty=nothing)


def confusion_section(view: View) -> Section:
    """Confusion matrices and the scores of each label; of a task with many labels the most telling ones."""
    legend = (
        "Rows are gold labels, columns answers. Each cell holds a count and, below it, its share of the gold label's "
        "items, which its shade follows; right answers are framed and bold. Invalid answers, where there are any, have "
        "a column of their own."
    )
    blocks: list[Block] = [Text(legend, style="caption", in_markdown=False)]
    main, *others = view.shown_splits
    blocks += _confusions(view, main)
    for split in others:
        blocks.append(Fold(f"The same on the {split} split", _confusions(view, split), in_markdown=False))
    for split in view.shown_splits:
        tables = _tables([scores.labels(view, split, task) for task in view.every_task])
        title = f"Precision, recall and F1 of each label, {split} split"
        blocks.append(Fold(title, tables, in_markdown=False))
    return Section("confusion", "Confusion matrices", blocks, folded=True, chapter=CROSS_TASK)


def _confusions(view: View, split: str) -> list[Block]:
    parts: list[Block] = []
    for task in view.every_task:
        title = task if split == view.main_split else f"{task}, {split} split"
        matrices, frequent = scores.confusions(view, task, split), scores.frequent_confusions(view, task, split)
        note = scores.CONFUSION_NOTES.get(view.of_tasks.kinds[task])
        inner: list[Block] = [Text(note, style="caption")] if note and matrices else []
        inner += [Matrices(matrices), TableBlock(frequent)]
        generated = view.of_tasks.of_kind([task], MULTI_LABEL, GENERATION)
        empty = "Answers are generated, not one of the labels, so there is no matrix." if generated else "Not scored."
        parts.append(Section(f"confusion-{split}-{task}", title, inner, empty=empty))
    return parts


def curves_section(view: View) -> Section:
    """Learning curves, and why some are missing."""
    missing = [(view.name(lineage), missing_reason(view, lineage)) for lineage in view.adapters]
    remarks = [Text(f"– {name}: {reason}.") for name, reason in missing if reason]
    return Section("curves", "Learning curves", [Figures(), *remarks], True, CROSS_TASK, "Nothing was trained.")


def published_section(view: View) -> Section:
    """Published figures beside ours."""
    blocks: list[Block] = [Text(published.remark(view))]
    if source := view.metrics.published_source:
        blocks.append(Text(f"Source: {source.source}", style="quiet address"))
    blocks.append(TableBlock(published.main(view)))
    title = "Precision, recall, answered labels and confusion counts"
    blocks.append(Fold(title, [TableBlock(published.rest(view))], in_markdown=False))
    return Section("published", "Published and reproduced", blocks, folded=True, chapter=CROSS_TASK)


def calibration_section(view: View) -> Section:
    """Calibration of every model."""
    empty = "No reliability diagram: there are no label probabilities."
    blocks = [*_every_task(view, scores.calibration), Figures(empty=empty)]
    return Section("calibration", "Calibration", blocks, folded=True, chapter=CROSS_TASK)


def training_section(view: View) -> Section:
    """Training summaries and times."""
    trained = [table for table in (setup.training(view), setup.losses(view)) if table.rows]
    blocks: list[Block] = [TableBlock(table, in_markdown=False) for table in trained]
    if not trained:
        blocks = [Text("– Nothing was trained.")]
    if (adopted := setup.adopted(view)).rows:
        blocks.append(TableBlock(adopted, in_markdown=False))
    blocks.append(TableBlock(setup.scoring(view)))
    return Section("training", "Training summaries", blocks, folded=True, chapter=CROSS_TASK)


LEFT_OUT = (
    f"Where it says `{LOCAL}`, fill in a folder of your own; users, passwords and queries of addresses are left out."
)


def provenance_section(view: View) -> Section:
    """Origin of the figures, and how to run the experiment again."""
    config = yaml.safe_dump(view.experiment.config, sort_keys=False, allow_unicode=True, width=100)
    again = (
        "To run this experiment again, save the resolved configuration below as `resolved.yaml` and type the command. "
        + LEFT_OUT
    )
    origin = (
        "All figures are in `report_metrics.json`, whose `experiment.config` is the resolved configuration: saved as a "
        f"file, it runs this experiment again with `snakemake --cores all --configfile FILE`. {LEFT_OUT}"
    )
    omitted = [Sentence(f"{entry.what}: {entry.reason.rstrip('.')}") for entry in view.metrics.omitted]
    blocks = [
        Text(again, marked=True, in_markdown=False),
        Code("snakemake --cores all --configfile resolved.yaml", in_markdown=False),
        Fold("Resolved configuration", [Code(config, id="config")], in_markdown=False),
        Fold("Fingerprints", [TableBlock(provenance.fingerprints(view))]),
        TableBlock(provenance.packages(view)),
        Section("omitted", "Left out", [Bullets(omitted)], in_markdown=False),
        Text(origin, marked=True, on_page=False),
    ]
    return Section("provenance", "Provenance", blocks, folded=True)
