"""Goals of speed and memory on two cores, and what the records say was reached.

A comparison's ratio is that of whole processes; CPU and wall time are both in its own table.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import scoring, study_model, training
from benchmarks.matrix_rate import training_shares

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Goal:
    """A goal, and where its figure is."""

    work: str
    part: str
    goal: str
    read: Callable[[dict, dict[str, dict]], float | None]
    """Figure of a machine's record of the part, given all records of that machine by part."""
    form: str = "{:.1f} ×"
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, figure: float) -> bool:
        """Tell if a figure is within the goal."""
        above = self.at_least is None or figure >= self.at_least
        return above and (self.at_most is None or figure <= self.at_most)


def _ratio(side: str, figure: str) -> Callable[[dict, dict], float | None]:
    return lambda record, others: record["ratios"].get(side, {}).get(figure)


def _training_share(record: dict, others: dict[str, dict]) -> float | None:
    shares = training_shares(others["matrix-rate"], record) if "matrix-rate" in others else {}
    return 100 * shares[training.PRODUCT] if shares else None


GOALS = (
    Goal(
        "default run, installed, idle",
        "default-run",
        "≤ 3 min",
        lambda record, others: record["run"]["wall_seconds"] / 60,
        "{:.1f} min",
        at_most=3,
    ),
    Goal(
        "train the default stage against a plain TRL script, float32, whole process",
        "training",
        "≥ 3 ×",
        _ratio(training.SCRIPT, "wall_seconds"),
        at_least=3,
    ),
    Goal(
        "train in the shape of the real data, all layers, against the same script",
        "training-real",
        "≥ 2.2 ×",
        _ratio(training.SCRIPT, "tokens_per_second"),
        at_least=2.2,
    ),
    Goal(
        "score a labelled set against lm-eval (first tokens), whole process",
        "scoring",
        "≥ 2 ×",
        _ratio(scoring.LM_EVAL, "wall_seconds"),
        at_least=2,
    ),
    Goal(
        "the same against lm-eval with whole answers",
        "scoring",
        "≥ 1.5 ×",
        _ratio(scoring.LM_EVAL_WHOLE, "wall_seconds"),
        at_least=1.5,
    ),
    Goal(
        "share of the measured float32 matrix rate, training steps",
        "training",
        "≥ 50 %",
        _training_share,
        "{:.0f} %",
        at_least=50,
    ),
    Goal(
        "memory of the default training",
        "default-run",
        "≤ 1.8 GB",
        lambda record, others: record["training_peak_mb"] / 1000,
        "{:.1f} GB",
        at_most=1.8,
    ),
)


def rows(records: dict[str, dict[str, dict]]) -> list[list[str]]:
    """Rows of the table: work, goal, and what each machine's record says."""
    lines = [[goal.work, goal.goal, _reached(goal, records)] for goal in GOALS]
    config = study_model.study()
    *_, after = study_model.ways(config)
    hours = study_model.calculate(config, after, study_model.read_lengths("real"))
    study = f"{60 * hours.total:.0f} min, {100 * hours.busy:.0f} % busy, calculated ({after.name})"
    return [*lines, ["three-seed study on one H100", "≤ 45 min, ≥ 40 % busy", study]]


def _reached(goal: Goal, records: dict[str, dict[str, dict]]) -> str:
    texts = []
    for machine, record in records.get(goal.part, {}).items():
        others = {part: of_machine[machine] for part, of_machine in records.items() if machine in of_machine}
        figure = goal.read(record, others)
        if figure is not None:
            missed = "" if goal.reached(figure) else " (missed)"
            texts.append(f"{goal.form.format(figure)}{missed}, {record['machine']['cpu']}")
    return "; ".join(texts) or NOT_MEASURED
