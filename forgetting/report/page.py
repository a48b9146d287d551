"""The report as one self-contained HTML page: inline CSS and SVG, no script, nothing fetched."""

import re
from pathlib import Path

import yaml

from forgetting.plan import BASE
from forgetting.report import change_tables, figures, published_tables, remarks, result_tables, sentences, setup_tables
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


def render(view: View) -> str:
    """The page's HTML. The same figures give the same bytes."""
    from markupsafe import Markup

    env = environment(autoescape=True)
    env.filters["id"] = lambda text: re.sub(r"[^\w.+-]", ":", text)
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return env.get_template("report.html.j2").render(content(view), css=Markup(css))


def content(view: View) -> dict:
    """Everything the page shows, by the name its template uses."""
    split = view.main_split
    curves = [(view.adapters[name], figures.curves(view, name), _reason(view, name)) for name in view.adapters]
    score_pictures = [(task, figures.scores(view, task)) for task in view.tasks]
    return {
        "view": view,
        "base": BASE,
        "warning": sentences.sample_warning(view),
        "headline": sentences.headline(view),
        "observations": remarks.observations(view),
        "run": setup_tables.run(view),
        "settings": setup_tables.settings(view),
        "sources": setup_tables.sources(view),
        "splits": setup_tables.splits(view),
        "checksums": setup_tables.checksums(view),
        "scores": [result_tables.before_after(view, s) for s in view.splits],
        "score_pictures": score_pictures,
        "narrow": all(p.width <= figures.WIDTH for _, list_ in score_pictures for p in list_),
        "score_legend": figures.scores_legend(view),
        "forgetting": [table for s in view.splits if (table := change_tables.forgetting(view, s)).rows],
        "published_way": change_tables.published_way(view),
        "learning": [table for s in view.splits if (table := change_tables.learning(view, s)).rows],
        "confusions": [(s, result_tables.confusions(view, s)) for s in view.splits],
        "labels": [result_tables.labels(view, s) for s in view.splits],
        "curves": curves,
        "curve_legend": figures.curves_legend(),
        "published": published_tables.main(view),
        "published_rest": published_tables.rest(view),
        "published_remark": published_tables.remark(view),
        "calibration": [result_tables.calibration(view, s) for s in view.splits],
        "reliability": [(task, figures.reliability(view, task)) for task in view.tasks],
        "training": setup_tables.training(view),
        "scoring": setup_tables.scoring(view),
        "fingerprints": setup_tables.fingerprints(view),
        "packages": setup_tables.packages(view),
        "config": yaml.safe_dump(view.experiment.config, sort_keys=False, allow_unicode=True, width=100),
        "split": split,
    }


def _reason(view: View, lineage: str) -> str | None:
    log = view.logs.get(lineage)
    return "no training log was read" if log is None else log.reason
