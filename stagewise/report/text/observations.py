"""Observations: sentences about single stages and adapters, drawn from the figures by rule.

A figure without an interval is stated as a number, and nothing is concluded from it.
"""

from stagewise.lineage import BASE
from stagewise.metrics.schema import BASELINES, TFIDF, Forgetting, TrainingRecord
from stagewise.provenance.packages import mixed_versions
from stagewise.report.lookup import View
from stagewise.report.measures import ShownMeasure
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

LITTLE_MASS = 0.5
"""Mean probability of all labels together below which other answers than labels are the likelier ones."""


def observations(view: View) -> list[Sentence]:
    """Sentences about the main split: learning, forgetting, then answers and trainings."""
    groups = [[adapter.lineage for adapter in group] for group in variants(view)]
    said: list[Sentence | None] = [sentence for group in variants(view) for sentence in learnings(view, group)]
    said += [against_tfidf(view, names, task) for names in groups for task in view.adapters[names[0]].tasks]
    _, *others = view.measures.values()
    for records in paired(view):
        said += [forgetting(view, records), *(unseen_by_accuracy(view, records, measure) for measure in others)]
    plain = [*mixed_packages(view), *unused_labels(view), *invalid_answers(view), *other_answers(view)]
    plain += [*calibration(view), *checkpoints(view)]
    plain += [f"{capital(entry.what)}: not computed; {entry.reason.rstrip('.')}" for entry in view.metrics.omitted]
    said += [Sentence(text) for text in plain]
    return list(dict.fromkeys(sentence for sentence in said if sentence))


def against_tfidf(view: View, lineages: list[str], task: str) -> Sentence | None:
    """Compare an adapter with a bag of words, which costs nothing."""
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
    change = measured(records[0], "accuracy")
    text = words.get(records[0].claim)
    return Sentence(text, f"{difference(change, view.measures['accuracy'])} of accuracy") if text and change else None


def unseen_by_accuracy(view: View, records: list[Forgetting], measure: ShownMeasure) -> Sentence | None:
    """Name a change that accuracy does not show and another measure does: rare labels lost or found, say."""
    changes = []
    for record in records:
        change = measured(record, measure.name)
        if change is None or change.low is None or record.claim != "no measurable change":
            continue
        if change.high < 0 or change.low > 0:
            run = f" ({view.run(record)})" if view.several_runs else ""
            direction = "" if measure.higher_is_better else " (better)" if change.high < 0 else " (worse)"
            changes.append(difference(change, measure) + direction + run)
    if not changes:
        return None
    after = stage(view, records[0].after_lineage)
    text = f"Accuracy on {records[0].task} did not measurably change after {after}, but {measure.title} did"
    return Sentence(text, listed(changes))


def mixed_packages(view: View) -> list[str]:
    """Package versions that differ between the adapters' trainings."""
    versions = {record.lineage: record.packages for record in view.metrics.training}
    return [f"Not all trainings used the same packages: {sentence}" for sentence in mixed_versions(versions)]


def unused_labels(view: View) -> list[str]:
    """Labels that an adapter or the base model never answers although items have them."""
    said = []
    for answers in view.select("predictions", split=view.main_split):
        score = view.score(answers.lineage, answers.task, answers.split)
        if answers.lineage in BASELINES or score is None:
            continue
        never = [entry for entry in score.labels if entry.predicted == 0 and entry.support > 0]
        if never:
            labels = listed(f"“{entry.label}” (gold label of {count(entry.support)})" for entry in never)
            items = plural(answers.items, f"{answers.split} item")
            said.append(f"On {answers.task} {_name(view, answers.lineage)} never answers {labels} in {items}")
    return said


def invalid_answers(view: View) -> list[str]:
    """Answers that are no label of the task."""
    return [
        f"On {answers.task} {count(answers.invalid)} of {plural(answers.items, 'answer')} of "
        f"{_name(view, answers.lineage)} are no label ({percent(answers.invalid / answers.items)}%); they count as "
        "wrong"
        for answers in view.select("predictions", split=view.main_split)
        if answers.invalid
    ]


def other_answers(view: View) -> list[str]:
    """Adapters that give most of the probability to other answers than the labels of a task that they learnt."""
    return [
        f"On {answers.task} {_name(view, answers.lineage)} gives all labels together {percent(mass)}% of the "
        "probability on average; it would mostly answer something else, which no score among the labels shows"
        for answers in view.select("predictions", split=view.main_split)
        if (mass := answers.label_mass.value) is not None
        and mass < LITTLE_MASS
        and view.learnt(answers.lineage, answers.task)
    ]


def calibration(view: View) -> list[str]:
    """Changes of the calibration error on a task that was learnt and then left."""
    said = []
    for records in paired(view):
        task, first = records[0].task, records[0]
        sides = []
        for lineages in ([r.before_lineage for r in records], [r.after_lineage for r in records]):
            answers = [view.predictions(lineage, task, view.main_split) for lineage in lineages]
            errors = sorted(entry.ece.value for entry in answers if entry and entry.ece.value is not None)
            sides.append(errors if len(errors) == len(records) else None)
        if None not in sides:
            before, after = (
                " to ".join(dict.fromkeys(percent(error) for error in (errors[0], errors[-1]))) for errors in sides
            )
            over = f", over {plural(len(records), 'run')}" if len(records) > 1 else ""
            said.append(
                f"The calibration error on {task} is {before} points after stage {first.before_stage} and {after} "
                f"points after {stage(view, first.after_lineage)}{over}; it has no interval, so nothing is claimed "
                "from it"
            )
    return said


def checkpoints(view: View) -> list[str]:
    """Trainings that kept a worse checkpoint than they began with, or whose validation loss rose in the end."""
    said = []
    for record in view.metrics.training:
        if _kept_worse(view, record):
            measure = view.measures.get(record.best_metric)
            title = measure.title if measure else record.best_metric
            said.append(
                f"The training of {_name(view, record.lineage)} kept the checkpoint of step {record.best_step}, whose "
                f"validation {title} ({number(record.best_value)}) is worse than before the first step "
                f"({number(record.start_value)})"
            )
        log, best = view.logs.get(record.lineage), record.best_eval_step
        later = [] if log is None or best is None else [n for n, _ in log.get("validation", "loss") if n > best]
        if later:
            said.append(
                f"In the training of {_name(view, record.lineage)} validation loss was lowest at step "
                f"{best} ({number(record.best_eval_loss)}) and never lower in the "
                f"{plural(len(set(later)), 'evaluation')} after it"
            )
    return said


def _kept_worse(view: View, record: TrainingRecord) -> bool:
    """Check that the kept checkpoint's metric is worse than that of the weights the stage began with."""
    if record.best_value is None or record.start_value is None:
        return False
    measure = view.measures.get(record.best_metric)
    gain = record.best_value - record.start_value
    return gain < 0 if measure and measure.higher_is_better else gain > 0


def _name(view: View, lineage: str) -> str:
    return "the untuned model" if lineage == BASE else f"the adapter {view.name(lineage)}"
