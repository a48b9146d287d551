"""Records of ``report_metrics.json`` in long form: one row per number, with its interval.

Every function returns a new DataFrame. Shares, their differences and probabilities run from 0 to 1, losses are in nats;
`value` is missing where `reason` says why, `low` and `high` bound its interval. A mean over several runs stands in one
row whose `lineage` has ``*`` for the seed and fold, ``base/seed-*/pubmedqa``, and no `seed` or `fold` of its own.
"""

import re
from collections.abc import Iterable, Iterator

import pandas as pd

from stagewise.metrics.schema import RULES, Cost, Value, Values
from stagewise.report.lookup import View

TEXT, NUMBER, COUNT = "object", "float64", "Int64"

VALUE = {"value": NUMBER, "low": NUMBER, "high": NUMBER, "reason": TEXT}
SCORE = {"rule": TEXT, "measure": TEXT, "runs": COUNT, **VALUE}
RUN = {"seed": COUNT, "fold": COUNT}
CHANGE = {"kind": TEXT, "arms": TEXT, "lineage": TEXT, "against": TEXT, **RUN, "task": TEXT, "split": TEXT}
CHANGE |= SCORE | {"lost": COUNT, "gained": COUNT, "p": NUMBER}


def make_frame(columns: dict[str, str], rows: Iterable[dict]) -> pd.DataFrame:
    """Build a frame of these columns and types; what a row does not have is missing."""
    rows = list(rows)
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in columns.items()}
    )


def value_cells(value: Value) -> dict:
    """The cells of a number with its interval."""
    return {"value": value.value, "low": value.low, "high": value.high, "reason": value.reason, "runs": value.runs or 1}


def measure_rows(measures: Values, **keys) -> Iterator[dict]:
    """One row for each measure."""
    for name, value in measures.items():
        yield {**keys, "measure": name, **value_cells(value)}


def lineage_pattern(lineages: list[str]) -> str:
    """One name for the same adapter of several runs: ``base/seed-*/pubmedqa``; different adapters stand one by one."""
    names = list(dict.fromkeys(lineages))
    for level in ("seed", "fold"):
        pattern = re.compile(rf"/{level}-\d+(?=/)")
        if len({part for name in names for part in pattern.findall(name)}) > 1:
            names = list(dict.fromkeys(pattern.sub(f"/{level}-*", name) for name in names))
    return ", ".join(names)


def score_frame(view: View) -> pd.DataFrame:
    """Scores of the base models, every adapter and every baseline."""
    columns = {"lineage": TEXT, "arms": TEXT, "stage": COUNT, **RUN, "task": TEXT, "split": TEXT, "items": COUNT}

    def rows() -> Iterator[dict]:
        for score in view.metrics.scores:
            first = score.lineages[0]
            answers = view.predictions(first, score.task, score.split)
            keys = {"lineage": lineage_pattern(score.lineages), **_adapter_cells(view, first, len(score.lineages) == 1)}
            keys |= {"task": score.task, "split": score.split, "items": answers and answers.items, "rule": score.rule}
            yield from measure_rows(score.measures, **keys)

    return make_frame(columns | SCORE, rows())


def _adapter_cells(view: View, lineage: str, one_run: bool) -> dict:
    adapter = view.adapters.get(lineage)
    if adapter is None:
        return {"stage": 0} if lineage in view.untuned else {}
    run = {"seed": adapter.seed, "fold": adapter.fold} if one_run else {}
    return {"arms": ", ".join(adapter.arms), "stage": adapter.stage, **run}


def arm_frame(view: View) -> pd.DataFrame:
    """Scores of every arm after every stage, over its runs."""
    columns = {"arm": TEXT, "stage": COUNT, "learns": TEXT, "task": TEXT, "split": TEXT, "lineage": TEXT}

    def rows() -> Iterator[dict]:
        for arm in view.arms:
            for number, step in enumerate(view.steps(arm)):
                for task in step.answers:
                    lineages = view.answered_by(arm, task, number)
                    keys = {"arm": arm, "stage": step.stage, "learns": ", ".join(step.tasks), "task": task}
                    yield from _scores_of(view, lineages, task, keys)

    return make_frame(columns | SCORE, rows())


def _scores_of(view: View, lineages: list[str], task: str, keys: dict) -> Iterator[dict]:
    """Rows of one task's scores on every split by every rule, over the runs where there is such a score."""
    names = list(dict.fromkeys(lineages))
    for split in view.splits:
        for rule in RULES:
            if score := view.score(names, task, split, rule):
                more = {"split": split, "lineage": lineage_pattern(names), "rule": rule}
                yield from measure_rows(score.measures, **keys, **more)


def change_frame(view: View) -> pd.DataFrame:
    """Differences between two sets of answers."""
    rows = [*_learning_rows(view), *_forgetting_rows(view), *_arm_change_rows(view), *_reference_rows(view)]
    return make_frame(CHANGE, rows)


def _learning_rows(view: View) -> Iterator[dict]:
    for record in view.metrics.learning:
        keys = {"kind": "learnt", "lineage": record.lineage, "against": record.against, "rule": "argmax"}
        keys |= _adapter_cells(view, record.lineage, one_run=True)
        yield from measure_rows(
            record.changes, **keys, task=record.task, split=record.split, **pair_cells(record.pairs)
        )


def _forgetting_rows(view: View) -> Iterator[dict]:
    kinds = {"paired": "forgotten", "published": "published"}
    for record in view.metrics.forgetting:
        keys = {"kind": kinds[record.comparison], "arms": record.arm, "seed": record.seed, "fold": record.fold}
        keys |= {"lineage": record.after_lineage, "against": record.before_lineage, "rule": "argmax"}
        keys |= {"task": record.task, "split": record.after_split, **pair_cells(record.pairs)}
        yield from measure_rows(record.changes, **keys)


def _arm_change_rows(view: View) -> Iterator[dict]:
    for record in view.metrics.arm_tasks:
        if record.earlier:
            ends = (
                view.answered_by(record.arm, record.task),
                view.answered_by(record.arm, record.task, record.learnt_stage),
            )
            after, before = map(lineage_pattern, ends)
            keys = {"kind": "arm", "arms": record.arm, "lineage": after, "against": before, "rule": record.rule}
            yield from measure_rows(record.change, **keys, task=record.task, split=record.split)


def _reference_rows(view: View) -> Iterator[dict]:
    for record in view.metrics.arm_comparisons:
        keys = {"kind": "reference", "arms": record.arm, "against": record.against, "rule": record.rule}
        if record.task:
            keys["lineage"] = lineage_pattern(view.answered_by(record.arm, record.task))
        values = {name: measure.difference for name, measure in record.measures.items()}
        yield from measure_rows(values, **keys, task=record.task, split=record.split)


def pair_cells(pairs) -> dict:
    """The cells of items counted by whether both answers were right; none without pairs."""
    return {"lost": pairs.lost, "gained": pairs.gained, "p": pairs.p} if pairs else {}


def summary_frame(view: View) -> pd.DataFrame:
    """Average, backward transfer, forgetting, forward transfer and change of probes of every arm."""
    statistics = ("average", "backward_transfer", "forgetting", "forward_transfer", "probe_change")
    rows = (
        row
        for record in view.metrics.arm_summaries
        for statistic in statistics
        for row in measure_rows(
            getattr(record, statistic) or {}, arm=record.arm, split=record.split, rule=record.rule, statistic=statistic
        )
    )
    return make_frame({"arm": TEXT, "statistic": TEXT, "split": TEXT} | SCORE, rows)


def probe_frame(view: View) -> pd.DataFrame:
    """Changes of probes since the untuned model and since the stage before, and values of those scored by item."""
    columns = {"kind": TEXT, "probe": TEXT, "scored": TEXT, "measure": TEXT, "arms": TEXT, "stage": COUNT}
    columns |= {"lineage": TEXT, "against": TEXT, "items": COUNT, "runs": COUNT, **VALUE, "p": NUMBER}

    def rows() -> Iterator[dict]:
        for score in view.metrics.probe_scores:
            first = _adapter_cells(view, score.lineages[0], one_run=False)
            yield {"kind": "value", **_probe_cells(view, score.probe), **first} | {
                "lineage": lineage_pattern(score.lineages),
                **value_cells(score.value),
            }
        for record in view.metrics.probe_changes:
            yield {"kind": "change", **_probe_cells(view, record.probe), "arms": ", ".join(record.arms)} | {
                "stage": record.stage,
                "lineage": lineage_pattern(record.lineages),
                "against": lineage_pattern(record.against_lineages),
                **value_cells(record.change),
                "p": record.p,
            }

    return make_frame(columns, rows())


def _probe_cells(view: View, probe: str) -> dict:
    record = view.probes.records[probe]
    return {"probe": probe, "scored": record.kind, "measure": record.measure, "items": record.items}


def claim_frame(view: View) -> pd.DataFrame:
    """Claims of the report, one family with one correction."""
    columns = {"kind": TEXT, "arms": TEXT, "task": TEXT, "split": TEXT, "measure": TEXT, "lineage": TEXT}
    columns |= {"against": TEXT, "runs": COUNT, **VALUE, "test": TEXT, "p": NUMBER, "p_corrected": NUMBER}
    columns |= {"detectable": NUMBER, "verdict": TEXT}

    def rows() -> Iterator[dict]:
        for claim in view.metrics.claims:
            cells = {name: getattr(claim, name) for name in columns if hasattr(claim, name)}
            cells |= {"arms": ", ".join(claim.arms), "lineage": lineage_pattern(claim.lineages)}
            yield cells | value_cells(claim.difference) | {"reason": claim.reason or claim.difference.reason}

    return make_frame(columns, rows())


def cost_frame(view: View) -> pd.DataFrame:
    """Cost of every arm as if it were alone, mean over its runs."""
    rows = [record.model_dump(mode="json") for record in view.metrics.costs]
    return pd.DataFrame(rows, columns=list(Cost.model_fields))


def curve_frame(view: View) -> pd.DataFrame:
    """Training logs of every adapter that has one."""
    columns = {"lineage": TEXT, "arms": TEXT, "stage": COUNT, **RUN, "split": TEXT, "metric": TEXT, "step": COUNT}
    rows = (
        {**_adapter_cells(view, lineage, True), "lineage": lineage, "split": split, "metric": metric}
        | {"step": step, "value": value}
        for lineage, log in view.logs.items()
        for (split, metric), points in log.series.items()
        for step, value in points
    )
    return make_frame(columns | {"value": NUMBER}, rows)
