"""Settings of single steps in small files, so that a step's command stays short."""

from stagewise.config.base import Settings
from stagewise.errors import InputError
from stagewise.provenance.files import read_json, write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.memory import FOLDER

SETTINGS = FOLDER / "stagewise-settings"


def write_settings(settings: Settings) -> str:
    """Write a step's settings to a file that is named by their content; return its path.

    Every process that reads the workflow writes the files that it lacks, on whichever machine it runs.
    """
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude={"mirror"})
    path = SETTINGS / f"{type(settings).__name__}-{fingerprint(values)[:16]}.json"
    if not _holds(path, values):
        write_json(path, values)
    return str(path)


def _holds(path, values: dict) -> bool:
    """Tell if a file has these values; a machine that lost power may have left half of it."""
    try:
        return read_json(path, "the settings") == values
    except (InputError, OSError):
        return False
