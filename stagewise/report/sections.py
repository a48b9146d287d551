"""Sections of the report, each declared once for the page and the Markdown file.

A section's figures are not named here: each figure names its section.
"""

import yaml

from stagewise.report.blocks import (
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
from stagewise.report.stage_sections import stage_sections
from stagewise.report.tables import (
    arm_details,
    arms,
    changes,
    decision_rules,
    flips,
    provenance,
    published,
    scores,
    setup,
)
from stagewise.report.text import observations, verdicts
from stagewise.report.text.sentences import Sentence

OVERVIEW, CROSS_TASK = "Overview", "Cross-task evaluation"


def build_sections(view: View) -> list[Section]:
    """Every section of the report in the page's order."""
    return [
        result_section(view),
        run_section(view),
        data_section(view),
        arms_section(view),
        *stage_sections(view),
        scores_section(view),
        forgetting_section(view),
        observations_section(view),
        items_section(view),
        rules_section(view),
        confusion_section(view),
        curves_section(view),
        published_section(view),
        calibration_section(view),
        training_section(view),
        provenance_section(view),
    ]


def result_section(view: View) -> Section:
    """Conclusions and the table of arms."""
    by_arm = verdicts.conclusions(view) if view.several_arms else []
    remark = (
        f"Drawn from the figures by rule. Brackets hold the {100 * view.experiment.confidence:g}% interval. "
        f"{verdicts.runs_remark(view)}"
    )
    blocks: list[Block] = [
        Text(verdicts.headline(view).text, style="verdict"),
        Conclusions(verdicts.lead(view), by_arm, brief=len(view.arms) > 3),
        Text(remark, style="quiet"),
    ]
    blocks.append(Figures())
    if view.several_arms:
        blocks += [TableBlock(table, "main", in_markdown=False) for _, table in arms.main_tables(view)[:1]]
        blocks.append(TableBlock(arms.short(view), on_page=False))
    return Section("result", "Result", blocks, chapter=OVERVIEW)


def run_section(view: View) -> Section:
    """The experiment, its adapters and its settings."""
    lineage = [Text("Each adapter starts from the weights of the one above it.")]
    lineage.append(Fold("All adapters", [Lineage()], if_long=True))
    blocks = [
        TableBlock(setup.run(view), "pairs"),
        Section("lineage", "Lineage", lineage),
        TableBlock(setup.settings(view), "pairs", in_markdown=False),
    ]
    return Section("run", "What was run", blocks, chapter=OVERVIEW)


def data_section(view: View) -> Section:
    """Sources, splits and their labels."""
    agreement = [
        TableBlock(decision_rules.agreement(view)),
        Fold("Accuracy by agreement", [TableBlock(decision_rules.agreement_groups(view))]),
    ]
    blocks = [
        Text("No text of any item is part of this report."),
        TableBlock(setup.sources(view)),
        TableBlock(setup.splits(view)),
        Section("agreement", "How far annotators agree", agreement, in_markdown=False),
        Fold("Checksums of raw files and splits", [TableBlock(setup.checksums(view))], in_markdown=False),
    ]
    return Section("data", "Data", blocks, chapter=OVERVIEW)


def arms_section(view: View) -> Section:
    """Arms side by side, and what each costs."""
    mains = arms.main_tables(view)
    blocks: list[Block] = [
        *(TableBlock(table, "main", on_page=not view.several_arms) for _, table in mains[:1]),
        *_every_conclusion(view),
        *(Fold(title, [TableBlock(table)]) for title, table in mains[1:]),
        Figures(),
    ]
    if mains:
        blocks.append(TableBlock(arm_details.matrix_metrics(view), in_markdown=False))
    against = [TableBlock(arm_details.against_reference(view))]
    blocks.append(Section("comparison", "What the comparison could show", against, in_markdown=False))
    blocks.append(Section("cost", "Cost", [TableBlock(arm_details.cost(view))]))
    title = "Arms compared" if view.several_arms else "The arm"
    return Section("arms", title, blocks, chapter=OVERVIEW, empty="The arms were not summarized.")


def _every_conclusion(view: View) -> list[Block]:
    if len(view.arms) <= 3:
        return []
    return [Fold("Every conclusion with its figures", [Conclusions([], verdicts.conclusions(view))], in_markdown=False)]


def scores_section(view: View) -> Section:
    """Scores of every model on every task."""
    main, *others = view.splits
    blocks: list[Block] = [
        Fold(f"Every model on the {main} split", [TableBlock(scores.before_after(view, main), "main")], if_long=True),
        Figures(),
    ]
    for split in others:
        blocks.append(Fold(f"The same on the {split} split", [TableBlock(scores.before_after(view, split))]))
    return Section("before-after", "Before and after", blocks, chapter=CROSS_TASK)


def forgetting_section(view: View) -> Section:
    """Forgetting of earlier tasks, and what each stage taught."""
    forgotten: list[Block] = []
    if view.several_arms or view.several_runs:
        forgotten.append(TableBlock(arm_details.kept(view), "main"))
    nothing = "No earlier task was scored after a later stage, so there is nothing to compare."
    forgotten += _by_split(view, changes.forgetting, nothing)
    published_way = [TableBlock(changes.published_way(view))]
    forgotten.append(Fold("The published way of measuring", published_way, if_long=True))
    taught = _by_split(view, changes.learning, "No adapter was compared with a baseline.")
    blocks = [
        Section("forgotten", "What was forgotten", forgotten),
        Figures(),
        Section("taught", "What each stage taught", taught, in_markdown=False),
    ]
    return Section("forgetting", "Learning and forgetting", blocks, chapter=CROSS_TASK)


def _by_split(view: View, make_table, nothing: str) -> list[Block]:
    """A table for each split: the first is folded if adapters are many, the others always."""
    tables = [table for split in view.splits if (table := make_table(view, split)).rows]
    if not tables:
        return [Text(f"– {nothing}")]
    title = f"Every adapter on the {view.main_split} split"
    blocks: list[Block] = [Fold(title, [TableBlock(tables[0], "main")], if_long=True)]
    return blocks + [Fold(table.caption.split(":")[0], [TableBlock(table)]) for table in tables[1:]]


def observations_section(view: View) -> Section:
    """Everything worth saying about the figures."""
    said = observations.observations(view)
    title = f"{len(said)} sentences about single stages and adapters"
    remark = "Drawn from the figures by rule."
    blocks = [Text(remark, on_page=False)] if said else []
    blocks.append(Fold(title, [Bullets(said)], if_long=True))
    return Section("observations", "Observations", blocks, empty="The figures carry no observation.")


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
    return Section("items", "Items known, then lost", blocks, chapter=CROSS_TASK, empty=nothing)


def rules_section(view: View) -> Section:
    """Decision rules, and what none of them can change."""
    blocks: list[Block] = [Figures(), TableBlock(decision_rules.discrimination(view))]
    for task in view.tasks:
        table = TableBlock(decision_rules.decisions(view, task))
        blocks.append(Fold(f"Every decision rule on {task}", [table], if_long=True, in_markdown=False))
    nothing = "No decision rule but the answer itself: there are no label probabilities."
    return Section("rules", "Decision rules", blocks, chapter=CROSS_TASK, empty=nothing)


def confusion_section(view: View) -> Section:
    """Confusion matrices and the scores of each label."""
    legend = (
        "Rows are gold labels, columns answers. Each cell holds a count and, below it, its share of the gold label's "
        "items, which its shade follows; right answers are framed and bold. Invalid answers, where there are any, have "
        "a column of their own."
    )
    blocks: list[Block] = [Text(legend, style="caption", in_markdown=False)]
    for split in view.splits:
        main = split == view.main_split
        parts = [
            Section(
                f"confusion-{split}-{task}",
                task if main else f"{task}, {split} split",
                [Matrices(matrices)],
                empty="Not scored.",
            )
            for task, matrices in scores.confusions(view, split)
        ]
        title = f"Confusion matrices on the {split} split"
        blocks.append(Fold(title, parts, if_long=main, in_markdown=main))
    for split in view.splits:
        title = f"Precision, recall and F1 of each label, {split} split"
        blocks.append(Fold(title, [TableBlock(scores.labels(view, split))], in_markdown=False))
    return Section("confusion", "Confusion matrices", blocks, chapter=CROSS_TASK)


def curves_section(view: View) -> Section:
    """Learning curves, and why some are missing."""
    missing = [(view.name(lineage), missing_reason(view, lineage)) for lineage in view.adapters]
    remarks = [Text(f"– {name}: {reason}.") for name, reason in missing if reason]
    return Section("curves", "Learning curves", [Figures(), *remarks], chapter=CROSS_TASK, empty="Nothing was trained.")


def published_section(view: View) -> Section:
    """Published figures beside ours."""
    blocks: list[Block] = [Text(published.remark(view))]
    if source := view.metrics.published_source:
        blocks.append(Text(f"Source: {source.source}", style="quiet address"))
    blocks.append(TableBlock(published.main(view)))
    title = "Precision, recall, answered labels and confusion counts"
    blocks.append(Fold(title, [TableBlock(published.rest(view))], in_markdown=False))
    return Section("published", "Published and reproduced", blocks, chapter=CROSS_TASK)


def calibration_section(view: View) -> Section:
    """Calibration of every model."""
    main, *others = view.splits
    title = f"Calibration of every model on the {main} split"
    blocks: list[Block] = [
        Fold(title, [TableBlock(scores.calibration(view, main))], if_long=True),
        Figures(if_long=True, empty="No reliability diagram: there are no label probabilities."),
    ]
    for split in others:
        blocks.append(Fold(f"Calibration on the {split} split", [TableBlock(scores.calibration(view, split))]))
    return Section("calibration", "Calibration", blocks, chapter=CROSS_TASK)


def training_section(view: View) -> Section:
    """Training summaries and times."""
    training, scoring = TableBlock(setup.training(view), in_markdown=False), TableBlock(setup.scoring(view))
    blocks: list[Block] = [Fold("Every training and scoring", [training, scoring], if_long=True)]
    if not training.table.rows:
        blocks = [Text("– Nothing was trained."), scoring]
    return Section("training", "Training summaries", blocks, chapter=CROSS_TASK)


def provenance_section(view: View) -> Section:
    """Origin of the figures, and how to run the experiment again."""
    config = yaml.safe_dump(view.experiment.config, sort_keys=False, allow_unicode=True, width=100)
    again = "To run this experiment again, save the resolved configuration below as `resolved.yaml` and type"
    origin = (
        "All figures are in `report_metrics.json`, whose `experiment.config` is the resolved configuration: saved as a "
        "file, it runs this experiment again with `snakemake --cores all --configfile FILE`."
    )
    omitted = [Sentence(f"{entry.what}: {entry.reason.rstrip('.')}") for entry in view.metrics.omitted]
    blocks = [
        Text(again, marked=True, in_markdown=False),
        Code("snakemake --cores all --configfile resolved.yaml", in_markdown=False),
        Fold("Resolved configuration", [Code(config, id="config")], in_markdown=False),
        Fold("Fingerprints", [TableBlock(provenance.fingerprints(view))], if_long=True),
        TableBlock(provenance.packages(view)),
        Section("omitted", "Left out", [Bullets(omitted)], in_markdown=False),
        Text(origin, marked=True, on_page=False),
    ]
    return Section("provenance", "Provenance", blocks)
