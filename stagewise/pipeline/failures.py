"""One sentence per failed step, so that nobody has to search for it between Snakemake's lines."""

import re
from pathlib import Path

_FAILED = re.compile(r"^( *)Error in rule (\w+):$")
_LOG = re.compile(r"^ +log: (.+?)(?: \(check log file.*)?$")


def failed_steps(logs) -> list[str]:
    """Name each step that failed, with its own sentence and its log.

    Parameters
    ----------
    logs
        Snakemake's logs of the run.
    """
    sentences, rule, in_group = {}, None, False
    for line in (line for log in logs for line in _lines(Path(log))):
        if match := _FAILED.match(line):
            rule, in_group = match[2], bool(match[1])
        elif rule and (match := _LOG.match(line)):
            log = Path(match[1])
            if not in_group or _has_failed(log):
                sentences[match[1]] = f"{rule} failed: {_last_error(log)} (log: {log})"
            rule = None
    return list(sentences.values())


def _has_failed(log: Path) -> bool:
    """Tell a step that failed from others of its group: Snakemake names them all."""
    return any(line.startswith(("error: ", "Traceback ")) for line in _lines(log))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in _lines(log)]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or [line for line in lines if line] or ["it left no message"])[-1]
