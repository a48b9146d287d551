"""Fingerprint of probe scores: everything that determines them. Importing this module imports no torch."""

from collections.abc import Callable
from pathlib import Path

from stagewise.config.identity import EVERYWHERE, PROBES, UNREAD_PROMPTING, facts
from stagewise.config.step_settings import ProbeSettings
from stagewise.data.probe_texts import text_path
from stagewise.data.raw_files import RAW
from stagewise.probes import PROBE_BEHAVIOUR
from stagewise.provenance.files import sha256_file

HARNESS_PACKAGE = "lm_eval"


def probe_inputs(
    settings: ProbeSettings,
    model: str,
    harness_version: str | None,
    checksum: Callable[[Path], str] = sha256_file,
    raw=RAW,
) -> dict:
    """Record what the scores of all probes are made from, apart from the adapter.

    Parameters
    ----------
    model
        The base model's fingerprint.
    harness_version
        Version of lm-evaluation-harness that scores its tasks, if that is known.
    checksum
        SHA-256 of a file that is there.
    raw
        Folder of the fetched texts.
    """
    harness = settings.harness
    unread = {} if harness and harness.apply_chat_template else UNREAD_PROMPTING
    behaviour = {"text probes": PROBE_BEHAVIOUR["text"]} if settings.texts else {}
    if harness:
        behaviour |= {"harness probes": PROBE_BEHAVIOUR["harness"], HARNESS_PACKAGE: harness_version}
    return {
        "settings": facts(settings, EVERYWHERE | PROBES | unread),
        "files": {name: checksum(path) for name, path in probe_files(settings, raw).items()},
        "model": model,
        "behaviour": behaviour,
    }


def probe_files(settings: ProbeSettings, raw=RAW) -> dict[str, Path]:
    """List the files that scores are made from, by their names in an inputs record.

    They are the texts, and all that is in the folder of further harness tasks: definitions, code and data.
    """
    files = {f"texts/{name}": text_path(name, text, raw) for name, text in settings.texts.items()}
    if settings.harness and settings.harness.include is not None:
        folder = Path(settings.harness.include)
        inside = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
        files |= {f"harness/{path.relative_to(folder).as_posix()}": path for path in inside}
    return files


def inputs_of_probe(inputs: dict, probe: str) -> dict:
    """Narrow the inputs record of all probes to one of them, which is made again for no other's sake."""
    settings, is_text = inputs["settings"], probe in inputs["settings"]["texts"]
    kept = {key: value for key, value in settings.items() if key not in ("texts", "harness", "prompting")}
    if is_text:
        kept["text"] = settings["texts"][probe]
    else:
        kept["harness"] = {key: value for key, value in settings["harness"].items() if key != "tasks"}
        kept |= {"task": probe, "prompting": settings.get("prompting", {})}
    names = [f"texts/{probe}"] if is_text else [name for name in inputs["files"] if name.startswith("harness/")]
    kinds = ["text probes"] if is_text else ["harness probes", HARNESS_PACKAGE]
    return inputs | {
        "settings": kept,
        "files": {name: inputs["files"][name] for name in names},
        "behaviour": {name: inputs["behaviour"][name] for name in kinds},
    }
