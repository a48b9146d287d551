"""Reader of TRACE's ScienceQA: its rows hold question, options and letter in two texts.

`reader.format: experiments.trace_format:read_science_qa` in experiments/trace.yaml.
"""

import json
import re

from stagewise.errors import InputError

_OPTION = re.compile(r"([A-Z])\. ?(.*)")
_LETTER = re.compile(r"\s*(?:Answer:)?\s*\(?([A-Z])\b")


def read_science_qa(path, reader, columns: list[str]) -> list[dict]:
    """Read rows ``{"prompt", "answer"}`` as question, list of options and the right option's letter.

    The prompt is ``instruction, Question: …, Choices: A. …, B. …, Answer:``, an option a line; the answer is
    the letter, followed by reasons, which are not read.

    Raises
    ------
    InputError
        For a row of another form.
    """
    rows = json.loads(path.read_text(encoding=reader.encoding))
    return [_read_row(row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]


def _read_row(row: dict, place: str) -> dict:
    prompt = row["prompt"].rpartition("Question:")[2]
    question, separator, choices = prompt.rpartition("Choices:")
    options: list[str] = []
    for line in choices.strip().removesuffix("Answer:").strip().splitlines():
        option = _OPTION.fullmatch(line.strip())
        if option and option[1] == chr(ord("A") + len(options)):
            options.append(option[2])
        elif options and line.strip():
            options[-1] += f" {line.strip()}"  # an option of several lines
    letter = _LETTER.match(row["answer"])
    if not separator or len(options) < 2 or not letter:
        raise InputError(f"{place} has no choices A., B. below 'Choices:', or its answer begins with no letter")
    return {"question": question.strip(), "options": options, "answer": letter[1]}
