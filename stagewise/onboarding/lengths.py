"""Lengths of prompts and answers in tokens: counted by the model's tokenizer if it is here, else estimated."""

from dataclasses import dataclass
from pathlib import Path

from stagewise.onboarding.survey import Survey

BYTES_PER_TOKEN = 3.0
"""Bytes of UTF-8 that a token stands for at the least, in most languages: 4.5 in English, 3 in code."""

TEMPLATE_TOKENS = 24
"""Tokens that a chat template writes around a prompt without a system message."""

MOST_TOKENS = 2048
"""Context of the small models that are meant here, in tokens."""

_STEP = 32

_COUNTED = 20_000
"""Rows that are counted; of more, every k-th is."""


@dataclass(frozen=True)
class Lengths:
    """Lengths of a task's items."""

    max_length: int
    """Tokens of prompt and answer for 99 of 100 items, and for every item once its longest field is cut."""
    cut: int
    """Items whose longest field is cut, about."""
    too_long: int
    """Items that cannot be cut to fit, about."""
    longest: int
    median: int
    max_new_tokens: int
    """Tokens of the longest answer, or as many as there is room for."""
    is_counted: bool
    """True if the model's tokenizer counted them."""


def measure(task: Survey, prompt: str, model_dir: Path) -> Lengths:
    """Measure the items of a task with its prompt file's text."""
    count, is_counted = _counter(model_dir)
    step = max(1, -(-len(task.rows) // _COUNTED))
    rows = task.rows[::step]
    around = count([prompt])[0] + TEMPLATE_TOKENS
    by_field = [count([task.field_texts(row)[place] for row in rows]) for place in range(len(task.fields))]
    place = list(task.fields).index(task.longest_field)
    answers = count([", ".join(_taught(task, row)) for row in rows])
    options = count([task.option_lines[row] for row in rows]) if task.options else [0] * len(rows)
    fixed = [around + a + o + 1 for a, o in zip(answers, options, strict=True)]
    totals = [sum(parts) for parts in zip(fixed, *by_field, strict=True)]
    least = max(total - field for total, field in zip(totals, by_field[place], strict=True)) + 16
    common = sorted(totals)[min(len(totals) - 1, int(0.99 * len(totals)))]
    max_length = min(MOST_TOKENS, -(-max(common, least) // _STEP) * _STEP)
    return Lengths(
        max_length,
        cut=step * sum(total > max_length for total in totals),
        too_long=step * sum(t - f > max_length for t, f in zip(totals, by_field[place], strict=True)),
        longest=max(totals),
        median=sorted(totals)[len(totals) // 2],
        max_new_tokens=min(max(8, -(-(max(answers) + 1) // 8) * 8), max(8, max_length - around - 16)),
        is_counted=is_counted,
    )


def _taught(task: Survey, row: int) -> list[str]:
    answers = task.answers(row)
    return answers[:1] if task.kind == "generation" else answers


def _counter(model_dir: Path):
    """Return a function that counts the tokens of texts, and whether it is the model's own tokenizer."""
    path = model_dir / "tokenizer.json"
    if path.is_file():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return lambda texts: [len(each) for each in tokenizer.encode_batch_fast(texts, add_special_tokens=False)], True
    return lambda texts: [-(-len(text.encode(errors="replace")) // int(BYTES_PER_TOKEN)) for text in texts], False
