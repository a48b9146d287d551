"""Properties of the metrics on drawn answers, against scikit-learn, SciPy, statsmodels and enumeration."""

import warnings
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.multitest import multipletests

from stagewise.counts import confusion_counts, label_f1, recalls
from stagewise.measures import MEASURES, measures_of
from stagewise.metrics import transfer
from stagewise.metrics.bootstrap import Bootstrap, Resampled, draw_weights
from stagewise.metrics.calibration import calibration_bins
from stagewise.metrics.decision_rules import (
    TAUS,
    Refits,
    choose_taus,
    fit_prior_adjustment,
    normalize,
    remove_average,
)
from stagewise.metrics.discrimination import pair_aurocs
from stagewise.metrics.forgetting import count_pairs
from stagewise.metrics.scores import resample_scores
from stagewise.metrics.significance import holm, sign_flip, sum_by_group
from tests.helpers import properties  # noqa: F401
from tests.helpers.drawn_predictions import predictions

COUNTED = [name for name, measure in measures_of("classification").items() if measure.needs == "confusion"]


@st.composite
def answered(draw, most_items=24):
    """Number of labels, gold codes, answers (the number of labels: an invalid one), log-probabilities with ties."""
    labels, items = draw(st.integers(2, 4)), draw(st.integers(1, most_items))
    gold = draw(st.lists(st.integers(0, labels - 1), min_size=items, max_size=items))
    answer = draw(st.lists(st.integers(0, labels), min_size=items, max_size=items))
    steps = draw(st.lists(st.integers(-8, 0), min_size=items * labels, max_size=items * labels))
    return labels, np.array(gold), np.array(answer), normalize(np.array(steps, dtype=float).reshape(items, labels) / 2)


seeds = st.integers(0, 2**32 - 1)


def scikit_learn(name, gold, answer, labels):
    occurring = sorted({*gold.tolist(), *answer.tolist()} - {labels})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "accuracy": lambda: sk.accuracy_score(gold, answer),
            "macro_f1": lambda: sk.f1_score(gold, answer, labels=occurring, average="macro", zero_division=0),
            "balanced_accuracy": lambda: sk.recall_score(gold, answer, labels=np.unique(gold), average="macro"),
            "mcc": lambda: sk.matthews_corrcoef(gold, answer),
        }[name]()


def macro_f1(gold, answer):
    """Written out, because scikit-learn takes its time."""
    counts = [((gold == n) & (answer == n), (gold == n).sum() + (answer == n).sum()) for n in {*gold, *answer}]
    return sum(2 * right.sum() / total for right, total in counts) / len(counts)


def value(name, gold, answer, labels):
    return float(MEASURES[name].function(confusion_counts(gold, answer, labels)))


@pytest.mark.parametrize("name", COUNTED)
@given(given_=answered(), seed=seeds)
def test_a_measure_is_scikit_learns_in_any_order_of_items_and_labels(name, given_, seed):
    labels, gold, answer, _ = given_
    found = value(name, gold, answer, labels)
    assert found == pytest.approx(scikit_learn(name, gold, answer, labels), abs=1e-9)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(gold)), np.append(rng.permutation(labels), labels)
    assert value(name, names[gold[order]], names[answer[order]], labels) == pytest.approx(found, abs=1e-9)
    # A label that nobody uses is no label.
    assert value(name, gold, np.where(answer == labels, labels + 1, answer), labels + 1) == pytest.approx(found)


@given(given_=answered(), seed=seeds)
def test_scores_of_labels_follow_their_labels(given_, seed):
    labels, gold, answer, _ = given_
    names = np.append(np.random.default_rng(seed).permutation(labels), labels)
    for function in (label_f1, recalls):
        before = function(confusion_counts(gold, answer, labels))
        after = function(confusion_counts(names[gold], names[answer], labels))
        assert after[names[:-1]] == pytest.approx(before, nan_ok=True)


@given(given_=answered(), seed=seeds, grouped=st.booleans())
def test_a_resample_is_scored_as_its_items_written_out(given_, seed, grouped):
    labels, gold, answer, logs = given_
    groups = np.unique(np.random.default_rng(seed).integers(0, 5, len(gold)), return_inverse=True)[1]
    weights = draw_weights(len(gold), 6, seed, groups if grouped else None)
    if grouped:
        assert all(len(set(weight[groups == group])) == 1 for weight in weights for group in groups)
        firsts = np.unique(groups, return_index=True)[1]
        assert (weights[:, firsts].sum(1) == groups.max() + 1).all()
    else:
        assert (weights.sum(1) == len(gold)).all()
    probabilities = np.exp(logs)
    scores = resample_scores(predictions(gold, answer, logs, range(labels)), weights)
    for number, weight in enumerate(weights):
        items = np.repeat(np.arange(len(gold)), weight.astype(int))
        for name in COUNTED:
            expected = scikit_learn(name, gold[items], answer[items], labels)
            assert scores.measures[name].draws[number] == pytest.approx(expected, abs=1e-6)
        squares = ((probabilities - np.eye(labels)[gold]) ** 2).sum(1)[items].mean()
        assert scores.measures["brier"].draws[number] == pytest.approx(squares, abs=1e-6)


@given(given_=answered(), seed=seeds)
def test_an_interval_covers_most_of_the_resamples_and_stays_in_range(given_, seed):
    labels, gold, answer, _ = given_
    scores = resample_scores(predictions(gold, answer, labels=range(labels)), draw_weights(len(gold), 50, seed))
    for name in COUNTED:
        found = Bootstrap(50, 0, 0.95, []).value(scores.measures[name], len(gold))
        low, high = MEASURES[name].range
        assert low - 1e-9 <= found.value <= high + 1e-9
        assert (found.low is None) == (found.high is None) == (found.reason is not None)
        if found.low is not None:
            draws = scores.measures[name].draws
            assert low - 1e-9 <= found.low <= found.high <= high + 1e-9
            assert ((draws >= found.low) & (draws <= found.high)).mean() >= 0.9


@given(given_=answered(), seed=seeds)
def test_aurocs_of_pairs_are_scikit_learns(given_, seed):
    labels, gold, _, logs = given_
    weights = draw_weights(len(gold), 4, seed)
    ours, once = pair_aurocs(logs, gold, weights), pair_aurocs(logs, gold)[0]
    for pair, (first, second) in enumerate(combinations(range(labels), 2)):
        of_pair = np.isin(gold, (first, second))
        odds, is_first = (logs[:, first] - logs[:, second])[of_pair], gold[of_pair] == first
        for found, weight in [(once[pair], np.ones(len(gold))), *zip(ours[:, pair], weights, strict=True)]:
            weight = weight[of_pair]
            if weight[is_first].sum() and weight[~is_first].sum():
                # scikit-learn compares scores as they are; renormalized ones may differ in their last digits.
                expected = sk.roc_auc_score(is_first, odds.round(9), sample_weight=weight)
                assert found == pytest.approx(expected, abs=1e-6)
            else:
                assert np.isnan(found)


@given(given_=answered(most_items=12), seed=seeds)
def test_tau_is_the_smallest_with_the_best_value_on_every_resample(given_, seed):
    labels, gold, _, logs = given_
    rng = np.random.default_rng(seed)
    priors, weights = np.log(rng.dirichlet(np.ones(labels))), draw_weights(len(gold), 3, seed)
    for name, score in {"macro_f1": macro_f1, "accuracy": sk.accuracy_score}.items():
        chosen = choose_taus(logs, gold, priors, weights, MEASURES[name])
        for weight, found in zip(weights, chosen, strict=True):
            items = np.repeat(np.arange(len(gold)), weight.astype(int))
            scores = [score(gold[items], (logs - tau * priors).argmax(1)[items]) for tau in TAUS]
            assert found == np.flatnonzero(np.array(scores) >= max(scores) - 1e-9)[0]
        tau, bias = fit_prior_adjustment(logs, gold, priors, MEASURES[name])
        assert bias == pytest.approx(-tau * priors)


@given(given_=answered(), seed=seeds)
def test_a_refitted_rule_answers_as_its_bias_says(given_, seed):
    labels, gold, _, logs = given_
    weights = draw_weights(len(gold), 5, seed)
    biases = remove_average(logs, weights)
    refits = Refits(logs, biases, np.arange(5))
    for draw in range(5):
        items = np.repeat(np.arange(len(gold)), weights[draw].astype(int))
        assert biases[draw] == pytest.approx(remove_average(logs[items]), abs=1e-5)
        shifted = np.exp(normalize(logs + biases[draw]))
        # Where two labels tie, either is an answer.
        chosen = shifted[np.arange(len(gold)), refits.answers()[draw]]
        assert chosen == pytest.approx(shifted.max(1))
        assert refits.of_gold(gold)[draw] == pytest.approx(shifted[np.arange(len(gold)), gold])


@given(given_=answered(), bins=st.integers(1, 12))
def test_calibration_bins_hold_every_item_once(given_, bins):
    labels, gold, _, logs = given_
    probabilities = np.exp(logs)
    found = calibration_bins(probabilities, gold, bins)
    assert sum(entry.items for entry in found) == len(gold)
    assert sum(entry.right for entry in found) == (probabilities.argmax(1) == gold).sum()
    for entry in found:
        assert entry.bin / bins - 1e-9 <= entry.confidence <= (entry.bin + 1) / bins + 1e-9


whole = st.lists(st.integers(-4, 4), min_size=1, max_size=9)


@given(differences=whole, seed=seeds)
def test_the_sign_flip_test_counts_every_pattern_in_any_order(differences, seed):
    values = np.array(differences)
    sums = np.array([np.dot(signs, values) for signs in product((-1, 1), repeat=len(values))])
    expected = (abs(sums) >= abs(values.sum())).mean()
    assert sign_flip(values) == pytest.approx(expected, abs=1e-12)
    assert sign_flip(-np.random.default_rng(seed).permutation(values)) == pytest.approx(expected, abs=1e-12)
    groups = np.unique(np.random.default_rng(seed).integers(0, 4, len(values)), return_inverse=True)[1]
    assert sum_by_group(values, groups).tolist() == [values[groups == g].sum() for g in range(groups.max() + 1)]


@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_pairs_are_counted_once_and_tested_as_mcnemar(pairs):
    before, after = np.array(pairs).T
    found = count_pairs(before, after)
    assert found.right_both + found.lost == before.sum() and found.right_both + found.gained == after.sum()
    changed = found.lost + found.gained
    expected = stats.binomtest(found.lost, changed).pvalue if changed else 1
    assert found.p == pytest.approx(expected, abs=1e-9)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=12), seed=seeds)
def test_holms_correction_is_statsmodels_in_any_order(values, seed):
    found = holm(values)
    assert found == pytest.approx(multipletests(values, method="holm")[1])
    order = np.random.default_rng(seed).permutation(len(values))
    assert holm(np.array(values)[order].tolist()) == pytest.approx(np.array(found)[order])
    assert all(p <= corrected <= 1 for p, corrected in zip(values, found, strict=True))


@given(scores=st.integers(2, 4).flatmap(lambda n: st.lists(st.floats(0, 1), min_size=n * n + n, max_size=n * n + n)))
def test_forgetting_is_at_least_what_backward_transfer_lost(scores):
    tasks = int((np.sqrt(1 + 4 * len(scores)) - 1) / 2)
    matrix, in_turn = np.array(scores).reshape(tasks + 1, tasks), {task: task + 1 for task in range(tasks)}
    learnt = transfer.Learnt(in_turn, in_turn, tasks)
    backward, forgotten = transfer.backward_transfer(matrix, learnt), transfer.forgetting(matrix, learnt)
    assert forgotten >= -backward - 1e-12
    if tasks == 2:
        assert forgotten == pytest.approx(-backward)
    # What every score has in common is in the average alone.
    assert transfer.backward_transfer(matrix + 1, learnt) == pytest.approx(backward)
    assert transfer.forgetting(matrix + 1, learnt) == pytest.approx(forgotten)
    assert transfer.average(matrix + 1, learnt) == pytest.approx(transfer.average(matrix, learnt) + 1)
    # Of many matrices at once, each is measured alone.
    both = np.stack([matrix, 1 - matrix])
    assert transfer.forward_transfer(both, learnt) == pytest.approx(
        [transfer.forward_transfer(one, learnt) for one in both]
    )


@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=5), seed=seeds)
def test_equal_runs_average_to_one_of_them(values, seed):
    draws = np.random.default_rng(seed).random((len(values), 20))
    bootstrap = Bootstrap(20, 0, 0.95, [])
    runs = [Resampled(one, draw) for one, draw in zip(values, draws, strict=True)]
    found = bootstrap.over_runs(runs, 10, (0, 1)).value
    assert found.value == pytest.approx(np.mean(values)) and found.runs == len(values)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert bootstrap.over_runs(runs[::-1], 10, (0, 1)).value.low == pytest.approx(found.low)
