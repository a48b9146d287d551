"""Publication of an exported folder on the hub, by the hub's own library."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.hub import is_network_error
from stagewise.training.model_card import CARD

_LATER = "the exported folder stays: correct it, or push it with `hf upload`"


def check_push(repository: str) -> None:
    """Refuse a push that the hub library would refuse only after all work is done.

    It imports the library, and so before torch is imported, from when on new imports of it stay off the network.

    Raises
    ------
    InputError
        If no token is there, or the library is to stay off the network.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise InputError(f"--push {repository}: HF_HUB_OFFLINE is set; unset it")
    if huggingface_hub.get_token() is None:
        raise InputError(f"--push {repository}: no token found; set HF_TOKEN or log in with `hf auth login`")


def push_folder(folder: Path, repository: str, private: bool, branch: str | None, message: str) -> str:
    """Upload a folder to a repository, which is created if it is not there; return the commit's address.

    The hub library reads the token, from the environment (``HF_TOKEN``) or from ``hf auth login``; this module never
    sees it. The card is validated by the hub before anything is sent.

    Parameters
    ----------
    repository
        ``owner/name``.
    private
        Create it as a private one; one that is there stays as it is.
    branch
        Branch to commit to, which is created if it is not there; the main one by default.

    Raises
    ------
    InputError
        If the hub refuses, or cannot be reached.
    """
    with _explained(repository):
        from huggingface_hub import HfApi, ModelCard

        ModelCard.load(folder / CARD).validate()
        api = HfApi()
        api.create_repo(repository, private=private or None, exist_ok=True)
        if branch:
            api.create_branch(repository, branch=branch, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, revision=branch, commit_message=message)
    return str(commit.commit_url)


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turn the hub library's errors into sentences (`InputError`)."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403, 404):
            cause = "log in with a token that may write there (`hf auth login` or HF_TOKEN)"
        else:
            cause = f"{' '.join(str(error.server_message or error).split())[:200]}"
        raise InputError(f"{repository}: the hub refused it (it answered {status}): {cause}; {_LATER}") from None
    except (ValueError, RuntimeError) as error:  # an invalid card; a large file that could not be sent
        raise InputError(f"{repository}: not pushed ({' '.join(str(error).split())[:200]}); {_LATER}") from None
    except Exception as error:
        if not is_network_error(error):
            raise
        raise InputError(f"{repository}: the hub could not be reached ({type(error).__name__}); {_LATER}") from None
