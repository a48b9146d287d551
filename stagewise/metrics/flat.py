"""The main figures as nested names and numbers, for tools that compare runs (``dvc metrics``) and read no lists."""

from stagewise.metrics.schema import ReportMetrics


def flatten(metrics: ReportMetrics) -> dict:
    """Scores by arm, task and measure: ``rehearsal.pubmedqa.accuracy.value``, its ``low`` and ``high``.

    Labels are the most likely ones (no decision rule), on test where it is scored. ``change`` is since the stage that
    learnt the task, for tasks that another stage came after. What has no value is left out.
    """
    splits = metrics.experiment.splits
    split = "test" if "test" in splits else splits[0]
    flat: dict = {}
    for task in metrics.arm_tasks:
        if task.rule != "argmax" or task.split != split:
            continue
        place = flat.setdefault(task.arm, {}).setdefault(task.task, {})
        for name, spread in ((task.measure, task.final), (f"{task.measure}_change", task.change)):
            if spread.value is not None:
                numbers = {"value": spread.value, "low": spread.both.low, "high": spread.both.high}
                place[name] = {key: number for key, number in numbers.items() if number is not None}
    return flat
