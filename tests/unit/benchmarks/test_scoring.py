"""The comparison of scorings: the same accuracy, or no comparison."""

import pytest

from benchmarks.scoring import check_accuracy, read_accuracy
from stagewise.errors import InputError


def test_programs_that_do_not_agree_end_the_benchmark():
    check_accuracy({"a": [{"accuracy": 0.8375}, {"accuracy": 67 / 80}], "b": [{"accuracy": 0.8375}]})
    with pytest.raises(InputError, match="a 0.8375; b 0.85"):
        check_accuracy({"a": [{"accuracy": 0.8375}], "b": [{"accuracy": 0.85}]})


def test_accuracy_is_the_share_of_right_answers(tmp_path):
    (tmp_path / "p.csv").write_text('"id","label","prediction"\n1,yes,yes\n2,no,yes\n3,no,no\n4,no,\n')
    assert read_accuracy(tmp_path / "p.csv") == 0.5
