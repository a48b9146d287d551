"""Held-out texts of probes as files. Imports nothing heavy: the workflow imports it for every plan."""

from pathlib import Path

from stagewise.config.probes import HeldOutText
from stagewise.config.sources import File
from stagewise.data.raw_files import RAW, check_raw, raw_path
from stagewise.errors import InputError

ROLE = "text"


def text_file(text: HeldOutText) -> File:
    """Describe a text as a raw file is described."""
    return File(path=text.path, url=text.url, sha256=text.sha256)


def text_path(name: str, text: HeldOutText, raw=RAW) -> Path:
    """Path of a text: its own if it is local, or below `raw` if it is fetched."""
    return raw_path(name, ROLE, text_file(text), raw)


def fetched_texts(texts: dict[str, HeldOutText], raw=RAW) -> dict[Path, File]:
    """List the texts that are fetched, by their path."""
    return {text_path(name, text, raw): text_file(text) for name, text in texts.items() if text.url}


def check_text(name: str, text: HeldOutText, raw=RAW) -> str:
    """Compute a text's SHA-256 and compare it with the configuration's, if that has one.

    Raises
    ------
    InputError
        If the file is missing, is not a regular file, or has another checksum.
    """
    return check_raw(text_path(name, text, raw), text_file(text), f"probes.texts.{name}")


def read_text(path: Path, name: str) -> str:
    """Read a text as it is, line ends included.

    Raises
    ------
    InputError
        If it cannot be read, is empty or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); correct probes.texts.{name}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8; save the text of probes.texts.{name} in it"
        ) from None
    if not text.strip():
        raise InputError(f"{path}: the text of probes.texts.{name} is empty; give one of some thousand characters")
    return text
