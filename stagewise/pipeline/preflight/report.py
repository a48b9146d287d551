"""Checks of what metrics and report need at the very end."""

from stagewise.measures import MEASURES
from stagewise.metrics.check_results import check_test_items
from stagewise.metrics.published_figures import read_published
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context


@check("claims")
def check_claims(context: Context):
    """The measure that claims are about is one that the answers give."""
    config, names = context.config, dict.fromkeys(context.config.own_measures.values())
    lacking = [name for name in names if MEASURES[name].needs == "probabilities"]
    if config.evaluation.method == "generation" and lacking:
        name = lacking[0]
        yield Finding(
            f"{name}, which generated answers lack",
            "warning",
            f"config: statistics.primary_measure is '{name}', a measure of probabilities, and evaluation.method "
            "'generation' gives none, so nothing would be claimed; choose another measure, or the method 'likelihood'",
        )
    elif len(names) > 1:
        titles = ", ".join(f"{task} by {MEASURES[name].title}" for task, name in config.own_measures.items())
        yield Finding(f"about each task's own measure: {titles}")
    else:
        yield Finding(f"about {MEASURES[next(iter(names))].title}")


@check("published figures")
def check_published(context: Context):
    """The file of published figures can be read."""
    path = context.config.published
    if path is not None:
        read_published(path)
    yield Finding("none" if path is None else path)


@check("folds", "splits")
def check_folds(context: Context):
    """All folds are tested on the same items."""
    if len(context.folders) == 1:
        yield Finding("one set of splits")
        return
    check_test_items(context.config, context.results, {folder: context.summary(folder) for folder in context.folders})
    yield Finding(f"{len(context.folders)}, with the same test items")
