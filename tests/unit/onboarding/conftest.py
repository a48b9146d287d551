import pytest

from tests.helpers.users_files import UsersFiles


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A project's folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return UsersFiles(tmp_path)
