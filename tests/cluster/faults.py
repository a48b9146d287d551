"""Inflict on a running training the accidents of a cluster."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stagewise.provenance.files import read_json
from tests.cluster.slurm import GPUS, Cluster, until

TOKENS = "trained_tokens"  # stagewise.training.checkpoints.TRAINED_TOKENS
# Seconds until a training has started, after imports and perhaps a wait in the queue, on a busy machine.
PATIENCE = 600


@dataclass
class Training:
    """Training of an adapter in a project that runs on the cluster."""

    cluster: Cluster
    workspace: Path
    lineage: str
    say: Callable[[str], None]

    def jobs(self) -> list[dict]:
        """List the jobs that train and, if that is wanted, predict, the newest last; each retry is a job."""
        group = f"rule_adapter_{self.lineage.replace('/', '_')}"
        return self.cluster.jobs(f"{group}_train_adapter", f"{group}_predict_train_adapter")

    def preempted(self) -> int:
        """Preempt it: a job of a partition with a higher priority takes all GPUs, and Slurm queues it again."""
        step, _ = self.frozen_after_checkpoint()
        self.say(f"{self.lineage}: preempted after step {step}")
        self.cluster.ask("sbatch", "-p", "urgent", f"--gpus={GPUS}", "-o", "/dev/null", "--wrap", "sleep 1")
        until(lambda: self.jobs()[-1]["Restarts"] == "1", 60, f"{self.lineage} is queued again")
        return step

    def timed_out(self) -> int:
        """Let it hang until a time limit of one minute is over."""
        step, _ = self.frozen_after_checkpoint()
        self.say(f"{self.lineage}: hangs after step {step}, and its time limit is a minute")
        self.cluster.ask("scontrol", "update", f"JobId={self.jobs()[-1]['JobId']}", "TimeLimit=1")
        return step

    def killed_then_cancelled(self) -> int:
        """Kill the first attempt with signal 9, as the kernel does when memory is short, and cancel the second."""
        step, process = self.frozen_after_checkpoint()
        self.say(f"{self.lineage}: killed with signal 9 after step {step}")
        os.kill(process, signal.SIGKILL)
        until(lambda: self.process() is None, 30, "the killed process is gone")
        step, _ = self.frozen_after_checkpoint(step)
        self.say(f"{self.lineage}: second attempt cancelled after step {step}")
        self.cluster.ask("scancel", self.jobs()[-1]["JobId"])
        return step

    def frozen_after_checkpoint(self, after: int = 0) -> tuple[int, int]:
        """Stop the process once it has a checkpoint after step `after`; return step and process.

        A hanging file system stops a process likewise, and whatever the test does next cannot come too late.
        """
        process = until(self.process, PATIENCE, f"{self.lineage} trains", every=0.05)
        until(lambda: self.newest() > after, PATIENCE, f"{self.lineage} has a checkpoint", every=0.01)
        os.kill(process, signal.SIGSTOP)
        status = Path(f"/proc/{process}/status")
        until(lambda: "State:\tT" in status.read_text(), 10, f"{self.lineage} is stopped", every=0.01)
        return self.newest(), process

    def process(self) -> int | None:
        """Find the process that trains; None without one."""
        folder = f"out/{self.lineage}/adapter"
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                here = (entry / "cwd").resolve() == self.workspace.resolve()
            except OSError:
                continue
            if here and words[1:3] == ["-m", "scripts.train_adapter"] and folder in words:
                return int(entry.name)
        return None

    def newest(self) -> int:
        """Step of the newest complete checkpoint, 0 without one."""
        recipe = read_json(self.workspace / "out" / self.lineage / "recipe.json", "the recipe")
        cache = self.workspace / "out" / "checkpoints" / recipe["fingerprint"][:16]
        written = [path for path in cache.glob(f"*/checkpoint-*/{TOKENS}") if path.stat().st_size]
        return max((int(path.parent.name.split("-")[1]) for path in written), default=0)
