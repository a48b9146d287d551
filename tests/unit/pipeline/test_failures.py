"""The sentence of each failed step, from Snakemake's log and the step's own."""

from stagewise.pipeline.failures import failed_steps

LOG = """
Error in rule {rule}:
    jobid: 5
    log: {log} (check log file(s) for error details)
"""


def test_a_failed_step_is_named_with_its_own_sentence(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("loading\nerror: recipe.json: damaged; write it again\n")
    (tmp_path / "run.log").write_text(LOG.format(rule="train_adapter", log=log))
    assert failed_steps([tmp_path / "run.log"]) == [
        f"train_adapter failed: recipe.json: damaged; write it again (log: {log})"
    ]


def test_of_a_failed_group_only_the_steps_that_failed_are_named(tmp_path):
    """Snakemake names all of them, also those that ended well and those that never began."""
    logs = {name: tmp_path / f"{name}.log" for name in ("first", "second", "third")}
    logs["first"].write_text("base/seed-0: adapter is at out\n")
    logs["second"].write_text("error: the loss is not finite; lower the learning rate\n")
    text = "".join(LOG.format(rule="train_adapter", log=log) for log in logs.values())
    (tmp_path / "run.log").write_text("Error in group siblings:\n" + text.replace("\n", "\n    "))
    assert failed_steps([tmp_path / "run.log"]) == [
        f"train_adapter failed: the loss is not finite; lower the learning rate (log: {logs['second']})"
    ]
