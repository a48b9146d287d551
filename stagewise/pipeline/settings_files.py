"""Settings of single steps in small files, so that a step's command stays short."""

from stagewise.config.base import Settings
from stagewise.config.shareable import redact_url, without_credentials
from stagewise.config.sources import File
from stagewise.errors import InputError, refusal
from stagewise.provenance.files import read_json, write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.memory import FOLDER

SETTINGS = FOLDER / "stagewise-settings"


def write_settings(settings: Settings, dry_run: bool = False) -> str:
    """Write a step's settings to a file that is named by their content; return its path.

    Every process that reads the workflow writes the files that it lacks, on whichever machine it runs. Only the step
    that fetches a file gets its whole URL, in a file that nobody else can read if the URL may hold a secret. A dry
    run, whose steps do not run, writes none.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude={"mirror"})
    secret = isinstance(settings, File) and settings.url is not None and redact_url(settings.url) != settings.url
    if not isinstance(settings, File):
        values = without_credentials(values)
    path = SETTINGS / f"{type(settings).__name__}-{fingerprint(values)[:16]}.json"
    if dry_run or _holds(path, values):
        return str(path)
    try:
        write_json(path, values, private=secret)
    except OSError as error:
        error.filename = str(path)  # rather than the temporary file's
        raise InputError(refusal(error) or f"{path}: cannot be written ({error})") from None
    return str(path)


def _holds(path, values: dict) -> bool:
    """Tell if a file has these values; a machine that lost power may have left half of it."""
    try:
        return read_json(path, "the settings") == values
    except (InputError, OSError):  # also another user's private file
        return False
