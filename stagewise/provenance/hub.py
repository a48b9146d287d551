"""The hub: the commit of a branch or tag, and sentences for its refusals.

The hub's library reads the address (``HF_ENDPOINT``) and the token for a gated repository from the environment
(``HF_TOKEN``) or from ``hf auth login``; this module never sees the token.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stagewise.errors import InputError

_BY_HAND = {
    "model": "run this step where the network is, or put the files in a directory and use 'path'",
    "dataset": "run this step where the network is, or put its file into the mirror",
}


def repository_commit(kind: str, name: str, revision: str, timeout: float | None = None) -> str:
    """Ask the hub for the commit of a branch or tag of a repository; `kind` is ``model`` or ``dataset``.

    Raises
    ------
    InputError
        If there is no such repository or revision, or the hub cannot be reached.
    """
    with explained_refusals(name, revision, kind):
        import huggingface_hub
        from huggingface_hub.errors import RevisionNotFoundError

        hub = huggingface_hub.HfApi()
        try:
            return hub.repo_info(name, repo_type=kind, revision=revision, timeout=timeout).sha
        except RevisionNotFoundError:
            refs = hub.list_repo_refs(name, repo_type=kind)
            names = ", ".join(ref.name for ref in (*refs.branches, *refs.tags)[:20])
            raise InputError(f"{name}: the hub has no revision '{revision}'; it has {names}") from None


@contextmanager
def explained_refusals(name: str, revision: str, kind: str = "model") -> Iterator[None]:
    """Turn the hub library's errors about a repository into sentences (`InputError`)."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import errors

    source = f"{name} at {revision[:12]}"
    try:
        yield
    except InputError:
        raise
    except errors.GatedRepoError as error:
        raise InputError(f"{source}: {_access(error, 'it is gated: accept its licence on the hub, then')}") from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{name}: the hub has no commit {revision}; correct 'revision'") from None
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{source}: {_access(error, 'no such repository, or it is private: correct the name, or')}"
        ) from None
    except errors.HfHubHTTPError as error:
        raise InputError(f"{source}: {_access(error, 'the hub refused it: try again, or')}") from None
    except errors.LocalTokenNotFoundError:
        raise InputError(f"{source}: no token found; set HF_TOKEN or log in with `hf auth login`") from None
    except errors.OfflineModeIsEnabled:
        way = _BY_HAND[kind].partition(", or ")[2]
        raise InputError(f"{source}: HF_HUB_OFFLINE is set; unset it, or {way}") from None
    except Exception as error:
        if not is_network_error(error):
            raise
        raise InputError(f"{source}: the hub could not be reached ({type(error).__name__}); {_BY_HAND[kind]}") from None


def _access(error, cause: str) -> str:
    """Explain a refusal that a login may cure."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"{cause} log in with `hf auth login` or set HF_TOKEN (the hub answered {status})"


def is_network_error(error: BaseException) -> bool:
    """Check whether an error of the hub library, or its cause, means that the hub cannot be reached."""
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.startswith(
            ("httpx", "httpcore")
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
