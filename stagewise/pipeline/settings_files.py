"""Settings of single steps in small files, so that a step's command stays short."""

from stagewise.config.base import Settings
from stagewise.provenance.files import write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.memory import FOLDER

SETTINGS = FOLDER / "stagewise-settings"


def write_settings(settings: Settings) -> str:
    """Write a step's settings to a file that is named by their content; return its path.

    Every process that reads the workflow writes the files that it lacks, on whichever machine it runs.
    """
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude={"mirror"})
    path = SETTINGS / f"{type(settings).__name__}-{fingerprint(values)[:16]}.json"
    if not path.is_file():
        write_json(path, values)
    return str(path)
