"""Records of figures that cannot be computed, by the kinds of the tasks and by their splits, with the reasons."""

from collections.abc import Iterable

from stagewise.measures import FIXED_LABELS, MEASURES
from stagewise.metrics.prediction_table import AnswerFormat
from stagewise.metrics.read_results import ExperimentResults
from stagewise.metrics.schema import Omitted

MAX_NAMED = 10
"""Labels that a sentence names."""


def omitted_by_kind(forms: dict[str, AnswerFormat]) -> Iterable[Omitted]:
    """List what a kind of task does not have, task by task."""
    for task, form in forms.items():
        if form.kind == "multiple_choice":
            reason = "a letter stands for another option in every item, so letters are no classes to tell apart"
            yield Omitted(what=f"discrimination and shifts of a label prior on {task}", reason=reason)
        elif form.kind in ("multi_label", "generation"):
            what = "decision rules, discrimination, calibration, confusion matrices and drift"
            yield Omitted(what=f"{what} on {task}", reason="its answers are generated, without probabilities of labels")
        if form.kind == "generation" and not MEASURES[form.own].is_accuracy:
            title = MEASURES[form.own].title
            reason = f"by {title}, its own measure, an answer is neither right nor wrong"
            yield Omitted(what=f"the test of answers lost and gained on {task}", reason=reason)


def omitted_labels(results: ExperimentResults) -> list[Omitted]:
    """List the labels that no item of a scored split has, in some run at least."""
    present: dict[tuple[str, str], list[set[str]]] = {}
    for lineage, task, split in results.predictions:
        items = results.items_of(lineage, task, split)
        words = {word for item in items for word in item.get("labels", [item["label"]])}
        present.setdefault((task, split), []).append(words)
    entries = []
    for (task, split), runs in present.items():
        kind = results.measures.forms[task].kind
        absent = [word for word in results.labels(task) if any(word not in words for words in runs)]
        if absent and kind in (*FIXED_LABELS, "multi_label"):
            named = (
                f"{', '.join(absent[:MAX_NAMED])}{f' and {more} more' if (more := len(absent) - MAX_NAMED) > 0 else ''}"
            )
            what = f"scores of {'label' if len(absent) == 1 else 'labels'} {named} on {task}'s {split} split"
            reason = (
                "no item there has it; balanced accuracy and AUROC average over the other labels, and macro-F1 does "
                "where it is not answered either"
            )
            if kind == "multi_label":
                reason = "no item there has it; macro-F1 of labels averages over the others where it is not answered"
            entries.append(Omitted(what=what, reason=reason))
    return entries


def omitted_published(splits: list[str]) -> list[Omitted]:
    """Say why the published comparison is missing."""
    missing = {"test", "validation"} - set(splits)
    reason = f"evaluation.splits leaves out {' and '.join(sorted(missing))}"
    what = "the published comparison (test before, validation after)"
    return [Omitted(what=what, reason=reason)] if missing else []
