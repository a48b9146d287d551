"""Prompts that are written from columns' names."""

import pytest

from stagewise.onboarding.files import Part, Table
from stagewise.onboarding.prompt_file import prompt_file
from stagewise.onboarding.survey import Choices, survey


@pytest.mark.parametrize(
    ("make", "prompt"),
    [
        (
            lambda n: {"text": f"t {n}", "topic": "ab"[n % 2]},
            "Text: {text}\n\nWhat is the topic? Answer with a or b.",
        ),
        (lambda n: {"text": f"t {n}", "label": "ab"[n % 2]}, "Text: {text}\n\nWhich label fits? Answer with a or b."),
        (
            lambda n: {"text": f"t {n}", "category": f"c{n % 25}"},
            "Text: {text}\n\nWhat is the category? Answer with its name alone.",
        ),
        (
            lambda n: {"text": f"t {n}", "stars": 1 + n % 3},
            "Text: {text}\n\nWhat are the stars? Answer with one of, from lowest to highest: 1, 2, 3.",
        ),
        (
            lambda n: {"text": f"t {n}", "topic": ["{a}", "b"][n % 2]},
            "Text: {text}\n\nWhat is the topic? Answer with b or {{a}}.",
        ),
        (
            lambda n: {"question": f"q {n}", "options": ["x y", "z"], "answer": "AB"[n % 2]},
            "Question: {question}\n{options}\n\nAnswer with the letter of the right option.",
        ),
        (
            lambda n: {"text": f"t {n}", "tags": [["a"], ["a", "b"], []][n % 3]},
            "Text: {text}\n\nWhich of these apply: a, b? "
            "Answer with all that apply, separated by commas, or with none.",
        ),
        (lambda n: {"question": f"q {n}", "answer": n * 7}, "Question: {question}\n\nAnswer with the number alone."),
        (
            lambda n: {"document": f"d {n}", "summary": f"a short text {n}"},
            "Document: {document}\n\nWrite the summary.",
        ),
        (lambda n: {"instruction": f"do {n}", "output": f"a short text {n}"}, "{instruction}"),
    ],
)
def test_prompts(make, prompt):
    table = Table({"items": Part({}, "items", [make(n) for n in range(60)])}, {})
    assert prompt_file(survey(table, Choices())) == f"{prompt}\n"
