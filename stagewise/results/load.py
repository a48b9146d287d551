"""A finished experiment in a notebook."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from markupsafe import escape

from stagewise.errors import InputError
from stagewise.lineage import BASE
from stagewise.metrics.schema import ReportMetrics, read_metrics
from stagewise.provenance.files import read_json
from stagewise.provenance.sealed_json import is_sealed
from stagewise.report.curves import read_logs
from stagewise.report.figures.figure import DrawnFigure
from stagewise.report.figures.registry import declared_figures
from stagewise.report.lookup import View
from stagewise.report.tables import arms
from stagewise.report.tables.number_format import listed
from stagewise.report.text import sentences, verdicts
from stagewise.results import frames
from stagewise.results.answers import Answers
from stagewise.results.paired import paired_frame

METRICS = "report_metrics.json"


def load_results(path: str | os.PathLike) -> "Results":
    """Read a finished experiment; see `stagewise.load`.

    Raises
    ------
    InputError
        If there are no finished results, or they are of another version, or edited.
    """
    path = Path(path).expanduser().absolute()
    if path.is_dir():
        if not (path / METRICS).is_file():
            raise InputError(f"{path}: no finished results, {METRICS} is not there; run the workflow to its end")
        path = path / METRICS
    metrics = read_metrics(path)
    if not is_sealed(read_json(path, METRICS)):
        raise InputError(f"{path}: does not match its own checksum (edited?); run scripts.metrics again")
    return Results(path, metrics)


@dataclass(frozen=True)
class ShownFigure:
    """A figure of the report, which a notebook shows as a picture."""

    id: str
    title: str
    caption: str
    """Description with its intervals and units."""
    svg: str
    """The picture as an SVG file, for light and dark backgrounds."""
    data: pd.DataFrame
    """All numbers that it draws, as its CSV file has them."""

    @classmethod
    def of(cls, drawn: DrawnFigure) -> "ShownFigure":
        return cls(drawn.id, drawn.title, drawn.caption, drawn.svg, drawn.data.infer_objects())

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<figure {self.id}: {self.title}, {len(self.data)} rows>"


class Results:
    """A finished experiment, read only.

    Its frames are in long form, one row per number, and new at every access. Columns that they share:

    - `lineage`: ``base`` for the untuned model, a baseline, or an adapter's folder below the results;
      ``base/seed-*/...`` stands for the mean over several runs; `arms` are those that pass through it, `stage` is its
      number (0 for the untuned model);
    - `task`, `split`, `rule` (the decision rule; ``argmax`` is the plain answer), `measure`;
    - `value`, `low`, `high`: the number and the bounds of its interval, shares and their differences from 0 to 1;
      `reason`: why the number or its interval is missing; `runs`: trainings behind the mean.

    What measures, intervals and claims mean is said in docs/reading-the-report.md.
    """

    def __init__(self, path: Path, metrics: ReportMetrics):
        self.path = path
        """The ``report_metrics.json`` that was read; the results folder is the one around it."""
        self.metrics = metrics
        """All records, typed."""

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.metrics.experiment.name

    @cached_property
    def view(self) -> View:
        """Look-ups of records, as the report uses them."""
        return View(self.metrics, read_logs(self.path.parent, [adapter.lineage for adapter in self.metrics.adapters]))

    @cached_property
    def answers(self) -> Answers:
        """Prediction files and splits, as the metrics read them."""
        return Answers(self.path.parent, self.metrics)

    @property
    def lineages(self) -> list[str]:
        """The base model and every adapter."""
        return self.answers.lineages

    @property
    def scores(self) -> pd.DataFrame:
        """Scores of the base model, every adapter and every baseline, by task, split, decision rule and measure.

        `items`: test items behind the score. Adapters that differ in seed and fold alone have a row each, and one
        together on the main split.
        """
        return frames.score_frame(self.view)

    @property
    def arms(self) -> pd.DataFrame:
        """Scores of every arm after each stage, over its runs.

        `learns`: tasks of that stage; `lineage`: the adapter that answers the task then.
        """
        return frames.arm_frame(self.view)

    @property
    def changes(self) -> pd.DataFrame:
        """Differences between two sets of answers to the same items, `lineage` minus `against`.

        `kind`: ``learnt`` is an adapter against the base model or a baseline on a task of its stage; ``forgotten`` a
        later adapter against the one that learnt the task; ``arm`` the same of an arm's last stage over all runs, by
        every rule; ``reference`` an arm's end against its reference arm's; ``published`` test before, validation after,
        which are other items. `lost` and `gained` count items, `p` tests them (McNemar, uncorrected). `paired` has the
        change between any two adapters.
        """
        return frames.change_frame(self.view)

    @property
    def summaries(self) -> pd.DataFrame:
        """Average, backward transfer, forgetting and forward transfer (`statistic`) of every arm.

        ``probe_change`` is the mean change of the tasks that it never learns, if there are such probes.
        """
        return frames.summary_frame(self.view)

    @property
    def probes(self) -> pd.DataFrame:
        """What is scored and never learnt: `kind` is ``value`` or ``change`` (`lineage` minus `against`, same items).

        `scored`: ``task``, ``harness`` or ``text``. Values of probes that are tasks are among the `scores`. Shares run
        from 0 to 1; bits per byte are better if lower. `p` is of these adapters alone and uncorrected; `claims` has
        what is claimed.
        """
        return frames.probe_frame(self.view)

    @property
    def claims(self) -> pd.DataFrame:
        """Claims of the report: `lineage` against `against`, with p-values before and after Holm's correction.

        `verdict`: ``better``, ``worse``, ``not shown`` or ``not claimed``; `detectable`: the difference that would be
        found with 80 % power. A claim without a task is about the mean over all.
        """
        return frames.claim_frame(self.view)

    @property
    def costs(self) -> pd.DataFrame:
        """Cost of every arm as if it were alone, the mean over its runs: trainings, steps, tokens, seconds, bytes."""
        return frames.cost_frame(self.view)

    @property
    def curves(self) -> pd.DataFrame:
        """Training logs: `value` of a `metric` on a `split` after an optimizer `step`; losses in nats per token.

        Raises
        ------
        InputError
            If no training log is at hand, because ``report_metrics.json`` was copied alone.
        """
        logs = frames.curve_frame(self.view)
        if self.metrics.adapters and logs.empty:
            raise InputError(f"{self.path.parent}: no training log is there; load the results folder of the workflow")
        return logs

    def records(self, part: str) -> pd.DataFrame:
        """One part of ``report_metrics.json`` as it stands there, one row per record; nested keys are joined by dots.

        Raises
        ------
        InputError
            If there is no such part.
        """
        parts = {name: value for name, value in self.metrics if isinstance(value, list)}
        if part not in parts:
            raise InputError(f"{self.path}: has no list '{part}'; there are {', '.join(parts)}")
        return pd.json_normalize([record.model_dump(mode="json") for record in parts[part]])

    def paired(self, lineage: str | None = None, against: str = "parent", split: str | None = None) -> pd.DataFrame:
        """Paired changes of every task between an adapter and another, from their predictions.

        Parameters
        ----------
        lineage
            The adapter; every adapter by default.
        against
            Another lineage, ``base``, or ``parent`` for the one that it grew from.
        split
            The main split by default.

        Returns
        -------
        Columns as in `changes`. Intervals are over items alone (training noise is not in them), from the resamples of
        the report; nothing is corrected, so nothing is claimed.

        Raises
        ------
        InputError
            If there is no such lineage, or the predictions are not at hand.
        """
        parents = {adapter.lineage: adapter.parent for adapter in self.metrics.adapters}
        if lineage is not None and lineage not in parents:
            raise InputError(f"there is no adapter '{lineage}' in these results; there are {', '.join(parents)}")
        names = parents if lineage is None else [lineage]
        pairs = [(name, parents[name] if against == "parent" else against) for name in names]
        return paired_frame(self.answers, pairs, split or self.view.main_split)

    def predictions(self, lineage: str = BASE, task: str | None = None, split: str | None = None) -> pd.DataFrame:
        """Answers of the base model or an adapter, item by item.

        Columns: `id`, `label` (gold; of generated texts a checksum of the references), `prediction` (missing for an
        invalid answer), `right` (missing for generated texts), and a natural log-probability for each label
        (``logprob:yes``) or a score for each measure (``score:token_f1``), as the prediction file has them. The first
        task and the main split by default.

        Raises
        ------
        InputError
            If there is no such lineage, task or split, or its file is not at hand.
        """
        task = task or self.view.tasks[0]
        path = self.answers.file(lineage, task, split or self.view.main_split)
        text = pd.read_csv(path, dtype=str, keep_default_na=False)
        columns = {name: text[name] for name in ("id", "label")}
        is_text = self.answers.measures.forms[task].kind == "generation"
        columns["prediction"] = text["prediction"] if is_text else text["prediction"].replace("", None)
        columns["right"] = None if is_text else text["prediction"] == text["label"]
        columns |= {name: pd.to_numeric(text[name]) for name in text if name.startswith(("logprob:", "score:"))}
        return pd.DataFrame(columns)

    def items(self, task: str | None = None, split: str | None = None, lineage: str = BASE) -> pd.DataFrame:
        """Items that a lineage answered: `id`, `label`, the prompt's fields, and `group` where items belong together.

        Raises
        ------
        InputError
            As `predictions`.
        """
        rows = self.answers.items(lineage, task or self.view.tasks[0], split or self.view.main_split)
        return pd.DataFrame([{"id": row["id"], "label": row["label"], **row["fields"], **_group(row)} for row in rows])

    @property
    def figures(self) -> dict[str, str]:
        """Titles of the figures that these results have numbers for, by id."""
        figures = declared_figures().items()
        return {name: figure.title for name, figure in figures if len(figure.data(self.view))}

    def figure(self, id: str) -> ShownFigure:
        """Draw one figure of the report.

        Raises
        ------
        InputError
            If there is no such figure, or no numbers for it.
        """
        figure = declared_figures().get(id)
        data = figure.data(self.view) if figure else ()
        if not len(data):
            why = "there are no numbers for" if figure else "there is no"
            raise InputError(f"{why} figure '{id}' in these results; there are {', '.join(self.figures)}")
        return ShownFigure.of(DrawnFigure(id, figure, data, figure.draw(self.view, data)))

    @property
    def verdict(self) -> list[str]:
        """The report's sentences: the result in one, then what was learnt, then each arm."""
        view = self.view
        several = verdicts.conclusions(view) if view.several_arms else []
        paragraphs = [*verdicts.lead(view), *several]
        texts = [
            f"{paragraph.lead}. {paragraph.text}" if paragraph.lead else paragraph.text for paragraph in paragraphs
        ]
        return [text.replace(sentences.NO_BREAK, " ") for text in (verdicts.headline(view).text, *texts)]

    def __repr__(self) -> str:
        view = self.view
        runs = f", {view.over_runs()}" if view.several_runs else ", one run"
        return (
            f"<results of '{self.name}': {view.experiment.model}, {', '.join(view.ordered_tasks)}; "
            f"arms {', '.join(view.arms)}{runs}>"
        )

    def _repr_html_(self) -> str:
        view, table = self.view, arms.short(self.view)
        warning = sentences.sample_warning(view)
        heads = "".join(f"<th>{escape(column.text)}</th>" for column in table.columns)
        rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in table.rows)
        parts = [
            f"<p><b>{escape(self.name)}</b>: {escape(view.experiment.model)}, {escape(listed(view.ordered_tasks))}</p>",
            f"<p>{escape(warning)}</p>" if warning else "",
            f"<p>{escape(verdicts.headline(view).text)}</p>",
            f"<table><caption>{escape(table.caption)}</caption><tr>{heads}</tr>{rows}</table>" if rows else "",
        ]
        return "".join(parts)


def _html_cell(cell) -> str:
    detail = f" <small>{escape(cell.detail)}</small>" if cell.detail else ""
    return f"<td>{escape(f'{cell.sign} ' if cell.sign else '')}{escape(cell.text)}{detail}</td>"


def _group(row) -> dict:
    return {"group": row["group"]} if "group" in row else {}
