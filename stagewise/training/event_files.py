"""Event files of TensorBoard, which the writer names by the machine that it runs on."""

import socket
from pathlib import Path


def rename_event_files(folder) -> None:
    """Take this machine's name out of the names of finished event files and their folders below ``folder/runs``."""
    host = socket.gethostname()
    for path in sorted(Path(folder).glob("runs/*/events.out.tfevents.*")):
        path.rename(path.with_name(path.name.replace(f".{host}.", ".")))
    for path in sorted(Path(folder).glob(f"runs/*_{host}")):
        path.rename(path.with_name(path.name.removesuffix(f"_{host}")))
