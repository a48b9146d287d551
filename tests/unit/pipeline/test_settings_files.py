"""Settings of steps in files: no password in any but that of the step that fetches, which others cannot read."""

import json
from pathlib import Path

import pytest

from stagewise.config.sources import File
from stagewise.config.step_settings import DataSettings
from stagewise.errors import InputError
from stagewise.pipeline import settings_files
from stagewise.pipeline.settings_files import write_settings
from tests.helpers.tiny_data import task_settings

URL = "https://me:secret@host/a.csv?token=secret"
FILE = {"url": URL, "sha256": "0" * 64}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / settings_files.SETTINGS


def test_only_the_step_that_fetches_gets_the_whole_url_and_only_its_owner_reads_it():
    path = Path(write_settings(File(**FILE)))
    assert json.loads(path.read_text())["url"] == URL and path.stat().st_mode & 0o077 == 0
    plain = Path(write_settings(File(url="https://host/a.csv", sha256="0" * 64)))
    assert plain.stat().st_mode & 0o044 == 0o044
    data = DataSettings.model_validate({"tasks": {"t": task_settings({"items": FILE}, {"0": "no", "1": "yes"})}})
    text = Path(write_settings(data)).read_text()
    assert "secret" not in text and "https://host/a.csv" in text


def test_a_dry_run_writes_none(folder):
    assert write_settings(File(**FILE), dry_run=True) == write_settings(File(**FILE))
    for path in folder.iterdir():
        path.unlink()
    write_settings(File(**FILE), dry_run=True)
    assert list(folder.iterdir()) == []


def test_a_disk_that_cannot_be_written_is_one_sentence(monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device", "/tmp/x.json.abc")

    monkeypatch.setattr(settings_files, "write_json", full)
    with pytest.raises(InputError, match=r"^\.snakemake/.*File-.*json: No space left on device; free some space"):
        write_settings(File(**FILE))
