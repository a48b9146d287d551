"""Points at which runs are killed: every step and every kind of file that it writes, drawn by a seed."""

import random
from dataclasses import dataclass, field, replace

FIRST = "out/base/seed-0/colours"
SECOND = f"{FIRST}/warmth"
BLEND = f"{SECOND}/merged-blend-0.5"

FINAL = [
    "out/report_metrics.json",
    "out/metrics.json",
    "out/report.html",
    "out/report.md",
    "out/items.html",
    "out/figures",
]
STEPS = {
    "fetch_model": ["models/tiny", f"{FIRST}/predictions", "out/checkpoints/predictions"],
    "make_splits": ["out/data"],
    "write_recipe": [f"{SECOND}/recipe.json"],
    "train_adapter": [f"{FIRST}/adapter"],
    "merge_adapters": [f"{BLEND}/adapter"],
    "predict": [f"{FIRST}/predictions", "out/checkpoints/predictions"],
    "metrics": [],
    "report": [],
}
"""Outputs that are missing when a run starts that is to be killed in a step, beside `FINAL`, which need all others."""


@dataclass(frozen=True)
class KillPoint:
    """One point; `tests/kill/inject/sitecustomize.py` says what its fields mean."""

    name: str
    step: str
    event: str
    path: str = ""
    counts: tuple[int, ...] = (1,)
    victims: tuple[str, ...] = ("step", "snakemake", "group")
    process: str = ""
    tool: str = "snakemake"
    """``dvc``: the command is ``dvc repro``."""
    linger: float = 0
    removed: tuple[str, ...] = ()
    """Files and folders that are missing as well when the run starts."""
    lost: tuple[str, ...] = ()
    """Files that are cut after the kill, as a machine leaves them that loses power before it has synced them."""
    count: int = field(default=1)
    victim: str = field(default="step")

    @property
    def where(self) -> str:
        """Regular expression of the process's command line."""
        return self.process or rf"-m scripts\.{self.step} "

    def __str__(self) -> str:
        number = f", {self.count}." if len(self.counts) > 1 else ""
        return f"{self.name}{number}: kill {self.victim}"


SNAKEMAKE = r"/snakemake "


def step_points() -> list[KillPoint]:
    """Start and publishing of every step."""
    published = {
        "fetch_model": "models/tiny/receipt.json$",
        "make_splits": r"out/data/\w+/\w+.jsonl$|summary.json$",
        "write_recipe": "recipe.json$",
        "merge_adapters": "/adapter$",
        "predict": "/predictions$",
        "metrics": "metrics.json$",
        "report": "report.html$|report.md$|items.html$|/figures$",
    }
    points = []
    for step, path in published.items():
        last = {"make_splits": 7, "metrics": 2, "report": 4}.get(step, 1)
        points += [
            KillPoint(f"{step} starts", step, "read", rf"scripts/{step}\.py$"),
            KillPoint(f"{step} publishes", step, "os.rename", path, tuple(range(1, last + 1))),
        ]
    kept = KillPoint("predict keeps a file", "predict", "os.rename", r"checkpoints/predictions/[0-9a-f]{32}$", (1, 2))
    return [*points, kept]


def training_points() -> list[KillPoint]:
    """Training: in either epoch, while it evaluates, at each file of a checkpoint, and at its publishing."""
    step = "train_adapter"
    points = [
        KillPoint("mid-epoch 1", step, "backward", counts=(2,)),
        KillPoint("mid-epoch 2", step, "backward", counts=(5, 6)),
        KillPoint("evaluation", step, "evaluate", counts=(1, 2, 3)),
        KillPoint("adapter published in the cache", step, "os.rename", r"checkpoints/.*/adapter$"),
        KillPoint("adapter published in the results", step, "os.rename", rf"{FIRST}/adapter$"),
    ]
    tensors = ("adapter_model.safetensors", "hook_state.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")
    for name in tensors:
        points.append(KillPoint(f"checkpoint: {name}", step, "save|saved", f"{name}$", counts=(2, 3, 4)))
    for name in ("trainer_state.json", "validation_answers.json", "trained_tokens", "log_sums.json", "receipt.json"):
        points.append(KillPoint(f"checkpoint: {name}", step, "open|os.rename", f"checkpoint.*/{name}$", counts=(1, 2)))
    points.append(KillPoint("checkpoint: its folder", step, "os.rename", r"/checkpoint-\d+$", counts=(1, 2, 3)))
    return points


def planning_points() -> list[KillPoint]:
    """Snakemake itself: while it plans, and between its jobs."""
    mine = {"process": SNAKEMAKE, "victims": ("step", "group")}
    return [
        KillPoint(
            "planning: settings of a step", "predict", "os.rename", "stagewise-settings/", (1, 3), **mine,
            removed=(".snakemake/stagewise-settings",),
        ),
        KillPoint("planning: checksums", "predict", "os.rename", "stagewise-checksums.json$", **mine),
        KillPoint("planning: a file's time", "predict", "os.utime", "out/", (1, 2), **mine),
        KillPoint("claim of the run", "predict", "os.rename", "stagewise-runs/", (1, 2), **mine),
        KillPoint("a job is marked", "predict", "open", r"\.snakemake/incomplete/", (1, 3), **mine),
        KillPoint("a job is recorded", "predict", "open", r"\.snakemake/metadata/", (1, 2), **mine),
    ]  # fmt: skip


def power_points() -> list[KillPoint]:
    """Power lost: everything is killed, and what was written last is cut."""
    everybody = {"victims": ("group",)}
    return [
        KillPoint(
            "power lost after training", "train_adapter", "os.rename", rf"{FIRST}/adapter$", **everybody,
            lost=(f"{FIRST}/adapter/*", "out/checkpoints/*/*/adapter/*"),
        ),
        KillPoint(
            "power lost after scoring", "predict", "read", "scripts/report", **everybody, process="scripts.report",
            lost=(f"{FIRST}/predictions/*", "out/report_metrics.json", ".snakemake/stagewise-*.json",
                  ".snakemake/stagewise-runs/*", ".snakemake/metadata/*", ".snakemake/stagewise-settings/*"),
        ),
    ]  # fmt: skip


def dvc_points() -> list[KillPoint]:
    """Under ``dvc repro``."""
    training = {"tool": "dvc", "step": "train_adapter", "event": "backward", "counts": (2, 5)}
    return [
        KillPoint("under DVC: training", **training, victims=("dvc",), linger=3),
        KillPoint("under DVC: training", **training, victims=("snakemake", "group"), linger=3),
        KillPoint(
            "under DVC: its lock file", "predict", "open", r"/dvc\.lock$", tool="dvc", process=r"/dvc repro",
            victims=("step",),
        ),
    ]  # fmt: skip


def all_points() -> list[KillPoint]:
    return [*training_points(), *planning_points(), *power_points(), *dvc_points(), *step_points()]


def draw(seed: int) -> list[KillPoint]:
    """Draw count and victim of every point; several victims of one kind of point come with several points."""
    generator = random.Random(seed)
    points = [
        replace(point, count=generator.choice(point.counts), victim=generator.choice(point.victims))
        for point in all_points()
    ]
    # A step whose Snakemake is killed goes on; it is still at work when the command is given again.
    return [replace(point, linger=4) if point.victim == "snakemake" else point for point in points]
