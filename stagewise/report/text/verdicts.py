"""Verdicts on arms, drawn from the claims by rule.

With one run a sentence is about these very adapters and says so; with several it is about the arm. That nothing
changed is never claimed: where nothing is shown, the sentence says how much could have gone unseen.
"""

from stagewise.lineage import BASE
from stagewise.metrics.schema import MAJORITY, Claim
from stagewise.report.lookup import View
from stagewise.report.tables.arms import MEAN_OVER_TASKS
from stagewise.report.tables.number_format import listed, plural
from stagewise.report.text import learnt, probes
from stagewise.report.text.prior import prior
from stagewise.report.text.sentences import (
    Paragraph,
    Sentence,
    capital,
    difference,
    learning,
    learnt_groups,
    tested,
    unseen,
)
from stagewise.report.text.tried import choice

FEW_RUNS = 5


def headline(view: View) -> Sentence:
    """The report in one sentence: what the reference arms forgot, and which arms do better.

    Where no arm has an earlier task, what they learnt.
    """
    if not view.metrics.claims:
        return Sentence("Nothing is claimed: no adapter was compared on items that every run shares")
    arms = [arm for arm in view.references if view.reference_of(arm) == arm]
    kept = {arm: [claim for task in view.tasks if (claim := view.claim("kept", arm, task))] for arm in arms}
    said = [] if view.earlier_tasks() else _learnt_in_short(view, arms)
    for arm, claims in kept.items():
        said += [_kept_in_short(view, arm, claims)] if claims else []
        subject = "it" if claims or (said and not view.several_arms) else _subject(view, arm)
        said += filter(None, [probes.in_short(view, arm, subject, alone=not claims)])
    if not said:
        said = [f"{_subject(view, view.reference)} has no earlier task that a later stage could make it forget"]
    if view.several_arms and (any(kept.values()) or view.claims_average or not view.earlier_tasks()):
        said.append(_others_in_short(view, {claim.task for claims in kept.values() for claim in claims}))
    return Sentence(capital("; ".join(said)))


def _learnt_in_short(view: View, references: list[str]) -> list[str]:
    """Clauses about each task that an arm learnt: those of the reference arms, then what only other arms learnt."""
    said, told = [], set()
    for arm in dict.fromkeys([*references, *view.arms]):
        said += learnt.in_short(view, arm, _subject(view, arm), set() if arm in references else told)
        told |= set(view.learnt_stages(arm))
    return said


def _subject(view: View, arm: str) -> str:
    """The arm, or with one run its adapters."""
    if view.several_runs:
        return f"arm {arm}" if view.several_arms else "the model"
    return f"in this one training the adapter of {arm}" if view.several_arms else "in this one training the model"


def _kept_in_short(view: View, arm: str, kept: list[Claim]) -> str:
    subject = _subject(view, arm)
    if forgotten := [claim for claim in kept if claim.verdict == "worse"]:
        verb = "forgets" if view.several_runs else "lost part of"
        return f"{subject} {verb} {_named(view, forgotten)}"
    if not (learnt := [claim for claim in kept if _is_learnt(view, arm, claim.task)]):
        verb = "is" if view.several_runs else "was"
        tasks = listed([claim.task for claim in kept])
        return f"{subject} {verb} not shown to learn {tasks}, so there was nothing to forget"
    verb = "is not shown to forget" if view.several_runs else "is not shown to have lost any of"
    return f"{subject} {verb} {_named(view, learnt)}"


def _is_learnt(view: View, arm: str, task: str) -> bool:
    """True if the adapter that learnt the task is shown to beat the majority class."""
    claim = view.claim("learnt", arm, task, MAJORITY)
    return claim is not None and claim.verdict == "better"


def _named(view: View, claims: list[Claim]) -> str:
    # An interval that leaves 0 out does not decide: where nothing is shown, the p-value says why.
    # A loss that is a rise is named, so that its sign does not seem wrong.
    risen = {m.name: f" of {m.title}" for m in view.measures.values() if not m.higher_is_better}
    facts = [
        f"{claim.task} ({difference(claim.difference, view.measures[claim.measure])}{risen.get(claim.measure, '')})"
        if claim.verdict == "worse"
        else f"{claim.task} ({tested(view, claim)})"
        for claim in claims
    ]
    return listed(facts) if len(facts) <= 2 else f"{facts[0]} and {len(facts) - 1} more tasks"


def _others_in_short(view: View, kept: set[str]) -> str:
    """Say which arms end better or worse than their references, on tasks of which something is claimed."""
    if not view.several_runs:
        return "one training of each arm says nothing about the arms"
    if view.claims_average:
        tasks, on = {None}, f"the {MEAN_OVER_TASKS}"
    else:
        tasks = kept or set(view.tasks)
        on = "earlier tasks" if kept else "its tasks"
        on = listed(sorted(tasks, key=view.tasks.index)) if len(tasks) <= 2 else on
    claims = [claim for claim in view.select("claims", kind="arms") if claim.task in tasks]
    others, said = len(view.arms) - len(view.references), []
    for word in ("better", "worse"):
        names = list(dict.fromkeys(arm for claim in claims if claim.verdict == word for arm in claim.arms))
        if names:
            said.append(f"{_some(names, others)} {word} on {on}")
    return " and ".join(said) if said else f"no other arm is shown to end better or worse on {on}"


def _some(names: list[str], others: int) -> str:
    verb = "ends" if len(names) == 1 else "end"
    if len(names) <= 3:
        return f"{listed(names)} {verb}"
    return f"{f'all {others}' if len(names) == others else f'{len(names)} of {others}'} other arms {verb}"


def lead(view: View) -> list[Paragraph]:
    """Say how settings were chosen, and what shared adapters learnt; with one arm, give its complete result."""
    chosen = choice(view)
    settings = [Paragraph("Settings", [chosen])] if chosen else []
    paragraphs = []
    for arms, groups in learnt_groups(view).items():
        if len(arms) > 1 or not view.several_arms:
            sentences = [learning(view, claims) for claims in groups]
            paragraphs.append(Paragraph(_name_arms(view, arms), sentences))
    if view.several_arms:
        return settings + paragraphs
    said = [sentence for paragraph in paragraphs for sentence in paragraph.sentences]
    return [*settings, Paragraph("", said + of_arm(view, view.arms[0]))]


def _name_arms(view: View, arms: tuple[str, ...]) -> str:
    if len(arms) == len(view.arms):
        return "Every arm"
    return f"Arms {listed(arms)}" if len(arms) < 5 else f"{len(arms)} of {len(view.arms)} arms"


def conclusions(view: View) -> list[Paragraph]:
    """A paragraph per arm: what it kept of earlier tasks, and how it ends against the reference arm."""
    return [Paragraph(f"Arm {arm}", of_arm(view, arm)) for arm in view.arms]


def of_arm(view: View, arm: str) -> list[Sentence]:
    """The arm's sentences."""
    sentences = [sentence for task in view.tasks for sentence in (kept(view, arm, task), prior(view, arm, task))]
    if arm != view.reference_of(arm):
        sentences.append(against_reference(view, arm))
    sentences += probes.of_arm(view, arm)
    said = [sentence for sentence in sentences if sentence]
    return said or [Sentence("No earlier task was scored after a later stage, so nothing is said about forgetting")]


def runs_remark(view: View) -> str:
    """What the intervals and claims are about."""
    family = plural(len([claim for claim in view.metrics.claims if claim.p is not None]), "claim")
    risk = f"{100 * (1 - view.experiment.confidence):g}%"
    text = f"The chance of any false one among the report's {family} is at most {risk}. "
    runs = len(view.runs)
    if runs == 1:
        return text + (
            "One run of each arm: training noise is not measured, so every sentence is about these adapters and says "
            "nothing about another training."
        )
    text += f"Intervals are over items and {view.over_runs()} together"
    if runs < FEW_RUNS:
        text += "; with so few, arms share one estimate of training noise"
    return f"{text}.{_adopted_remark(view)}"


def _adopted_remark(view: View) -> str:
    """Say which stages are one adapter from elsewhere in all runs; empty if there is none."""
    files: dict[str, list[dict]] = {}
    for adapter in view.adapters.values():
        if adapter.adopted:
            files.setdefault(view.stage_path(adapter.lineage), []).append(adapter.adopted.files)
    same = [path for path, runs in files.items() if all(one == runs[0] for one in runs)]
    if not same:
        return ""
    if len(same) == 1:
        return f" The stage {same[0]} is one adapter from elsewhere in all runs: its training noise is in no interval."
    return (
        f" The stages {listed(same)} are one adapter each in all runs, from elsewhere: their noise is in no interval."
    )


def against_reference(view: View, arm: str) -> Sentence | None:
    """Compare the arm's last adapters with its reference arm's, task by task or by the mean over all."""
    by_verdict: dict[str, list[str]] = {}
    facts = []
    for task in [None] if view.claims_average else view.tasks:
        claim = view.claim("arms", arm, task)
        if claim is None or claim.difference.value is None:
            continue
        by_verdict.setdefault(claim.verdict, []).append(task or f"the {MEAN_OVER_TASKS}")
        hidden = unseen(view, claim) if claim.verdict == "not shown" else ""
        facts.append(f"{f'{task} ' if task else ''}{tested(view, claim)}{f' ({hidden})' if hidden else ''}")
    if not facts:
        return None
    if view.claims_average and (by_task := _unclaimed_differences(view, arm)):
        facts.append(f"{by_task}, of which nothing is claimed")
    words = {
        "better": "better on {}" if view.several_runs else "more of {} right",
        "worse": "worse on {}" if view.several_runs else "less of {} right",
        "not shown": "no difference shown on {}",
        "not claimed": "nothing claimed on {}",
    }
    if view.claims_average and not view.several_runs:
        words |= {"better": "higher by {}", "worse": "lower by {}"}
    said = listed(text.format(listed(by_verdict[v])) for v, text in words.items() if v in by_verdict)
    reference = view.reference_of(arm)
    who = f"Against {reference}" if view.several_runs else f"This adapter against that of {reference}"
    return Sentence(f"{who}, {said}", "; ".join(facts))


def _unclaimed_differences(view: View, arm: str) -> str:
    """Differences from the reference arm on single tasks; empty if there are many tasks, or no differences."""
    records = {task: view.arm_difference(arm, task, view.own(task).name) for task in view.tasks}
    facts = [f"{task} {difference(r.difference, view.own(task))}" for task, r in records.items() if r]
    return listed(facts) if len(facts) <= 3 else ""


def kept(view: View, arm: str, task: str) -> Sentence | None:
    """Say what became of an earlier task: forgotten, improved, or no change shown."""
    record = view.arm_task(arm, task)
    if record is None or not record.earlier:
        return None
    claim = view.claim("kept", arm, task)
    if claim is None:
        return _unclaimed_change(view, arm, task)
    measure = view.measures[claim.measure]
    before, after = (
        view.value(names, task, claim.split, measure.name) for names in (claim.against_lineages, claim.lineages)
    )
    if before is None or after is None or claim.difference.value is None:
        return Sentence(f"Nothing is claimed about forgetting of {task}")
    moved = f"{measure.title} {measure.spoken(before.value)} → {measure.spoken(after.value)}"
    facts = [f"{moved}, {tested(view, claim)}"]
    if claim.verdict == "not shown" and (hidden := unseen(view, claim)):
        facts.append(hidden)
    if _is_retained(view, arm, task):
        facts.append(f"it still beats the {view.of_tasks.name_majority(task)} and the untuned model")
    return Sentence(_kept_verdict(view, claim).format(task=task), "; ".join(facts))


def _unclaimed_change(view: View, arm: str, task: str) -> Sentence:
    """An earlier task of which nothing is claimed: one adapter answers it, or claims are about the mean over tasks."""
    stage, measure = view.learnt_stages(arm)[task], view.own(task)
    change = view.change(arm, task, measure.name)
    if view.answered_by(arm, task, stage) == view.answered_by(arm, task):
        return Sentence(f"{task} cannot be forgotten, because the adapter that learnt it still answers it")
    verdict = f"Nothing is claimed about forgetting of {task}"
    if change is None or change.value is None:
        return Sentence(verdict)
    return Sentence(verdict, f"{measure.title} changed by {difference(change, measure)}")


def _kept_verdict(view: View, claim: Claim) -> str:
    several = view.several_runs
    if claim.verdict == "worse":
        return "It forgets {task}" if several else "This adapter lost part of {task}"
    if claim.verdict == "better":
        return "It does not forget {task} but improves on it" if several else "This adapter improved on {task}"
    fell = (claim.difference.value < 0) == view.measures[claim.measure].higher_is_better
    if claim.verdict == "not claimed" and claim.p is not None and claim.p_corrected is not None and fell:
        return "{task} got worse, but it is not shown to have been learnt, so this is not called forgetting"
    return "No change on {task} is shown"


def _is_retained(view: View, arm: str, task: str) -> bool:
    claims = [view.claim("retained", arm, task, against) for against in (MAJORITY, BASE)]
    return all(claim is not None and claim.verdict == "better" for claim in claims)
