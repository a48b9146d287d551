"""Probes with one score per item: their values, resamples and tests, and files that do not belong together."""

import csv
import json
from itertools import product

import numpy as np
import pytest
from scipy import stats

from stagewise.errors import InputError
from stagewise.lineage import BASE
from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.item_scores import ItemScores, ProbeTable, of_lineages, read_item_scores
from stagewise.provenance.receipts import write_receipt
from tests.helpers.fake_probes import write_scores

LATER = "base/seed-0/first"


def items(before, after, weights=None, higher_is_better=True, kind="harness", metric="acc") -> ItemScores:
    scores = {BASE: np.array(before, float), LATER: np.array(after, float)}
    weights = np.ones(len(before)) if weights is None else np.array(weights, float)
    return ItemScores(kind, None, metric, higher_is_better, "0" * 64, weights, scores)


def test_a_value_is_the_weighted_mean_and_so_is_each_resample():
    probe = items([1.0, 2.0, 4.0], [1.5, 2.0, 3.0], [1, 2, 5], False, "text", "bits_per_byte")
    bootstrap = Bootstrap(50, 3, 0.95, [])
    table = ProbeTable({"prose": probe}, bootstrap)
    value, draws = table(LATER, "prose")
    assert value == pytest.approx((1.5 + 2 * 2.0 + 5 * 3.0) / 8)
    drawn = bootstrap.item_weights("prose", 3)
    expected = [np.average(probe.scores[LATER], weights=counts * probe.weights) for counts in drawn]
    assert draws == pytest.approx(expected)
    # Both lineages are resampled by the same weights, so that their difference is paired.
    assert (table(LATER, "prose") - table(BASE, "prose")).value == pytest.approx((0.5 - 5 * 1.0) / 8)


def test_resamples_depend_on_the_name_alone():
    bootstrap = Bootstrap(20, 0, 0.95, ["first"])
    one, again, other = (bootstrap.item_weights(name, 30) for name in ("arc", "arc", "prose"))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_right_and_wrong_answers_have_mcnemars_test():
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    probe = items(before, after)
    lost, gained = int(((before == 1) & (after == 0)).sum()), int(((before == 0) & (after == 1)).sum())
    assert probe.measure.test == "sign-flip" and probe.measure.is_share
    expected = stats.binomtest(gained, gained + lost).pvalue
    assert probe.p_over_items([LATER], [BASE], 0) == ("sign-flip", pytest.approx(expected))
    assert probe.agreement([LATER], [BASE]) == (
        pytest.approx((before.mean() + after.mean()) / 2),
        pytest.approx((lost + gained) / 80),
        80,
    )


def test_other_scores_are_tested_by_drawn_signs():
    rng = np.random.default_rng(1)
    before, moved, weights = rng.normal(size=9), rng.normal(0.3, 0.5, 9), rng.integers(1, 9, 9)
    probe = items(before, before + moved, weights, False, "text", "bits_per_byte")
    sums = [abs(np.dot(signs, weights * moved)) for signs in product((-1, 1), repeat=9)]
    expected = np.mean(np.array(sums) >= abs(np.dot(weights, moved)) - 1e-9)
    test, p = probe.p_over_items([LATER], [BASE], 0)
    assert test == "exchange" and p == pytest.approx(expected, abs=0.015)
    assert probe.p_over_items([LATER], [LATER], 0)[1] == 1
    # Several runs are flipped together.
    assert probe.p_over_items([LATER, LATER], [BASE, BASE], 0)[1] == p


@pytest.mark.parametrize(
    ("probe", "is_share", "exact"),
    [
        (items([0, 1], [1, 1]), True, True),
        (items([0, 1], [1, 1], [1, 2]), True, False),
        (items([0.2, 1], [1, 1]), True, False),
        (items([0.2, 1], [1, 0.4], higher_is_better=False), False, False),  # such as bits per byte below 1
        (items([20, 60], [30, 10]), False, False),  # such as BLEU
    ],
)
def test_scores_from_0_to_1_are_shares_where_higher_is_better(probe, is_share, exact):
    assert (probe.is_share, probe.is_right_or_wrong) == (is_share, exact)
    assert probe.measure.is_share == is_share


def test_scores_of_other_lineages_are_left_out():
    kept = of_lineages({"arc": items([0, 1], [1, 1])}, [BASE])
    assert list(kept["arc"].scores) == [BASE]


@pytest.fixture
def results(tmp_path):
    """Scores of two lineages, and what the receipts of their predictions say."""
    for lineage in (BASE, LATER):
        write(tmp_path, lineage)
    return tmp_path


PREDICTIONS = {BASE: {"inputs": {"adapter": None}}, LATER: {"inputs": {"adapter": {"recipe": "r", "weights": "w"}}}}
BASES = dict.fromkeys(PREDICTIONS, BASE)


def write(results, lineage, scores=(0.0, 1.0, 1.0), weights=(1, 1, 1), rows=None, facts=None, **inputs):
    folder = results / lineage / "probes"
    told = write_scores(folder, "arc", "harness", scores, weights)
    if rows is not None:
        with open(folder / "arc.csv", "w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows(rows)
    inputs = {"model": "m", "settings": {}} | ({"adapter": PREDICTIONS[lineage]["inputs"]["adapter"]} | inputs)
    probes = {"arc": told | facts} if facts else {} if facts == {} else {"arc": told}
    write_receipt(folder, {"inputs": inputs, "probes": probes})


def test_scores_are_read_as_they_were_written(results):
    probe = read_item_scores(results, PREDICTIONS, ["arc"], BASES)["arc"]
    assert (probe.metric, probe.kind, probe.higher_is_better) == ("acc", "harness", True)
    assert probe.scores[LATER].tolist() == [0, 1, 1] and probe.weights.tolist() == [1, 1, 1]
    assert read_item_scores(results, PREDICTIONS, [], BASES) == {}


HEAD = ["id", "score", "weight"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": [["id", "score"], ["a", 1]]}, r"arc\.csv: the column 'weight' is missing; run the probe step again"),
        ({"rows": [HEAD, ["a", "nan", 1]]}, r"the score of the item 'a' is no finite number \('nan'\)"),
        ({"rows": [HEAD, ["a", 1, 0]]}, "the weight of the item 'a' is not positive"),
        ({"rows": [HEAD, ["a", 1, 1], ["a", 0, 1]]}, "two items have one id"),
        ({"rows": [HEAD]}, "the probe has no items; give it some, or take it out of probes"),
        ({"scores": (0.0, 1.0), "weights": (1, 1)}, "not the items, or not the weights, of"),
        ({"weights": (1, 1, 2)}, "not the items, or not the weights, of"),
        ({"facts": {"checksum": "f" * 64}}, "the probe 'arc' has other items than the untuned model's"),
        ({"facts": {"measure": "acc_norm"}}, "the probe 'arc' has another measure than the untuned model's"),
        ({"facts": {"higher_is_better": "yes"}}, "'higher_is_better' of the probe 'arc' is missing or no such value"),
        ({"facts": {}}, "does not vouch for the probe 'arc'"),
        ({"model": "other"}, "of another base model than those of the untuned model"),
        ({"settings": {"harness": 1}}, "made with other settings"),
        ({"behaviour": {"lm_eval": "0.4.9"}}, "made by another version than those of the untuned model"),
        ({"adapter": {"recipe": "r", "weights": "x"}}, "these scores are of another adapter than the predictions"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(results, change, says):
    write(results, LATER, **change)
    with pytest.raises(InputError, match=says):
        read_item_scores(results, PREDICTIONS, ["arc"], BASES)


def test_a_damaged_or_missing_file_is_named(results):
    path = results / LATER / "probes" / "arc.csv"
    path.write_text(path.read_text().replace("1.0", "0.0", 1))
    with pytest.raises(InputError, match=r"first/probes/arc\.csv: the scores of the probes does not match"):
        read_item_scores(results, PREDICTIONS, ["arc"], BASES)
    (results / LATER / "probes" / "receipt.json").unlink()
    with pytest.raises(InputError, match=r"probes/receipt\.json"):
        read_item_scores(results, PREDICTIONS, ["arc"], BASES)
    assert json.loads((results / BASE / "probes" / "receipt.json").read_text())["probes"]
