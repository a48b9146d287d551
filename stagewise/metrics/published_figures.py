"""The published experiment's figures, each beside ours."""

from statistics import fmean
from typing import Literal, NamedTuple

from pydantic import Field, create_model

from stagewise.config.base import Settings, validate
from stagewise.config.experiment import Config
from stagewise.config.shareable import shareable_file
from stagewise.errors import InputError
from stagewise.lineage import Step
from stagewise.measures import MEASURES, PRIMARY
from stagewise.metrics.prediction_table import Key
from stagewise.metrics.schema import MAJORITY, AnswerRecord, Published, PublishedRecord, Score, TrainingRecord, Value
from stagewise.provenance.files import read_json


class LabelFigures(Settings):
    """Published figures of one label."""

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


class SplitFigures(Settings):
    """Published figures of one split after one stage, measures aside."""

    stage: int
    task: str
    split: Literal["train", "validation", "test"]
    items: int | None = None
    labels: list[LabelFigures] = []
    confusion: list[ConfusionFigure] = []


Evaluation = create_model(
    "Evaluation",
    __base__=SplitFigures,
    __doc__="Published figures of one split after one stage: every measure by its name.",
    **{name: (float | None, None) for name in MEASURES},
)


class Training(Settings):
    """Published figures of one stage's training; `figures` are keys of the training records."""

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
        If the file is missing or not such a file.
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


class OurFigures(NamedTuple):
    """This experiment's records that published figures are compared with."""

    config: Config
    steps: dict[str, list[list[Step]]]
    """Each arm after every stage, one list a run."""
    scores: dict[Key, Score]
    """Of the answers as they were given."""
    predictions: dict[Key, AnswerRecord]
    trainings: dict[str, TrainingRecord]


def published_records(figures: PublishedFigures, ours: OurFigures) -> list[PublishedRecord]:
    """Put every published figure beside ours, for each arm without remedies that learnt the same tasks so far.

    `ours`, its interval and its items are of the experiment's first run, so that they belong together;
    `mean_over_seeds` is the mean over all runs. Labels are matched without regard to case.
    """
    records = []
    for part in (*figures.evaluations, *figures.trainings):
        evaluation = part if isinstance(part, SplitFigures) else None
        arms = _comparable_arms(ours.config, figures.stages[: part.stage])
        for key, published in _evaluation_figures(part) if evaluation else part.figures.items():
            metric, label, gold = key if evaluation else (key, None, None)
            figure = {
                "stage": part.stage,
                "task": evaluation and part.task,
                "split": evaluation and part.split,
                "metric": metric,
                "label": label,
                "gold": gold,
                "published": published,
                "published_items": evaluation and part.items,
            }
            for arm in arms or [None]:
                records.append(PublishedRecord(**figure, **_our_figure(ours, figure, arm)))
    return records


def published_source(path: str, figures: PublishedFigures) -> Published:
    """Name the source to cite."""
    return Published(file=shareable_file(path), title=figures.title, source=figures.source)


def _evaluation_figures(part: SplitFigures):
    """Yield (metric, label, gold) and value of every figure that was published of a split."""
    for metric in MEASURES:
        if getattr(part, metric, None) is not None:
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


def _comparable_arms(config: Config, tasks: list[str]) -> list[str]:
    return [
        name
        for name, arm in config.active_arms.items()
        if [stage.tasks for stage in arm.stages[: len(tasks)]] == [[task] for task in tasks]
        # The published experiment had one adapter and did nothing against forgetting.
        and arm.adapters == "one"
        and not any(stage.remedies.model_dump(exclude_none=True) for stage in arm.stages)
    ]


def _our_figure(ours: OurFigures, figure: dict, arm: str | None) -> dict:
    """Look up this experiment's figure and its mean over runs, as keys of the record."""
    if arm is None:
        reason = "no arm without remedies learns these tasks in this order"
        return {"arm": arm, "ours": Value(reason=reason), "seeds": 0}
    by_run = []
    for steps in ours.steps[arm]:
        lineage = steps[figure["stage"]].lineage
        if figure["task"] is None:
            value = getattr(ours.trainings[lineage], figure["metric"])
            reason = None if value is not None else "the training wrote no such value"
            by_run.append((lineage, Value(value=value, reason=reason), ours.trainings[lineage].items))
            continue
        key = MAJORITY if figure["metric"] == "majority_accuracy" else lineage, figure["task"], figure["split"]
        if key not in ours.scores:
            scored = f"the {figure['split']} split was not scored"
            known_task = figure["task"] in ours.config.active_tasks
            return {
                "arm": arm,
                "ours": Value(reason=scored if known_task else f"there is no task '{figure['task']}'"),
                "seeds": 0,
            }
        by_run.append((key[0], _look_up(ours.scores[key], ours.predictions[key], figure), ours.predictions[key].items))
    lineage, value, items = by_run[0]
    values = [value.value for _, value, _ in by_run]
    return {
        "arm": arm,
        "seed": ours.config.seeds[0],
        "lineage": lineage,
        "ours": value,
        "our_items": items,
        "mean_over_seeds": None if None in values else fmean(values),
        "seeds": len(values),
    }


def _look_up(score: Score, predictions: AnswerRecord, figure: dict) -> Value:
    metric, label, gold = figure["metric"], figure["label"], figure["gold"]
    if metric == "majority_accuracy":
        return score.measures[PRIMARY]
    if label is None:
        return score.measures[metric]
    numbers = {entry.label.casefold(): number for number, entry in enumerate(score.labels)}
    for word in (label, gold or label):
        if word.casefold() not in numbers:
            return Value(reason=f"the task has no label '{word}'")
    number = numbers[label.casefold()]
    if metric == "confusion":
        return Value(value=predictions.confusion.counts[numbers[gold.casefold()]][number])
    entry = score.labels[number]
    if metric == "recall":
        # Its interval is that of the decision rules.
        return Value(value=entry.recall.value, reason=entry.recall.reason if entry.recall.value is None else None)
    value = getattr(entry, metric)
    return value if isinstance(value, Value) else Value(value=value)
