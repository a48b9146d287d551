"""Kill a run at one point: on PYTHONPATH this is imported by every Python process of it, before anything else.

``STAGEWISE_KILL_POINT`` describes the point in JSON:

process    regular expression of the command line of the process in which it lies
event      kind of event: ``open``, ``os.rename``, ``os.mkdir``, ``os.utime`` and others as Python's audit hooks call
           them, or ``save``, ``saved`` (a tensor file, before and after), ``backward``, ``evaluate``
path       regular expression of the event's path
count      the first, second, … such event
victim     ``step`` (the process itself), ``snakemake`` or ``dvc`` (which started it), or ``group`` (everybody)
linger     seconds that the process then waits before it goes on, if it lives
mark       file that is written at the kill, and after which nothing more is killed
"""

import json
import os
import re
import signal
import sys
import time


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as handle:
        return handle.read().decode(errors="replace").replace("\0", " ")


class KillPoint:
    def __init__(self, point):
        self.point = point
        self.left = point["count"]
        self.event, self.path = re.compile(point["event"]), re.compile(point["path"])
        self.busy = False

    def happens(self, event, path):
        """Kill if this is the point."""
        if self.busy or not self.event.fullmatch(event) or not self.path.search(path):
            return
        self.busy = True
        self.left -= 1
        if not self.left and not os.path.exists(self.point["mark"]):
            self.kill(event, path)
        self.busy = False

    def kill(self, event, path):
        victim = self.point["victim"]
        with open(self.point["mark"], "w") as handle:
            json.dump({"pid": os.getpid(), "event": event, "path": path}, handle)
        if victim == "group":
            os.killpg(os.getpgid(0), signal.SIGKILL)
        pid = os.getpid()
        while victim != "step" and not re.search(rf"/{victim} ", command_line(pid)):
            with open(f"/proc/{pid}/stat") as handle:
                pid = int(handle.read().rpartition(")")[2].split()[1])
        os.kill(pid, signal.SIGKILL)
        time.sleep(self.point["linger"])

    def audit(self, event, args):
        if event == "import":
            self.wrap()
        elif args and isinstance(args[-1 if event == "os.rename" and len(args) == 2 else 0], (str, bytes, os.PathLike)):
            path = args[1] if event == "os.rename" else args[0]  # a file is known by its final name
            if event == "open" and not (isinstance(args[1], str) and set(args[1]) & set("wax")):
                event = "read"
            self.happens(event, os.path.abspath(os.fsdecode(path)))

    def wrap(self):
        """Make events of functions that no audit hook sees, as soon as their modules are there."""
        for module, owner, name, before, after, argument in FUNCTIONS:
            holder = sys.modules.get(module)
            holder = getattr(holder, owner, None) if owner else holder
            function = getattr(holder, name, None)
            if function is None or hasattr(function, "kill_point"):
                continue
            setattr(holder, name, self.wrapped(function, before, after, argument))

    def wrapped(self, function, before, after, argument):
        def wrapper(*args, **kwargs):
            path = str(args[argument]) if argument is not None and len(args) > argument else ""
            self.happens(before, path)
            result = function(*args, **kwargs)
            if after:
                self.happens(after, path)
            return result

        wrapper.kill_point = True
        return wrapper


# Module, class, function, event before it, event after it, position of the path.
FUNCTIONS = [
    ("torch", None, "save", "save", "saved", 1),
    ("safetensors.torch", None, "save_file", "save", "saved", 1),
    ("accelerate.accelerator", "Accelerator", "backward", "backward", None, None),
    ("transformers.trainer", "Trainer", "evaluate", "evaluate", None, None),
]

if text := os.environ.get("STAGEWISE_KILL_POINT"):
    _point = json.loads(text)
    # sys.argv is not there yet while this module is imported, and a step has its script's name in it.
    if re.search(_point["process"], command_line(os.getpid())):
        sys.addaudithook(KillPoint(_point).audit)
