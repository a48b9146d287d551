"""Errors that a user can correct."""

import errno
import os
import sys

# What the machine refuses, and the way out; every other error of the system is a fault of the program.
_REFUSALS = {
    errno.ENOSPC: "free some space there, or name another disk, and type the same command again",
    errno.EDQUOT: "free some space there, or name another disk, and type the same command again",
    errno.EROFS: "work on a copy in a folder that can be written",
    errno.EACCES: "ask its owner for access, or work on a copy of your own",
    errno.EPERM: "ask its owner for access, or work on a copy of your own",
    errno.EMFILE: "raise the limit with `ulimit -n`",
    errno.ENFILE: "end other programs, or raise the machine's limit",
    errno.ENAMETOOLONG: "give tasks, stages or folders shorter names",
    errno.EIO: "check the disk, and type the same command again",
    errno.ESTALE: "check the network disk, and type the same command again",
    errno.ENOTCONN: "check the network disk, and type the same command again",
    errno.ELOOP: "correct the links, which lead round in a circle",
    errno.EFBIG: "name a disk that takes files of this size",
}
# Libraries that write files without Python report a full disk as an error of their own.
_FULL = ("No space left on device", "PytorchStreamWriter failed")


class InputError(Exception):
    """Bad input. Its message is one sentence that names the file, the row or key, and the way out."""


def refusal(error: BaseException) -> str | None:
    """Say in one sentence what the machine refuses, such as to write to a full disk; None for any other error."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        path = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes | os.PathLike) else ""
        return f"{path}{error.strerror or os.strerror(error.errno)}; {_REFUSALS[error.errno]}"
    if not isinstance(error, OSError) and any(text in str(error) for text in _FULL):
        return f"a file could not be written whole, the disk may be full; {_REFUSALS[errno.ENOSPC]}"
    return None


def exit_on_input_error(main):
    """Decorate a step's ``main(argv) -> int`` to print an `InputError` as one line and return exit code 2.

    What the machine refuses (`refusal`) ends in the same way; a fault of the program keeps its traceback.
    """

    def wrapped(argv=None) -> int:
        try:
            return main(argv)
        except Exception as error:
            sentence = refusal(error)
            if sentence is None:
                raise
            if os.environ.get("RANK", "0") == "0":  # one line if several processes train together
                print(f"error: {sentence}", file=sys.stderr)
            return 2

    wrapped.__doc__ = main.__doc__
    wrapped.__name__ = main.__name__
    return wrapped
