"""The section on probes; left out if the experiment has none."""

from stagewise.report.blocks import Block, Figures, Fold, Section, TableBlock, Text
from stagewise.report.lookup import View
from stagewise.report.tables import probes

MANY_ROWS = 30
"""Rows with which the table of all arms is folded away below the picture."""


def probes_section(view: View, chapter: str) -> Section:
    """Probes of each arm, and their changes along the stages."""
    table = probes.probes(view)
    main: Block = TableBlock(table, "main")
    blocks = [
        Text("No stage of an arm learns its probes, so a change on them is a side effect of what it did learn."),
        Figures(),
        Fold(f"All {len(table.rows)} rows", [main]) if len(table.rows) > MANY_ROWS else main,
        Fold("Against the reference arm", [TableBlock(probes.against_reference(view))]),
        Fold("After each stage", [TableBlock(probes.every_change(view))], in_markdown=False),
    ]
    return Section("probes", "Probes", blocks if view.probes else [], chapter=chapter)
