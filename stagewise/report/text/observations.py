"""Observations: sentences about single stages and adapters, drawn from the figures by rule.

A figure without an interval is stated as a number, and nothing is concluded from it.
"""

from stagewise.metrics.schema import BASELINES, TrainingRecord
from stagewise.provenance.packages import mixed_versions
from stagewise.report.lookup import View
from stagewise.report.tables.number_format import count, listed, number, percent, plural
from stagewise.report.task_measures import GENERATION, MULTI_LABEL
from stagewise.report.text import probes
from stagewise.report.text.sentences import (
    Sentence,
    against_tfidf,
    between_stages,
    capital,
    learning,
    learnt_groups,
    paired,
)

LITTLE_MASS = 0.5
"""Mean probability of all labels together below which other answers than labels are the likelier ones."""


def observations(view: View) -> list[Sentence]:
    """Sentences about the main split: learning, stages between, then answers and trainings.

    What the verdicts say is not said again.
    """
    groups = [(arms, claims) for arms, groups in learnt_groups(view).items() for claims in groups]
    said: list[Sentence | None] = [
        learning(view, claims) for arms, claims in groups if len(arms) == 1 and view.several_arms
    ]
    said += [against_tfidf(view, claims) for _, claims in groups]
    last = {lineage for arm in view.arms for run in view.runs for lineage in view.steps(arm, run)[-1].answers.values()}
    said += [between_stages(view, records) for records in paired(view) if records[0].after_lineage not in last]
    said += probes.between_stages(view)
    plain = [*mixed_packages(view), *unused_labels(view), *invalid_answers(view), *other_answers(view)]
    plain += [*calibration(view), *checkpoints(view)]
    plain += [f"{capital(entry.what)}: not computed; {entry.reason.rstrip('.')}" for entry in view.metrics.omitted]
    said += [Sentence(text) for text in plain]
    return list(dict.fromkeys(sentence for sentence in said if sentence))


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
        f"{_name(view, answers.lineage)} are {_invalid(view, answers.task)} "
        f"({percent(answers.invalid / answers.items)}%); they count as wrong"
        for answers in view.select("predictions", split=view.main_split)
        if answers.invalid
    ]


def _invalid(view: View, task: str) -> str:
    return {MULTI_LABEL: "no set of labels", GENERATION: "empty"}.get(view.of_tasks.kinds[task], "no label")


def other_answers(view: View) -> list[str]:
    """Adapters that give most of the probability to other answers than the labels of a task that they learnt."""
    return [
        f"On {answers.task} {_name(view, answers.lineage)} gives all labels together {percent(mass)}% of the "
        "probability on average; it would mostly answer something else, which no score among the labels shows"
        for answers in view.select("predictions", split=view.main_split)
        if answers.label_mass
        and (mass := answers.label_mass.value) is not None
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
            answers = [entry for entry in answers if entry and entry.ece]
            errors = sorted(entry.ece.value for entry in answers if entry.ece.value is not None)
            sides.append(errors if len(errors) == len(records) else None)
        if None not in sides:
            before, after = (
                " to ".join(dict.fromkeys(percent(error) for error in (errors[0], errors[-1]))) for errors in sides
            )
            over = f", over {plural(len(records), 'run')}" if len(records) > 1 else ""
            later = f"stage {first.after_stage} ({view.stage_path(first.after_lineage)})"
            said.append(
                f"The calibration error on {task} is {before} points after stage {first.before_stage} and {after} "
                f"points after {later}{over}; it has no interval, so nothing is claimed from it"
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
    if lineage in view.untuned:
        return f"the {view.name(lineage)}" if len(view.untuned) > 1 else "the untuned model"
    return f"the adapter {view.name(lineage)}"
