"""Figures of tiny trainings and predictions that change only if the code behaves differently.

python -m tests.helpers.golden_figures     # writes them again; refused while a behaviour version has to be raised
"""

import inspect
import json
import math
import sys
import tempfile
from pathlib import Path

import pandas as pd

from stagewise import predictions, training
from stagewise.models.torch_environment import before_torch
from stagewise.remedies.base import Merge
from stagewise.remedies.registry import builtin_remedies, find_remedy
from tests.helpers import tiny_llama
from tests.helpers.contradicting_tasks import TASKS, AdapterFolder, write_data
from tests.helpers.prediction_step import PredictionStep

FILE = Path(__file__).parents[1] / "unit" / "training" / "golden_figures.json"
COMMAND = "python -m tests.helpers.golden_figures"
TOLERANCE = 1e-3

# Remedies whose default would do little on so small a model and so few items.
SETTINGS = {
    "anchor": {"strength": 1},
    "ewc": {"items": 4, "strength": 1},
    "kl": {"strength": 1},
    "rehearsal": {"share": 0.5},
    "self_replay": {"items": 4, "max_tokens": 4},
}
MORE_SETTINGS = {
    "anchor-factors": ("anchor", {"strength": 1, "of": "factors"}),
    "balanced-weights": ("balanced", {"by": "weights"}),
    "distill-rehearsal": ("distill", {"inputs": "rehearsal", "share": 0.5}),
    "ema-uniform": ("ema", {"average": "uniform"}),
    "merge-dare": ("merge", {"method": "dare_linear_svd", "density": 0.7}),
    "merge-factors": ("merge", {"method": "ties"}),
}
CASES = {name: (name, SETTINGS.get(name, {})) for name in builtin_remedies()} | MORE_SETTINGS


def versions() -> dict[str, int]:
    """Behaviour versions of everything that has golden figures."""
    remedies = {name: find_remedy(name).cls.behaviour for name in builtin_remedies()}
    return {"training": training.TRAINING_BEHAVIOUR, "predictions": predictions.PREDICTION_BEHAVIOUR, **remedies}


def compute(folder: Path, cases=tuple(CASES), model: Path | None = None) -> dict[str, dict]:
    """Compute the figures of plain training, of predictions and of the remedies' `cases`."""
    model = model or tiny_llama.build(folder / "model")
    figures = {"training": train_plainly(folder / "plain", model), "predictions": predict(folder / "scored", model)}
    adapters = AdapterFolder(folder / "plain", model, folder / "plain" / "data")
    for case in cases:
        name, settings = CASES[case]
        if issubclass(find_remedy(name).cls, Merge):
            adapters.merge(case, ["one", "two"], **{name: settings})
        else:
            # The balanced remedy is about rare labels, which only the first task has.
            stage = ("first", "two", ["second"]) if name == "balanced" else ("second", "one", ["first"])
            adapters.train(case, *stage, epochs=1, remedies={name: settings})
        figures[case] = adapter_figures(adapters, case)
    return figures


def train_plainly(folder: Path, model: Path) -> dict:
    """Two stages, and single ones with settings that take other ways through the code."""
    adapters = AdapterFolder(folder, model, write_data(folder / "data", {"yes": 4, "no": 4, "maybe": 2}))
    adapters.train("one", "first", epochs=2)
    adapters.train("two", "second", "one", ["first"], epochs=1)
    adapters.train(
        "both", ["first", "second"], epochs=1, loss_on="text", group_by_length=False, gradient_accumulation=2
    )
    adapters.train("resumed", "second", "one", ["first"], epochs=3, optimizer_state="parent", scheduler="linear")
    names = ("one", "two", "both", "resumed")
    return {f"{name}.{key}": value for name in names for key, value in adapter_figures(adapters, name).items()}


def adapter_figures(adapters: AdapterFolder, name: str) -> dict:
    """Loss curves, and the labels' log-probabilities on both tasks' validation items."""
    log = pd.read_csv(adapters.adapter(name) / "training_log.csv")
    return {
        **{f"{split} loss": list(rows.value) for split, rows in log[log.metric == "loss"].groupby("split")},
        **{f"{task} log-probabilities": adapters.logprobs(name, task, "validation")[0].tolist() for task in TASKS},
    }


def predict(folder: Path, model: Path) -> dict:
    """Both methods of the prediction step, over an adapter."""
    step = PredictionStep(folder, model)
    adapter = tiny_llama.build_adapter(folder / "adapter", model)
    step.run(step.settings(max_length=80), adapter)
    figures: dict = {"content-free": step.receipt()["content_free"]}
    for name in ("trial.test", "post.test"):
        columns = step.table(name)
        figures[name] = columns[[column for column in columns if column.startswith("logprob:")]].to_numpy().tolist()
    step.run(step.settings(method="generation", max_new_tokens=4), adapter)
    return figures | {"texts": list(step.table("trial.test").text)}


def verdict(figures: dict[str, dict], golden: dict) -> str | None:
    """Say what behaves differently under an unchanged version, and the way out; None if nothing does."""
    unchanged = {name for name, version in versions().items() if golden["versions"].get(name) == version}
    for case, values in figures.items():
        owner = CASES[case][0] if case in CASES else case
        # Another training makes every adapter another one.
        needed = {owner} if owner == "predictions" else {owner, "training"}
        if needed <= unchanged and not _close(values, golden["figures"].get(case, values)):
            subject = owner.removesuffix("s") if owner == "predictions" else owner
            way_out = f"raise {_where(owner)} and write the golden figures again with {COMMAND}"
            return f"{subject} behaves differently: {way_out}"
    return None


def _where(owner: str) -> str:
    names = {
        "training": "TRAINING_BEHAVIOUR (stagewise/training/__init__.py)",
        "predictions": "PREDICTION_BEHAVIOUR (stagewise/predictions/__init__.py)",
    }
    if owner in names:
        return names[owner]
    kind = find_remedy(owner)
    return f"{kind.cls.__name__}.behaviour (stagewise/remedies/{Path(inspect.getfile(kind.cls)).name})"


def _close(one, other) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return one == other


def _as_text(values) -> str:
    """Write JSON with one line a figure, and no more digits than are compared."""

    def shortened(value):
        if isinstance(value, dict):
            return {key: shortened(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return list(map(shortened, value))
        return float(f"{value:.6g}") if isinstance(value, float) else value

    parts = []
    for key, group in shortened(values)["figures"].items():
        lines = ",\n   ".join(f"{json.dumps(name)}: {json.dumps(figure)}" for name, figure in group.items())
        parts.append(f"  {json.dumps(key)}: {{\n   {lines}\n  }}")
    body = ",\n".join(parts)
    return f'{{\n "versions": {json.dumps(values["versions"])},\n "figures": {{\n{body}\n }}\n}}\n'


def main() -> int:
    before_torch()
    with tempfile.TemporaryDirectory() as folder:
        figures = compute(Path(folder))
    if FILE.is_file() and (problem := verdict(figures, json.loads(FILE.read_text(encoding="utf-8")))):
        print(f"error: {problem}", file=sys.stderr)
        return 2
    FILE.write_text(_as_text({"versions": versions(), "figures": figures}), encoding="utf-8")
    print(f"wrote {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
