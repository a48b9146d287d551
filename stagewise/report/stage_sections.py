"""A section for each stage and task, in Markdown alone: the page shows all stages in one table."""

from stagewise.report.blocks import Section, TableBlock, Text
from stagewise.report.lookup import View
from stagewise.report.tables import scores, setup
from stagewise.report.tables.number_format import count
from stagewise.report.text import sentences


def stage_sections(view: View) -> list[Section]:
    """Settings, training and result of each stage."""
    sections = []
    for (number, stage_task), adapters in view.stages().items():
        lineages = [adapter.lineage for adapter in adapters]
        tasks = adapters[0].tasks
        groups = [claims for by_arms in sentences.learnt_groups(view).values() for claims in by_arms]
        said = [sentences.learning(view, claims).text for claims in groups if claims[0].lineages[0] in lineages]
        sizes = [
            f"{s.split} {count(s.items)}"
            + (f" of {count(s.items_before_limit)}" if s.items != s.items_before_limit else "")
            for s in view.metrics.splits
            if s.task in tasks
        ]
        scorers = [name for name in view.scorers if name in lineages or name not in view.adapters]
        trained = [lineage for lineage in lineages if not view.adapters[lineage].adopted]
        parts = (
            ("settings", "Settings", [setup.settings(view, trained)] if trained else []),
            ("training", "Training summary", [setup.training(view, trained), setup.losses(view, trained)]),
            ("adopted", "From elsewhere", [setup.adopted(view, lineages)]),
            ("result", "Result", [scores.before_after(view, view.main_split, task, scorers) for task in tasks]),
        )
        name = f"stage-{number}-{stage_task or 'adopted'}"
        blocks = [Text(" ".join(said))] if said else []
        blocks += [Text(f"{', '.join(sizes)} items.", lead="Data")] if sizes else []
        for part, title, tables in parts:
            if shown := [TableBlock(table) for table in tables if table.rows]:
                blocks.append(Section(f"{name}-{part}", title, shown))
        sections.append(Section(name, f"Stage {number}: {stage_task or 'from elsewhere'}", blocks, on_page=False))
    return sections
