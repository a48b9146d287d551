"""Errors that a user can correct, and stops that the same command goes on from."""

import errno
import os
import sys
from functools import partial

UNFINISHED = 75
"""Exit code of a step that stopped before its end and goes on when it is run again (EX_TEMPFAIL of sysexits.h)."""

# What the machine refuses, and the way out; every other error of the system is a fault of the program.
_REFUSALS = {
    errno.ENOSPC: "free some space there, or name another disk, and type the same command again",
    errno.EDQUOT: "free some space there, or name another disk, and type the same command again",
    errno.EROFS: "work on a copy in a folder that can be written",
    errno.EACCES: "ask its owner for access, or work on a copy of your own",
    errno.EPERM: "ask its owner for access, or work on a copy of your own",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name another folder",
    errno.EEXIST: "name another folder",
    errno.EMFILE: "raise the limit with `ulimit -n`",
    errno.ENFILE: "end other programs, or raise the machine's limit",
    errno.ENAMETOOLONG: "give tasks, stages or folders shorter names",
    errno.EIO: "check the disk, and type the same command again",
    errno.ESTALE: "check the network disk, and type the same command again",
    errno.ENOTCONN: "check the network disk, and type the same command again",
    errno.ELOOP: "correct the links, which lead round in a circle",
    errno.EFBIG: "name a disk that takes files of this size",
}
# They say nothing without a file.
_NAMED = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST}
# Libraries that write files without Python report a full disk as an error of their own.
_FULL = ("No space left on device", "PytorchStreamWriter failed")


_LOGINS = ("HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")  # in capitals too; they may hold a password
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

NETWORK_VARIABLES = (*_LOGINS, *_PROXIES, *map(str.upper, _PROXIES), *_CERTIFICATES)
"""Environment variables for steps that need the network: logins and ways there."""


class InputError(Exception):
    """Bad input. Its message is one sentence that names the file, the row or key, and the way out."""


class Unfinished(Exception):
    """A stop before the end, from which the same command goes on. Its message is one sentence."""


def one_line(message) -> str:
    """Write a message on one line: line breaks and control characters of names and data are escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(message))


def refusal(error: BaseException) -> str | None:
    """Say in one sentence what the machine refuses, such as to write to a full disk; None for any other error."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        # Where an output goes, `os.replace` names a temporary file first.
        name = error.filename2 or error.filename
        path = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes | os.PathLike) else ""
        if path or error.errno not in _NAMED:
            return f"{path}{error.strerror or os.strerror(error.errno)}; {_REFUSALS[error.errno]}"
    if not isinstance(error, OSError) and any(text in str(error) for text in _FULL):
        return f"a file could not be written whole, the disk may be full; {_REFUSALS[errno.ENOSPC]}"
    return None


def exit_on_input_error(main=None, *, network: bool = False):
    """Decorate a step's ``main(argv) -> int`` to print an `InputError` or `Unfinished` as one line.

    The exit code is 2 or `UNFINISHED`. What the machine refuses (`refusal`) ends like an `InputError`; a fault of the
    program keeps its traceback.

    Parameters
    ----------
    network
        The step fetches files, or asks if they can be fetched. All others forget `NETWORK_VARIABLES` first, so that no
        foreign code, such as a remedy's, finds a login or a proxy's password in their environment; a notebook that
        calls a step has them back afterwards.
    """
    if main is None:
        return partial(exit_on_input_error, network=network)

    def wrapped(argv=None) -> int:
        names = () if network else NETWORK_VARIABLES
        withheld = {name: os.environ.pop(name) for name in names if name in os.environ}
        try:
            return main(argv)
        except Unfinished as stop:
            _say(f"unfinished: {one_line(stop)}")
            return UNFINISHED
        except Exception as error:
            sentence = refusal(error)
            if sentence is None:
                raise
            _say(f"error: {one_line(sentence)}")
            return 2
        finally:
            os.environ |= withheld

    wrapped.__doc__ = main.__doc__
    wrapped.__name__ = main.__name__
    return wrapped


def _say(line: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # one line if several processes train together
        try:
            print(line, file=sys.stderr)
        except BrokenPipeError:
            pass  # the process that read it was ended together with this one
