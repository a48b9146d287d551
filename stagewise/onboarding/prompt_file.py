"""The text of a prompt file, from what the columns are called."""

from stagewise.onboarding.columns import name_words
from stagewise.onboarding.survey import Survey, label_shares

_MOST_LISTED = 20
"""Labels up to which a prompt lists them: more would take more tokens than the text."""

_SAYS_NOTHING = set("label class target gold answer answers final correct y text cop key is has".split())

# Texts of a task that are instructions already.
_INSTRUCTIONS = ("prompt", "instruction")


def prompt_file(task: Survey) -> str:
    """Write a prompt that shows a task's fields and asks for its answer."""
    names = list(task.fields)
    if task.kind == "generation" and names[0] in _INSTRUCTIONS:
        return "\n\n".join(f"{{{name}}}" for name in names) + "\n"
    shown = [f"{name.replace('_', ' ').capitalize()}: {{{name}}}" for name in names]
    shown += ["{options}"] if task.options else []
    return "\n".join(shown) + f"\n\n{_question(task)}\n"


def _question(task: Survey) -> str:
    words = [label.word.replace("{", "{{").replace("}", "}}") for label in task.labels]
    subject = " ".join(word for word in name_words(task.answer.column.split(".")[-1]) if word not in _SAYS_NOTHING)
    if task.kind == "multiple_choice":
        return "Answer with the letter of the right option."
    if task.kind == "generation":
        if task.columns[task.answer.column].is_numeric:
            return "Answer with the number alone."
        return f"Write the {subject}." if subject else "Write the answer."
    listed = len(words) <= _MOST_LISTED
    if task.kind == "multi_label":
        which = f"Which of these apply: {', '.join(words)}?" if listed else f"Which {subject or 'labels'} apply?"
        without = f", or with {task.no_label}" if label_shares(task)[0] else ""
        return f"{which} Answer with all that apply, separated by commas{without}."
    is_plural = subject.endswith("s") and not subject.endswith("ss")
    what = f"What {'are' if is_plural else 'is'} the {subject}?" if subject else "Which label fits?"
    if not listed:
        return f"{what} Answer with its name alone."
    if task.kind == "ordinal":
        return f"{what} Answer with one of, from lowest to highest: {', '.join(words)}."
    return f"{what} Answer with {', '.join(words[:-1])} or {words[-1]}."
