"""The report as one self-contained HTML page: inline CSS and SVG, no script, nothing fetched."""

import re
from pathlib import Path
from urllib.parse import quote

import yaml

from forgetting.plan import BASE
from forgetting.report import (
    arm_details,
    arm_tables,
    change_tables,
    conclusions,
    flips,
    pictures,
    provenance_tables,
    published_tables,
    remarks,
    result_tables,
    rule_tables,
    sentences,
    setup_tables,
)
from forgetting.report.pictures import curves
from forgetting.report.pictures.figure import Figure
from forgetting.report.view import View

TEMPLATES = Path(__file__).parent / "templates"


def environment(autoescape: bool):
    """The jinja2 environment of the report's templates; a name that a template misspells is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def styles():
    """The style sheet of every page."""
    from markupsafe import Markup

    return Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))


def render(view: View, figures: dict[str, Figure] | None = None, items: str | None = None) -> str:
    """The page's HTML. The same figures give the same bytes.

    Parameters
    ----------
    view
        What to show.
    figures
        As `pictures.figures` gives them; drawn here if not given.
    items
        Address of the local page with the items' texts, relative to this one; None where there is none.
    """
    env = environment(autoescape=True)
    env.filters["id"] = lambda text: re.sub(r"[^\w.+-]", ":", text)
    drawn = pictures.figures(view) if figures is None else figures
    values = content(view) | {"figures": drawn, "items_page": quote(items) if items else None, "css": styles()}
    return env.get_template("report.html.j2").render(values)


def content(view: View) -> dict:
    """Everything the page shows, its pictures aside, by the name its template uses."""
    split = view.main_split
    return {
        "view": view,
        "base": BASE,
        "warning": sentences.sample_warning(view),
        "headline": conclusions.lead(view),
        "conclusions": conclusions.conclusions(view) if view.several_arms else [],
        "runs_remark": conclusions.runs_remark(view),
        "observations": remarks.observations(view),
        "arms": arm_tables.mains(view),
        "matrix_metrics": arm_details.matrix_metrics(view),
        "against_reference": arm_details.against_reference(view),
        "kept": arm_details.kept(view),
        "cost": arm_details.cost(view),
        "decisions": [t for task in view.tasks if (t := rule_tables.decisions(view, task)).rows],
        "discrimination": rule_tables.discrimination(view),
        "agreement": rule_tables.agreement(view),
        "agreement_groups": rule_tables.agreement_groups(view),
        "flips": flips.table(view),
        "flip_lists": flips.lists(view),
        "run": setup_tables.run(view),
        "settings": setup_tables.settings(view),
        "sources": setup_tables.sources(view),
        "splits": setup_tables.splits(view),
        "checksums": setup_tables.checksums(view),
        "scores": [result_tables.before_after(view, s) for s in view.splits],
        "forgetting": [table for s in view.splits if (table := change_tables.forgetting(view, s)).rows],
        "published_way": change_tables.published_way(view),
        "learning": [table for s in view.splits if (table := change_tables.learning(view, s)).rows],
        "confusions": [(s, result_tables.confusions(view, s)) for s in view.splits],
        "labels": [result_tables.labels(view, s) for s in view.splits],
        "no_curves": [(view.name(name), reason) for name in view.adapters if (reason := curves.reason(view, name))],
        "published": published_tables.main(view),
        "published_rest": published_tables.rest(view),
        "published_remark": published_tables.remark(view),
        "calibration": [result_tables.calibration(view, s) for s in view.splits],
        "training": setup_tables.training(view),
        "scoring": setup_tables.scoring(view),
        "fingerprints": provenance_tables.fingerprints(view),
        "packages": provenance_tables.packages(view),
        "config": yaml.safe_dump(view.experiment.config, sort_keys=False, allow_unicode=True, width=100),
        "split": split,
    }
