"""Run a Slurm cluster of one pretended node on loopback, with character devices as GPUs and more CPUs than there are.

It needs root, because slurmd starts jobs as their owners, and /etc/slurm, because Snakemake's executor drops SLURM_CONF
from its jobs' environment. The former content of /etc/slurm is restored at the end.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ETC = Path("/etc/slurm")
SAVED = Path("/etc/slurm.saved-by-stagewise-test")
PROGRAMS = {"munged": "munge", "slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "sbatch": "slurm-wlm"}
# Both second stages and the first one's prediction run at once.
GPUS = 3
CONFIG = """\
ClusterName=stagewise
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
CommunicationParameters=NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# cred_expire: seconds before a job that was queued again starts, 120 by default.
AuthInfo=socket={folder}/munge.sock,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# Of the trackers that need no cgroups, this one finds children whose parent is gone.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
# Finished jobs are remembered for an hour, so that the tests can read them.
MinJobAge=3600
KillWait=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# The node has the size that the profile asks for.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=256000 Gres=gpu:pretended:{gpus} State=UNKNOWN
PartitionName=batch Nodes={host} Default=YES PriorityTier=1
PartitionName=urgent Nodes={host} PriorityTier=10
"""


def install() -> None:
    """Install Debian's Slurm and munge if they are missing. Without systemd, neither package starts anything."""
    packages = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if not packages:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def processes(*names: str) -> set[int]:
    """Find the ids of processes by program name."""
    ids = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name = (entry / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        if Path(name.split(":")[0]).name in names:
            ids.add(int(entry.name))
    return ids


def left_by_jobs() -> set[int]:
    """Find the ids of processes that jobs of this cluster started."""
    ids = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"SLURM_CLUSTER_NAME=stagewise" in environment:
            ids.add(int(entry.name))
    return ids


def until(condition, seconds: float, what: str, every: float = 0.1):
    """Wait until `condition` returns something true, and return that; fail after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(every)
    raise AssertionError(f"{what}: not within {seconds} s")


class Cluster:
    """A running cluster; `stop` ends every process that `start` started."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.daemons: list[subprocess.Popen] = []
        self.configured = False

    def start(self) -> None:
        if running := processes("slurmctld", "slurmd"):
            raise AssertionError(f"processes {sorted(running)}: Slurm runs here already; this test would disturb it")
        install()
        self.configure()
        self.daemon(
            "munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key",
            f"--socket={self.folder}/munge.sock", f"--pid-file={self.folder}/munged.pid",
            f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munged.seed",
        )  # fmt: skip
        until((self.folder / "munge.sock").exists, 10, f"munged's socket (see {self.folder}/munged.log)")
        self.daemon("slurmctld", "-D")
        self.daemon("slurmd", "-D")
        until(
            lambda: self.ask("sinfo", "-h", "-p", "batch", "-o", "%T") == "idle", 30, f"idle node (see {self.folder})"
        )

    def configure(self) -> None:
        """Point /etc/slurm at this folder, and save its former content."""
        host = socket.gethostname().partition(".")[0]
        for name in ("state", "spool", "dev"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "slurm.conf").write_text(CONFIG.format(folder=self.folder, host=host, gpus=GPUS))
        (self.folder / "gres.conf").write_text(
            f"NodeName={host} Name=gpu Type=pretended File={self.folder}/dev/gpu[0-{GPUS - 1}]\n"
        )
        for number in range(GPUS):
            os.mknod(self.folder / f"dev/gpu{number}", 0o600 | 0o020000, os.makedev(1, 3))
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        self.restore()  # where an earlier run was killed
        ETC.mkdir(exist_ok=True)
        ETC.rename(SAVED)
        ETC.symlink_to(self.folder)
        self.configured = True

    @staticmethod
    def restore() -> None:
        if SAVED.exists():
            ETC.unlink(missing_ok=True)
            SAVED.rename(ETC)

    def daemon(self, *command: str) -> None:
        """Start a daemon as a child that does not outlive the tests, however these end."""
        libc = ctypes.CDLL("libc.so.6")
        output = open(self.folder / f"{command[0]}.out", "wb")
        self.daemons.append(
            subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(1, signal.SIGTERM),  # PR_SET_PDEATHSIG
            )
        )

    def stop(self) -> None:
        try:
            if len(self.daemons) == 3:
                self.ask("scancel", "--user=root")
                until(lambda: not self.ask("squeue", "-h", "-t", "R,CG,PD", "-o", "%i"), 30, "no job is left")
        finally:
            for process in reversed(self.daemons):
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for pid in processes("slurmstepd") | left_by_jobs() if self.daemons else ():
                os.kill(pid, signal.SIGKILL)
            if self.configured:
                self.restore()

    @staticmethod
    def ask(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()

    def jobs(self, *comments: str) -> list[dict]:
        """Facts of every job that the controller knows, oldest first; those with one of these comments, if any."""
        blocks = self.ask("scontrol", "-o", "show", "job").splitlines()
        found = [dict(part.partition("=")[::2] for part in block.split() if "=" in part) for block in blocks]
        found = [{"Comment": "", **job} for job in found if "JobId" in job]
        return sorted(
            (job for job in found if not comments or job["Comment"] in comments), key=lambda job: int(job["JobId"])
        )
