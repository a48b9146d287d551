"""The report as Markdown, in the shape of a model training report; it renders on GitHub."""

import re

from stagewise.report.html import environment
from stagewise.report.lookup import View
from stagewise.report.tables import arm_details, arms, changes, number_format, provenance, published, scores, setup
from stagewise.report.tables.table import Cell, Table
from stagewise.report.text import observations, sentences, verdicts


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
                "training": setup.training(view, lineages),
                "settings": setup.settings(view, lineages),
                "result": _result(view, adapters[0].tasks, lineages),
                "verdicts": [s.text for group in _groups(view, lineages) for s in sentences.learnings(view, group)],
            }
        )
    return {
        "view": view,
        "split": split,
        "formats": number_format,
        "warning": sentences.sample_warning(view),
        "headline": verdicts.lead(view) + (verdicts.conclusions(view) if view.several_arms else []),
        "runs_remark": verdicts.runs_remark(view),
        "short": arms.short(view) if view.several_arms else None,
        "arms": arms.mains(view),
        "cost": arm_details.cost(view),
        "run": setup.run(view),
        "sources": setup.sources(view),
        "splits": setup.splits(view),
        "stages": stages,
        "scores": [scores.before_after(view, s) for s in view.splits],
        "forgetting": [t for s in view.splits if (t := changes.forgetting(view, s)).rows],
        "published_way": changes.published_way(view),
        "confusions": scores.confusions(view, split),
        "calibration": scores.calibration(view, split),
        "published": published.main(view),
        "published_remark": published.remark(view),
        "observations": observations.observations(view),
        "scoring": setup.scoring(view),
        "fingerprints": provenance.fingerprints(view),
        "packages": provenance.packages(view),
    }


def _groups(view: View, lineages: list[str]):
    return [group for group in sentences.variants(view) if group[0].lineage in lineages]


def _result(view: View, tasks: list[str], lineages: list[str]) -> Table:
    """The stage's own tasks, its adapters beside the untuned model and the baselines."""
    scorers = [name for name in view.scorers if name in lineages or name not in view.adapters]
    return scores.before_after(view, view.main_split, tasks, scorers)


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
    plain = cell.style in ("code", "sum") and cell.text != number_format.MISSING and "`" not in cell.text
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
