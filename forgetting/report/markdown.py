"""The report as Markdown, in the shape of a model training report; it renders on GitHub."""

import re

from forgetting.report import (
    arm_details,
    arm_tables,
    change_tables,
    conclusions,
    formats,
    provenance_tables,
    published_tables,
    remarks,
    result_tables,
    sentences,
    setup_tables,
)
from forgetting.report.page import environment
from forgetting.report.tables import Cell, Table
from forgetting.report.view import View


def render(view: View) -> str:
    """The Markdown text. The same figures give the same bytes."""
    env = environment(autoescape=False)
    env.filters |= {"md": escape, "table": table}
    text = env.get_template("report.md.j2").render(content(view))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def content(view: View) -> dict:
    """Everything the file shows, by the name its template uses."""
    split = view.main_split
    stages = []
    for (number, task), adapters in view.stages().items():
        lineages = [adapter.lineage for adapter in adapters]
        stages.append(
            {
                "number": number,
                "task": task,
                "adapters": adapters,
                "splits": [s for s in view.metrics.splits if s.task in adapters[0].tasks],
                "training": setup_tables.training(view, lineages),
                "settings": setup_tables.settings(view, lineages),
                "result": _result(view, adapters[0].tasks, lineages),
                "verdicts": [s.text for group in _groups(view, lineages) for s in sentences.learnings(view, group)],
            }
        )
    return {
        "view": view,
        "split": split,
        "formats": formats,
        "warning": sentences.sample_warning(view),
        "headline": conclusions.lead(view) + (conclusions.conclusions(view) if view.several_arms else []),
        "runs_remark": conclusions.runs_remark(view),
        "short": arm_tables.short(view) if view.several_arms else None,
        "arms": arm_tables.mains(view),
        "cost": arm_details.cost(view),
        "run": setup_tables.run(view),
        "sources": setup_tables.sources(view),
        "splits": setup_tables.splits(view),
        "stages": stages,
        "scores": [result_tables.before_after(view, s) for s in view.splits],
        "forgetting": [t for s in view.splits if (t := change_tables.forgetting(view, s)).rows],
        "published_way": change_tables.published_way(view),
        "confusions": result_tables.confusions(view, split),
        "calibration": result_tables.calibration(view, split),
        "published": published_tables.main(view),
        "published_remark": published_tables.remark(view),
        "observations": remarks.observations(view),
        "scoring": setup_tables.scoring(view),
        "fingerprints": provenance_tables.fingerprints(view),
        "packages": provenance_tables.packages(view),
    }


def _groups(view: View, lineages: list[str]):
    return [group for group in sentences.variants(view) if group[0].lineage in lineages]


def _result(view: View, tasks: list[str], lineages: list[str]) -> Table:
    """The stage's own tasks, its adapters beside the untuned model and the baselines."""
    scorers = [name for name in view.scorers if name in lineages or name not in view.adapters]
    return result_tables.before_after(view, view.main_split, tasks, scorers)


def table(t: Table) -> str:
    """A GitHub table with its caption above and the reasons of what is missing below."""
    reasons = t.reasons
    heads = [f"{column.group}: {column.text}" if column.group else column.text for column in t.columns]
    lines = [f"*{escape(t.caption)}*", "", _line(escape(head) for head in heads)]
    lines.append(_line("---:" if column.numeric else "---" for column in t.columns))
    for heading, rows in t.bodies:
        if heading:
            lines.append(_line([f"**{escape(heading)}**", *[""] * (len(t.columns) - 1)]))
        lines += [_line(_cell(cell, reasons) for cell in row) for row in rows]
    if reasons:
        lines += ["", *(f"<sup>{letter}</sup> {escape(reason)}  " for reason, letter in reasons.items())]
    return "\n".join(lines)


def _line(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell, reasons: dict[str, str]) -> str:
    plain = cell.style in ("code", "sum") and cell.text != formats.MISSING and "`" not in cell.text
    text = "`" + cell.text.replace("|", r"\|").replace("\n", " ") + "`" if plain else escape(cell.text)
    if cell.sign:
        text = f"{cell.sign} {text}"
    if cell.reason:
        text += f"<sup>{reasons[cell.reason]}</sup>"
    if not cell.detail:
        return text
    return f"{text} {escape(cell.detail if cell.detail.startswith('[') else f'({cell.detail})')}"


def escape(text) -> str:
    """Text that Markdown shows as it is: nothing in a label or a licence becomes a mark or a tag."""
    text = re.sub(r"\s+", " ", str(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*|~#])", r"\\\1", text)
    text = re.sub(r"\](?=[\[(:])", r"\\]", text)  # only these could make a link
    # Underscores mark only at the edge of a word; GitHub links addresses by itself, which is welcome.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
