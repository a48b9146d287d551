"""Made-up experiments for the tests of the report, and a reader of the page's tables."""

import csv
import functools
import json
import math
import tempfile
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from stagewise.config.yaml_files import merge, read_yaml
from stagewise.lineage import Adapter, lineage_tree
from stagewise.metrics.build import build_metrics, format_metrics
from stagewise.metrics.read_results import read_results
from stagewise.metrics.schema import ReportMetrics
from stagewise.report import html
from stagewise.report.curves import read_logs
from stagewise.report.lookup import View
from tests.helpers import fake_results as made
from tests.helpers import kinds_of_tasks
from tests.helpers.project_copy import ROOT
from tests.helpers.records import find

SIZES = {"train": 60, "validation": 40, "test": 120}
FAST = {"statistics": {"bootstrap_samples": 200}}
FIRST_STAGE, SECOND_STAGE = {"task": "pubmedqa"}, {"task": "dreaddit"}
# Twelve arms and three seeds, the size of a study.
STUDY = {
    "seeds": [0, 1, 2],
    "arms": made.ARMS
    | {
        f"rehearsal-{share}": {
            "stages": [FIRST_STAGE, SECOND_STAGE | {"remedies": {"rehearsal": {"share": share / 100}}}]
        }
        for share in (1, 5, 25)
    }
    | {
        f"blend-{alpha}": {"stages": [FIRST_STAGE, SECOND_STAGE | {"remedies": {"blend": {"alpha": alpha}}}]}
        for alpha in (0.3, 0.7)
    }
    | {name: {"stages": [FIRST_STAGE, SECOND_STAGE | {"name": name}]} for name in ("anchor", "distill")},
}
# Three arms, two seeds, three stages; two arms share their first stage, one stage has settings of its own.
MANY = {
    "seeds": [0, 1],
    "arms": {
        "sequential": {
            "stages": [{"task": "pubmedqa"}, {"task": "dreaddit"}, {"task": "pubmedqa", "name": "pubmedqa-again"}]
        },
        "gentle": {
            "stages": [
                {"task": "pubmedqa"},
                {"task": "dreaddit", "name": "dreaddit-slow", "training": {"learning_rate": 1e-5}},
            ]
        },
        "reverse": {"stages": [{"task": "dreaddit"}, {"task": "pubmedqa"}]},
    },
}


def classification_task(labels: list[str]) -> dict:
    """Settings of a task like dreaddit with labels of its own."""
    task = read_yaml(ROOT / "config.yaml")["tasks"]["dreaddit"]
    return task | {"labels": [{"value": str(n), "word": word} for n, word in enumerate(labels)]}


# Twenty arms and two seeds.
TWENTY = {
    "seeds": [0, 1],
    "arms": {"sequential": made.ARMS["sequential"]}
    | {
        f"rehearsal-{share:02d}": {
            "stages": [FIRST_STAGE, SECOND_STAGE | {"remedies": {"rehearsal": {"share": share / 100}}}]
        }
        for share in range(1, 20)
    },
}
# A second task of 77 labels.
LABELS = {
    "tasks": {"banking": classification_task([f"request of kind {n:02d}" for n in range(77)])},
    "arms": {
        "sequential": {"stages": [FIRST_STAGE, {"task": "banking"}]},
        "reverse": {"stages": [{"task": "banking"}, FIRST_STAGE]},
    },
}
# Five tasks learnt in three orders.
FIVE_TASKS = ["pubmedqa", "dreaddit", "topics", "intents", "tone"]
ORDERS = {
    "tasks": {
        "topics": classification_task(["world", "sports", "business", "science"]),
        "intents": classification_task([f"intent {n}" for n in range(1, 7)]),
        "tone": classification_task(["friendly", "neutral", "angry"]),
    },
    "arms": {"sequential": None}
    | {
        f"order-{number}": {"stages": [{"task": task} for task in FIVE_TASKS[turn:] + FIVE_TASKS[:turn]]}
        for number, turn in enumerate((0, 2, 4), start=1)
    },
}
# Sweeps in two orders of tasks, each with its own reference, and two seeds.
SWEPT = {
    "seeds": [0, 1],
    "orders": made.ORDERS,
    "arms": made.SWEPT,
    "statistics": {"primary_outcome": "average"},
}

# A task, a harness task and a text that no stage learns; one arm does not learn a task that others do.
PROBES = {
    "tasks": {"topics": classification_task(["world", "sports", "business"])},
    "arms": {
        "sequential": made.ARMS["sequential"],
        "isolated": made.ARMS["isolated"],
        "rehearsal-10": made.ARMS["rehearsal-10"],
        "second": {"stages": [SECOND_STAGE]},
    },
    "probes": {"tasks": ["topics", "pubmedqa"], "harness": ["arc_easy"], "texts": {"prose": "prose.txt"}},
}

# One task, as `scripts.init` writes it, and two tasks learnt together: nothing that a later stage could forget.
ONE_TASK = {"arms": {"sequential": None, "mine": {"stages": [SECOND_STAGE]}}, "published": None}
TOGETHER = {
    "seeds": [0, 1],
    "arms": {"sequential": None}
    | {name: {"stages": [{"task": ["pubmedqa", "dreaddit"], "name": name}]} for name in ("mixed", "slow")},
    "published": None,
}

# A task of every kind, one of them a probe, with four measures of their own; a lower rank error is better.
KINDS_STAGES = [{"task": "grades"}, {"task": "notes"}, {"task": "topics"}, FIRST_STAGE]
KINDS = {
    "tasks": kinds_of_tasks.TASKS | {"grades": kinds_of_tasks.GRADES | {"measure": "rank_error"}},
    "arms": {
        "sequential": {"stages": KINDS_STAGES},
        "rehearsal": {"stages": [*KINDS_STAGES[:3], FIRST_STAGE | {"remedies": {"rehearsal": {"share": 0.1}}}]},
    },
    "probes": {"tasks": ["quiz"]},
    "published": None,
    "statistics": {"forgetting": "paired"},
}

BASE, FIRST, SECOND = "base", "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"
SECTIONS = (
    "result run data arms forgetting before-after items rules observations curves calibration confusion published "
    "training provenance"
).split()
_scratch = tempfile.TemporaryDirectory(prefix="report-")


@functools.cache
def experiment(name: str) -> Path:
    """Results of a made-up experiment, written once for all tests; read only.

    ``small`` has one arm, ``arms`` one of every kind and two seeds, ``many`` three with up to three stages, ``study``
    twelve and three seeds, ``twenty`` twenty and two seeds; ``labels`` has a task of 77 labels and two arms of opposite
    orders, ``orders`` five tasks in three orders; ``swept`` has three arms in both orders of two tasks, two of them
    with sweeps, and claims about the mean over tasks; ``probes`` and ``probed`` have four probes and four arms, one and
    two seeds; ``kinds`` has a task of every kind and two arms.
    """
    overlays = {"small": {}, "many": MANY, "arms": {"arms": made.ARMS, "seeds": [0, 1]}, "study": STUDY}
    overlays |= {"twenty": TWENTY, "labels": LABELS, "orders": ORDERS, "swept": SWEPT}
    overlays |= {"one": ONE_TASK, "together": TOGETHER}
    overlays |= {"kinds": KINDS, "probes": PROBES, "probed": PROBES | {"seeds": [0, 1]}}
    return write(Path(_scratch.name) / name, **overlays[name])


def metrics(name: str) -> dict:
    """Its report_metrics.json as plain data, to change at will."""
    return json.loads((experiment(name) / "report_metrics.json").read_text())


def view(values: dict, results: Path | None = None) -> View:
    """What the report is made from; without `results` there are no training logs."""
    valid = ReportMetrics.model_validate(values)
    return View(valid, read_logs(results, [a.lineage for a in valid.adapters]) if results else {})


def render(values: dict, results: Path | None = None) -> str:
    """The page."""
    return html.render(view(values, results))


def without_folds(page: str) -> str:
    """The page's HTML without what is folded away."""
    while "<details" in page:  # the innermost first
        head, _, rest = page.rpartition("<details")
        page = head + rest.partition("</details>")[2]
    return page


def arguments(metrics_file: Path, results: Path, out: Path) -> list[str]:
    """Command line of the step that writes ``r.html``, ``r.md``, ``figures`` and ``items.html`` below `out`."""
    files = {"metrics": metrics_file, "results": results, "html": out / "r.html", "markdown": out / "r.md"}
    files |= {"figures": out / "figures", "items": out / "items.html"}
    return [word for key, file in files.items() for word in (f"--{key}", str(file))]


def score(metrics: dict, lineages, task: str, split: str = "test", rule: str = "argmax") -> dict:
    """The score of one lineage, or of several over their runs."""
    lineages = [lineages] if isinstance(lineages, str) else list(dict.fromkeys(lineages))
    return find(metrics["scores"], lineages=lineages, task=task, split=split, rule=rule)


def arm_score(metrics: dict, arm: str, task: str, rule: str = "argmax", stage: int | None = None) -> dict:
    """Measures of an arm's last stage, or of another, over its runs on the test split."""
    steps = [step for step in metrics["arms"] if step["arm"] == arm]
    last = max(step["stage"] for step in steps) if stage is None else stage
    lineages = [step["answers"][task] for step in steps if step["stage"] == last]
    return score(metrics, lineages, task, rule=rule)["measures"]


def signed(value: float) -> str:
    """A difference as the report writes it."""
    text = f"{100 * value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def claim(metrics: dict, kind: str, task: str, arm: str = "sequential", against: str | None = None) -> dict:
    """The claim of this kind about an arm's adapters on a task, to change at will."""
    (found,) = [
        c
        for c in metrics["claims"]
        if (c["kind"], c["task"]) == (kind, task) and arm in c["arms"] and against in (None, c["against"])
    ]
    return found


def shows(claim: dict, verdict: str, low: float | None, value: float, high: float | None, **more) -> None:
    """Let a claim show something, with its interval."""
    claim["difference"] = {"value": value, "low": low, "high": high, "reason": None if low is not None else "one item"}
    claim |= {"verdict": verdict, "p": 0.001, "p_corrected": 0.01} | more


def estimate(value: dict, write=lambda v: f"{100 * v:.1f}") -> str:
    """A number with its interval as the report writes it; reasons of what is missing are letters."""
    if "value" not in value:
        return "–"
    bounds = f" [{write(value['low'])}, {write(value['high'])}]" if "low" in value else ""
    return f"{write(value['value'])}{bounds}"


def plain(value: float) -> str:
    """A value that is no share as the report writes it."""
    return f"{value:.3f}".replace("-", "−")


def write(results: Path, **overlay) -> Path:
    """Write a made-up experiment with its training logs and its report_metrics.json below `results`."""
    settings = made.config(**merge(FAST, overlay))
    made.write_results(results, settings, sizes=SIZES)
    for lineage, adapter in lineage_tree(settings).items():
        write_log(results / lineage / "adapter" / "training_log.csv", adapter)
    metrics = build_metrics(read_results(settings, results))
    (results / "report_metrics.json").write_text(format_metrics(metrics), encoding="utf-8")
    return results


def write_log(path: Path, adapter: Adapter) -> None:
    """Write a training log of 40 steps with an evaluation every 10; validation loss is lowest at step 30.

    Earlier tasks fall step by step, by seed; an adapter that is made of others has the header alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["step", "epoch", "split", "metric", "value"])
        for step in range(0, 41, 5) if adapter.training else ():
            if step:
                writer.writerow([step, step / 20, "train", "loss", 2 * math.exp(-step / 14) + 0.4])
            if step % 10 == 0:
                writer.writerow([step, step / 20, "validation", "loss", 0.5 + abs(step - 30) / 50])
                writer.writerow([step, step / 20, "validation", "accuracy", 0.5 + step / 100])
                writer.writerow([step, step / 20, "validation", "macro_f1", 0.3 + step / 100])
                for task in adapter.earlier:
                    fallen = 0.7 - step / 100 - adapter.seed / 20
                    writer.writerow([step, step / 20, "validation", f"accuracy:{task}", fallen])
                    writer.writerow([step, step / 20, "validation", f"macro_f1:{task}", fallen - 0.1])


@dataclass
class ReadTable:
    """One table of the page: rows of cell texts, and the headings of its parts."""

    caption: str = ""
    head: list[list[str]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def row(self, *starts: str) -> list[str]:
        """The only row whose first cells are these."""
        (found,) = [row for row in self.rows if row[: len(starts)] == list(starts)]
        return found


class Page(HTMLParser):
    """What the tests ask of a page: its tables by id, its elements, and its text outside style and script."""

    def __init__(self, text: str):
        super().__init__()
        self.tables: dict[str, ReadTable] = {}
        self.elements: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self._table = self._row = self._cell = None
        self._part = False
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.elements.append((tag, values))
        if tag in ("style", "script", "thead", "caption"):
            self._inside.append(tag)
        if tag == "table":
            self._table = self.tables.setdefault(values["id"].removeprefix("table-"), ReadTable())
        elif tag == "tr":
            self._part, self._row = values.get("class") == "part", []
        elif tag in ("td", "th") and self._row is not None:
            self._cell = []

    def handle_endtag(self, tag):
        if tag in self._inside:
            self._inside.remove(tag)
        if tag == "table":
            self._table = None
        elif tag in ("td", "th") and self._cell is not None:
            self._row.append(" ".join("".join(self._cell).split()))
            self._cell = None
        elif tag == "tr" and self._row is not None and self._table is not None:
            if self._part:
                self._table.parts += self._row
            else:
                (self._table.head if "thead" in self._inside else self._table.rows).append(self._row)
            self._row = None

    def handle_data(self, data):
        if {"style", "script"} & set(self._inside):
            return
        self.texts.append(data)
        if "caption" in self._inside and self._table is not None:
            self._table.caption += data
        if self._cell is not None:
            self._cell.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[dict]:
        """Attributes of every element of a kind."""
        return [values for name, values in self.elements if name == tag]
