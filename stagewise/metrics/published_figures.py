"""The published experiment's figures, each beside ours."""

from statistics import fmean
from typing import Literal

from pydantic import Field

from stagewise.config.base import Settings, validate
from stagewise.errors import InputError
from stagewise.lineage import steps_of_arm
from stagewise.metrics.read_results import Run
from stagewise.metrics.schema import MAJORITY, Estimate, Published, PublishedRecord, Score, TrainingRecord
from stagewise.provenance.files import read_json


class LabelFigures(Settings):
    """What was published of one label."""

    label: str
    support: int | None = None
    predicted: int | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


class ConfusionFigure(Settings):
    """One published confusion count."""

    gold: str
    label: str
    items: int


class Evaluation(Settings):
    """What was published of one split after one stage."""

    stage: int
    task: str
    split: Literal["train", "validation", "test"]
    items: int | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    labels: list[LabelFigures] = []
    confusion: list[ConfusionFigure] = []


class Training(Settings):
    """What was published of one stage's training; `figures` are keys of the training records."""

    stage: int = Field(ge=1)
    figures: dict[str, float]


class PublishedFigures(Settings):
    """A file of published figures."""

    title: str
    source: str
    stages: list[str] = Field(min_length=1)
    evaluations: list[Evaluation] = []
    trainings: list[Training] = []


def read_published(path) -> PublishedFigures:
    """Read a file of published figures.

    Raises
    ------
    InputError
        Where the file is missing or not such a file.
    """
    figures = validate(PublishedFigures, read_json(path, "the file of published figures"), str(path))
    numbers = {n for n, f in TrainingRecord.model_fields.items() if f.annotation in (int | None, float | None)}
    for training in figures.trainings:
        if unknown := sorted(set(training.figures) - numbers):
            raise InputError(f"{path}: '{unknown[0]}' is no figure of a training ({', '.join(sorted(numbers))})")
    for part in (*figures.evaluations, *figures.trainings):
        if not 0 <= part.stage <= len(figures.stages):
            raise InputError(f"{path}: stage {part.stage} is none of its {len(figures.stages)} stages")
    return figures


def beside_published(
    run: Run,
    figures: PublishedFigures,
    scores: dict[tuple[str, str, str], Score],
    trainings: dict[str, TrainingRecord],
) -> list[PublishedRecord]:
    """One record per published figure and arm without remedies that learnt the same tasks in the same order so far.

    `ours`, its interval and its items are of the experiment's first run, so that they belong together;
    `mean_over_seeds` is the mean over all runs. Labels are matched without regard to case.
    """
    records = []
    for part in (*figures.evaluations, *figures.trainings):
        evaluation = part if isinstance(part, Evaluation) else None
        wanted = list(_evaluation_figures(part) if evaluation else part.figures.items())
        arms = _arms(run, figures.stages[: part.stage])
        for key in wanted:
            name, value = key
            metric, label, gold = name if evaluation else (name, None, None)
            common = {
                "stage": part.stage,
                "task": evaluation and part.task,
                "split": evaluation and part.split,
                "metric": metric,
                "label": label,
                "gold": gold,
                "published": value,
                "published_items": evaluation and part.items,
            }
            for arm in arms or [None]:
                records.append(PublishedRecord(**common, **_ours(run, scores, trainings, common, arm)))
    return records


def source(path: str, figures: PublishedFigures) -> Published:
    """What to cite."""
    return Published(file=str(path), title=figures.title, source=figures.source)


def _evaluation_figures(part: Evaluation):
    """(metric, label, gold) and value of every figure that was published of a split."""
    for metric in ("accuracy", "macro_f1"):
        if getattr(part, metric) is not None:
            yield (metric, None, None), getattr(part, metric)
    supports = [figures.support for figures in part.labels]
    if supports and None not in supports:
        # Not published, but it follows from the label counts, and no accuracy means anything without it.
        yield ("majority_accuracy", None, None), max(supports) / sum(supports)
    for figures in part.labels:
        for metric in ("f1", "precision", "recall", "predicted", "support"):
            if getattr(figures, metric) is not None:
                yield (metric, figures.label, None), getattr(figures, metric)
    for count in part.confusion:
        yield ("confusion", count.label, count.gold), count.items


def _arms(run: Run, tasks: list[str]) -> list[str]:
    return [
        name
        for name, arm in run.config.active_arms.items()
        if [stage.tasks for stage in arm.stages[: len(tasks)]] == [[task] for task in tasks]
        # The published experiment had one adapter and did nothing against forgetting.
        and arm.adapters == "one"
        and not any(stage.remedies.model_dump(exclude_none=True) for stage in arm.stages)
    ]


def _ours(run: Run, scores, trainings, figure: dict, arm: str | None) -> dict:
    nothing = {"arm": arm, "seed": None, "lineage": None, "our_items": None, "mean_over_seeds": None, "seeds": 0}
    if arm is None:
        return {
            **nothing,
            "ours": Estimate(value=None, reason="no arm without remedies learns these tasks in this order"),
        }
    found = []
    for fold, seed in run.config.runs:
        lineage = steps_of_arm(run.config, arm, seed, fold)[figure["stage"]].lineage
        if figure["task"] is None:
            value = getattr(trainings[lineage], figure["metric"])
            reason = None if value is not None else "the training wrote no such value"
            found.append((lineage, Estimate(value=value, reason=reason), trainings[lineage].items))
            continue
        scorer = MAJORITY if figure["metric"] == "majority_accuracy" else lineage
        score = scores.get((scorer, figure["task"], figure["split"]))
        if score is None:
            known = figure["task"] in run.config.active_tasks
            what = f"the {figure['split']} split was not scored" if known else f"there is no task '{figure['task']}'"
            return {**nothing, "ours": Estimate(value=None, reason=what)}
        found.append((scorer, _look_up(score, figure), score.items))
    lineage, ours, items = found[0]
    values = [estimate.value for _, estimate, _ in found]
    return {
        "arm": arm,
        "seed": run.config.seeds[0],
        "lineage": lineage,
        "ours": ours,
        "our_items": items,
        "mean_over_seeds": None if None in values else fmean(values),
        "seeds": len(values),
    }


def _look_up(score: Score, figure: dict) -> Estimate:
    metric, label, gold = figure["metric"], figure["label"], figure["gold"]
    if metric == "majority_accuracy":
        return score.accuracy
    if label is None:
        return getattr(score, metric)
    places = {entry.label.casefold(): place for place, entry in enumerate(score.classes)}
    for word in (label, gold or label):
        if word.casefold() not in places:
            return Estimate(value=None, reason=f"the task has no label '{word}'")
    place = places[label.casefold()]
    if metric == "confusion":
        return Estimate(value=score.confusion.counts[places[gold.casefold()]][place])
    value = getattr(score.classes[place], metric)
    return value if isinstance(value, Estimate) else Estimate(value=value)
