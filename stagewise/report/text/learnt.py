"""Headline of experiments in which nothing could be forgotten: the tasks that are shown to be learnt."""

from stagewise.lineage import BASE
from stagewise.metrics.schema import MAJORITY, Claim
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import listed
from stagewise.report.text.sentences import learning_verdict, tested, unseen

WITH_FIGURES = 2
"""Tasks of one verdict that stand with their figures; of more, names alone."""


def in_short(view: View, arm: str, subject: str, told: set[str]) -> list[str]:
    """Say of each task that the arm learnt, and that is not `told`, if that is shown: a clause per verdict."""
    by_verdict: dict[tuple[str, str], list[dict[str, Claim]]] = {}
    for task in view.tasks:
        claims = {against: view.claim("learnt", arm, task, against) for against in (MAJORITY, BASE)}
        claims = {against: claim for against, claim in claims.items() if claim}
        if claims and task not in told:
            verdict = learning_verdict({against: claim.verdict for against, claim in claims.items()})
            by_verdict.setdefault((verdict, view.of_tasks.name_majority(task)), []).append(claims)
    said = []
    for (verdict, majority), tasks in by_verdict.items():
        names = [next(iter(claims.values())).task for claims in tasks]
        if len(names) <= WITH_FIGURES:
            names = [f"{name} ({_figures(view, claims)})" for name, claims in zip(names, tasks, strict=True)]
        said.append(verdict.format(stage=subject, task=listed(names), majority=f"the {majority}"))
    return said


def _figures(view: View, claims: dict[str, Claim]) -> str:
    """The task's own measure, untuned and when learnt; the difference from what the verdict is about."""
    first = next(iter(claims.values()))
    own, base = view.own(first.task), claims.get(BASE)
    after = view.value(first.lineages, first.task, first.split, own.name)
    before = base and view.value(base.against_lineages, base.task, base.split, own.name)
    scores = [own.spoken(value.value) for value in (before, after) if value and value.value is not None]
    facts = [f"{own.title} {' → '.join(scores)}"] if scores else []
    names = {MAJORITY: f"the {view.of_tasks.name_majority(first.task)}", BASE: "the untuned model"}
    all_better = all(claim.verdict == "better" for claim in claims.values())
    for against, claim in claims.items():
        # A task that beats both is told by what training changed; else each comparison says what it shows.
        if claim.difference.value is None or (all_better and base and against != BASE):
            continue
        measure = view.measures[claim.measure]
        of = f" of {measure.title}" if measure.name != own.name else ""
        fact = f"{tested(view, claim)}{of}"
        if not all_better:
            fact += f" against {names[against]}"
            hidden = unseen(view, claim) if claim.verdict == "not shown" else ""
            fact += f", {hidden}" if hidden else ""
        facts.append(fact)
    return "; ".join(facts) if not all_better else ", ".join(facts)
