"""Snakemake's log of a run without what concerns one person: it is what one sends to ask for help."""

import logging
import os
import re
from pathlib import Path

from stagewise.config.shareable import LOCAL, redact_text

_PERSON = re.compile(r"^  (Host|User): .*\n?", re.MULTILINE)
"""Lines in the head of the log."""

_ABSOLUTE = re.compile(r"(?<![\w./~:-])/(?:[^\s/'\",:;()\[\]]+/)+([^\s/'\",:;()\[\]]*)")
"""A path that starts at the root, and its last part."""


class ShareableFormatter(logging.Formatter):
    """Formats records as another formatter does, and leaves out credentials, paths of one machine, host and user."""

    def __init__(self, formatter: logging.Formatter):
        super().__init__()
        self.formatter = formatter
        folders = [(os.getcwd(), "."), (str(Path.home()), "~")]
        self._folders = [
            (re.compile(re.escape(folder) + r"(?=[/\s'\",:;)\]]|$)"), short)
            for folder, short in folders
            if folder != os.path.dirname(folder)  # the root is in every path
        ]

    def format(self, record: logging.LogRecord) -> str:
        text = redact_text(_PERSON.sub("", self.formatter.format(record)))
        for folder, short in self._folders:
            text = folder.sub(short, text)
        return _ABSOLUTE.sub(rf"{LOCAL}/\1", text)


def keep_logs_shareable(logger: logging.Logger) -> None:
    """Change what a logger writes to files from here on; the terminal shows everything."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler) and handler.formatter is not None:
            handler.setFormatter(ShareableFormatter(handler.formatter))
