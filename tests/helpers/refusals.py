"""A step's refusal of bad input: exit code 2 and one line that says why."""


def check_refusal(code: int, stderr: str, *texts: str) -> str:
    """Check that a step returned 2 and printed one error that holds all `texts`; return that line.

    Lines of progress, such as ``trial: reading``, may come before it.
    """
    errors = [line for line in stderr.splitlines() if "error: " in line]
    assert code == 2, stderr
    assert "Traceback" not in stderr, stderr
    assert len(errors) == 1 and errors == stderr.splitlines()[-1:], stderr
    for text in texts:
        assert text in errors[0], errors[0]
    return errors[0]
