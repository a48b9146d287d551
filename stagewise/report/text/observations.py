"""Everything worth saying about the figures, in sentences drawn by rule.

A figure without an interval is stated as a number, and nothing is concluded from it.
"""

from stagewise.lineage import BASE
from stagewise.metrics.schema import TFIDF, Forgetting
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count, listed, number, percent, plural
from stagewise.report.text.sentences import (
    Sentence,
    capital,
    compared,
    difference,
    forgetting,
    learnings,
    measured,
    paired,
    stage,
    variants,
)


def observations(view: View) -> list[Sentence]:
    """Sentences about the main split: learning, forgetting, then what the answers and trainings look like."""
    groups = [[adapter.lineage for adapter in group] for group in variants(view)]
    found: list[Sentence | None] = [sentence for group in variants(view) for sentence in learnings(view, group)]
    found += [against_tfidf(view, names, task) for names in groups for task in view.adapters[names[0]].tasks]
    for records in paired(view, view.metrics.forgetting):
        found += [forgetting(view, records), macro_f1_alone(view, records)]
    plain = [*unused_labels(view), *invalid_answers(view), *calibration(view), *checkpoints(view)]
    plain += [f"Not computed is {entry.what}; {entry.reason.rstrip('.')}" for entry in view.metrics.omitted]
    found += [Sentence(text) for text in plain]
    return list(dict.fromkeys(sentence for sentence in found if sentence))


def against_tfidf(view: View, lineages: list[str], task: str) -> Sentence | None:
    """An adapter beside a bag of words, which costs nothing."""
    records = [record for lineage in lineages if (record := compared(view, lineage, TFIDF, task))]
    if not records:
        return None
    who = capital(stage(view, lineages[0]))
    if len(records) > 1:
        better = sum(record.claim == "better" for record in records)
        runs = plural(len(records), "run")
        return Sentence(f"{who} beats TF-IDF with logistic regression on {task} in {better} of {runs}")
    words = {
        "better": f"{who} beats TF-IDF with logistic regression on {task}",
        "worse": f"{who} stays below TF-IDF with logistic regression on {task}",
        "no measurable difference": f"{who} and TF-IDF with logistic regression do not measurably differ on {task}",
    }
    change = measured(records[0].changes, "accuracy")
    text = words.get(records[0].claim)
    return Sentence(text, f"{difference(change)} of accuracy") if text and change else None


def macro_f1_alone(view: View, records: list[Forgetting]) -> Sentence | None:
    """A change that accuracy does not show and macro-F1 does: rare labels lost or found."""
    found = []
    for record in records:
        change = measured(record.changes, "macro_f1")
        if change is None or change.difference.low is None or record.claim != "no measurable change":
            continue
        if change.difference.high < 0 or change.difference.low > 0:
            found.append(difference(change) + (f" ({view.run(record)})" if view.several_runs else ""))
    if not found:
        return None
    after = stage(view, records[0].after_lineage)
    text = f"Accuracy on {records[0].task} did not measurably change after {after}, but macro-F1 did"
    return Sentence(text, listed(found))


def unused_labels(view: View) -> list[str]:
    """Labels that an adapter or the base model never answers although items have them."""
    found = []
    for score in view.metrics.scores:
        if score.kind == "baseline" or score.split != view.main_split:
            continue
        never = [entry for entry in score.classes if entry.predicted == 0 and entry.support > 0]
        if never:
            labels = listed(f"“{entry.label}” (right for {count(entry.support)})" for entry in never)
            items = plural(score.items, f"{score.split} item")
            found.append(f"On {score.task} {_who(view, score.lineage)} never answers {labels} in {items}")
    return found


def invalid_answers(view: View) -> list[str]:
    """Answers that are no label of the task."""
    return [
        f"On {score.task} {count(score.invalid)} of {plural(score.items, 'answer')} of {_who(view, score.lineage)} are "
        f"no label ({percent(score.invalid / score.items)}%); they count as wrong"
        for score in view.metrics.scores
        if score.invalid and score.split == view.main_split
    ]


def calibration(view: View) -> list[str]:
    """How the calibration error moved on a task that was learnt and then left."""
    found = []
    for records in paired(view, view.metrics.forgetting):
        task, first = records[0].task, records[0]
        sides = []
        for lineages in ([r.before_lineage for r in records], [r.after_lineage for r in records]):
            scores = [view.score(lineage, task, view.main_split) for lineage in lineages]
            errors = sorted(score.ece.value for score in scores if score and score.ece.value is not None)
            sides.append(errors if len(errors) == len(records) else None)
        if None not in sides:
            before, after = (
                " to ".join(dict.fromkeys(percent(e) for e in (errors[0], errors[-1]))) for errors in sides
            )
            over = f", over {plural(len(records), 'run')}" if len(records) > 1 else ""
            found.append(
                f"The calibration error on {task} is {before} points after stage {first.before_stage} and {after} "
                f"points after {stage(view, first.after_lineage)}{over}; it has no interval, so nothing is claimed "
                "from it"
            )
    return found


def checkpoints(view: View) -> list[str]:
    """Trainings whose validation loss was lowest before the last evaluation."""
    found = []
    for record in view.metrics.training:
        log, best = view.logs.get(record.lineage), record.best_eval_step
        later = [] if log is None or best is None else [n for n, _ in log.get("validation", "loss") if n > best]
        if later:
            found.append(
                f"In the training of {_who(view, record.lineage)} validation loss was lowest at step "
                f"{best} ({number(record.best_eval_loss)}) and never lower in the "
                f"{plural(len(set(later)), 'evaluation')} after it"
            )
    return found


def _who(view: View, lineage: str) -> str:
    return "the untuned model" if lineage == BASE else f"the adapter {view.name(lineage)}"
