"""Rules and declarations agree, or nothing is planned."""

from pathlib import Path

import pytest

from stagewise.errors import InputError
from stagewise.pipeline.artifact import Artifact
from stagewise.pipeline.check_rules import check_rules


class Rule:
    """As much of Snakemake's rule as the check asks for."""

    def __init__(self, name, output, input=()):
        self.name, self.output, self.input = name, output, input

    def get_wildcards(self, path):
        return {} if path in self.output else None

    def expand_output(self, wildcards):
        return (self.output,)

    def expand_input(self, wildcards):
        return (self.input,)


def artifact(rule="count", outputs=("out/count.txt",), inputs=("data.csv",)) -> Artifact:
    return Artifact(rule, "counts", "count", tuple(map(Path, outputs)), tuple(map(Path, inputs)), list, ())


def test_rules_that_are_declared_pass():
    check_rules([Rule("count", ["out/count.txt"], ["data.csv"]), Rule("all", [], ["out/count.txt"])], [artifact()])


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (
            [Rule("count", ["out/count.txt"], ["data.csv"]), Rule("note", ["note.txt"])],
            "rule note: no artifact declares",
        ),
        ([Rule("count", ["out/other.txt"], ["data.csv"])], "does not list out/count.txt"),
        ([Rule("count", ["out/count.txt", "more.txt"], ["data.csv"])], "more.txt is an output in the rule and not in"),
        ([Rule("count", ["out/count.txt"], [])], "data.csv is an input in its declaration and not in the rule"),
        ([Rule("count", ["out/count.txt"], ["data.csv", "b"])], "b is an input in the rule and not in its declaration"),
        ([], "there is no such rule"),
    ],
)
def test_a_difference_is_one_sentence(rules, says):
    with pytest.raises(InputError, match=says):
        check_rules(rules, [artifact()])
