"""The report as one self-contained HTML page: inline CSS and SVG, no script, nothing fetched."""

import re
from urllib.parse import quote

import yaml

from stagewise.lineage import BASE
from stagewise.report.environment import environment, styles
from stagewise.report.figures import learning_curves, registry
from stagewise.report.figures.figure import Figure
from stagewise.report.lookup import View
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
from stagewise.report.text import observations, sentences, verdicts


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
    drawn = registry.figures(view) if figures is None else figures
    values = content(view) | {"figures": drawn, "items_page": quote(items) if items else None, "css": styles()}
    return env.get_template("report.html.j2").render(values)


def content(view: View) -> dict:
    """Everything the page shows, its pictures aside, by the name its template uses."""
    split = view.main_split
    return {
        "view": view,
        "base": BASE,
        "warning": sentences.sample_warning(view),
        "headline": verdicts.lead(view),
        "conclusions": verdicts.conclusions(view) if view.several_arms else [],
        "runs_remark": verdicts.runs_remark(view),
        "observations": observations.observations(view),
        "arms": arms.mains(view),
        "matrix_metrics": arm_details.matrix_metrics(view),
        "against_reference": arm_details.against_reference(view),
        "kept": arm_details.kept(view),
        "cost": arm_details.cost(view),
        "decisions": [t for task in view.tasks if (t := decision_rules.decisions(view, task)).rows],
        "discrimination": decision_rules.discrimination(view),
        "agreement": decision_rules.agreement(view),
        "agreement_groups": decision_rules.agreement_groups(view),
        "flips": flips.flips_table(view),
        "flip_lists": flips.lost_items(view),
        "run": setup.run(view),
        "settings": setup.settings(view),
        "sources": setup.sources(view),
        "splits": setup.splits(view),
        "checksums": setup.checksums(view),
        "scores": [scores.before_after(view, s) for s in view.splits],
        "forgetting": [table for s in view.splits if (table := changes.forgetting(view, s)).rows],
        "published_way": changes.published_way(view),
        "learning": [table for s in view.splits if (table := changes.learning(view, s)).rows],
        "confusions": [(s, scores.confusions(view, s)) for s in view.splits],
        "labels": [scores.labels(view, s) for s in view.splits],
        "no_curves": [
            (view.name(name), reason) for name in view.adapters if (reason := learning_curves.reason(view, name))
        ],
        "published": published.main(view),
        "published_rest": published.rest(view),
        "published_remark": published.remark(view),
        "calibration": [scores.calibration(view, s) for s in view.splits],
        "training": setup.training(view),
        "scoring": setup.scoring(view),
        "fingerprints": provenance.fingerprints(view),
        "packages": provenance.packages(view),
        "config": yaml.safe_dump(view.experiment.config, sort_keys=False, allow_unicode=True, width=100),
        "split": split,
    }
