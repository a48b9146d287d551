"""Prior or knowledge: what rules, tests and AUROC must show before a loss is called a shifted label prior."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest

from stagewise.lineage import Step
from stagewise.metrics.arms import ArmScores
from stagewise.metrics.bootstrap import NO_SPREAD, Bootstrap
from stagewise.metrics.decision_rules import DecisionRules, normalize
from stagewise.metrics.discrimination import DiscriminationTable
from stagewise.metrics.prior_shift import judge, prior_shifts
from stagewise.metrics.schema import RULES, RuleGain, Value
from stagewise.metrics.scores import ScoreTable
from stagewise.metrics.significance import holm
from tests.helpers.drawn_predictions import answered, predictions
from tests.helpers.records import find

LEARNT, LAST, MARGIN = "base/seed-{}/first", "base/seed-{}/first/second", 0.02
KEPT = Value(value=0.0, low=-0.01, high=0.01)
# Accuracy after learning and after the last stage: remedies-small as it was published, arm sequential.
PUBLISHED = {
    "argmax": (0.475, 0.338),
    "prior-adjusted": (0.300, 0.312),
    "batch-calibrated": (0.287, 0.325),
    "contextual": (0.150, 0.163),
}


def arm_scores(predictions_by_key: dict, rules, runs=1, samples=400) -> ArmScores:
    """One arm that learns the task `first`, then `second`; made of the base model and two adapters a run."""
    steps, lineages = [], ["base"]
    for run in range(runs):
        path = ["base", LEARNT.format(run), LAST.format(run)]
        tasks = ([], ["first"], ["second"])
        steps.append([Step(n, tasks[n], name, {"first": name, "second": name}) for n, name in enumerate(path)])
        lineages += path[1:]
    bootstrap = Bootstrap(samples, 0, 0.95, ["first", "second"])
    table = ScoreTable(predictions_by_key, rules, bootstrap)
    return ArmScores({"sequential": steps}, ["first", "second"], "test", lineages, table)


def shifts(arms: ArmScores, auroc_change, verdict="worse") -> list:
    """Records of an experiment whose report claims by default that the arm lost accuracy on `first`."""
    kept = SimpleNamespace(kind="kept", task="first", measure="accuracy", verdict=verdict, arms=["sequential"])
    return prior_shifts(arms, [kept], auroc_change, MARGIN)


class GivenAnswers:
    """Decision rules whose answers are given by lineage and rule, as far as scores ask for them."""

    def __init__(self, answers: dict):
        self._answers = answers

    def apply(self, lineage, task, split):
        return {rule: SimpleNamespace(answer=answer) for rule, answer in self._answers[lineage].items()}

    def shared(self, lineages, task, split):
        return list(RULES)

    def refit(self, *case):
        return None


def with_accuracies(accuracies: dict, items=1000) -> ArmScores:
    """An arm whose rules have exactly these accuracies on `first`, the right items drawn at random."""
    rng, gold = np.random.default_rng(0), np.zeros(items, dtype=int)

    def answers(share):
        answer = np.ones(items, dtype=int)
        answer[rng.permutation(items)[: round(share * items)]] = 0
        return answer

    by_lineage = {"base": {rule: answers(0.3) for rule in RULES}}
    for place, lineage in enumerate((LEARNT.format(0), LAST.format(0))):
        by_lineage[lineage] = {rule: answers(shares[place]) for rule, shares in accuracies.items()}
    made = {
        (lineage, task, "test"): predictions(gold, by_rule["argmax"])
        for lineage, by_rule in by_lineage.items()
        for task in ("first", "second")
    }
    return arm_scores(made, GivenAnswers(by_lineage))


def test_rules_that_give_nothing_back_are_no_sign_of_a_shifted_prior():
    """The published situation: rules that ruin the answers before and after change little between the two."""
    arms = with_accuracies(PUBLISHED)
    (record,) = shifts(arms, lambda *_: KEPT)
    assert record.verdict == "not shown"
    assert record.loss.value == pytest.approx(-0.137) and record.loss.high < 0
    for rule in RULES[1:]:
        entry = find(record.rules, rule=rule)
        assert entry.gain.value == pytest.approx(PUBLISHED[rule][1] - PUBLISHED["argmax"][1])
        assert entry.left.value == pytest.approx(PUBLISHED[rule][1] - PUBLISHED["argmax"][0])
        right = [
            arms.scores.rules.apply(LAST.format(0), "first", "test")[name].answer == 0 for name in ("argmax", rule)
        ]
        lost, gained = (int((first & ~second).sum()) for first, second in (right, right[::-1]))
        assert entry.p == pytest.approx(binomtest(lost, lost + gained).pvalue)
    assert [entry.p_corrected for entry in record.rules] == pytest.approx(holm([entry.p for entry in record.rules]))


@pytest.mark.parametrize(
    ("auroc", "verdict"),
    [
        (KEPT, "shifted prior"),
        # Not measurably lower, but far from shown to have stayed.
        (Value(value=-0.06, low=-0.15, high=0.02), "not shown"),
        (Value(value=-0.2, low=-0.3, high=-0.1), "knowledge lost"),
        (None, "not shown"),
    ],
)
def test_a_rule_that_gives_the_loss_back_needs_auroc_to_have_stayed(auroc, verdict):
    arms = with_accuracies(PUBLISHED | {"contextual": (0.475, 0.470)})
    (record,) = shifts(arms, lambda *_: auroc)
    assert record.verdict == verdict


LOSS = Value(value=-0.2, low=-0.25, high=-0.15)


def gain(gained=(0.1, 0.15, 0.2), left=(-0.09, -0.05, -0.01), p=0.001) -> RuleGain:
    bounds = [Value(low=low, value=value, high=high) for low, value, high in (gained, left)]
    return RuleGain(rule="contextual", gain=bounds[0], left=bounds[1], p=p, p_corrected=p)


NO_HELP = gain(gained=(-0.1, 0.0, 0.1), left=(-0.3, -0.2, -0.1), p=1)


@pytest.mark.parametrize(
    ("loss", "gains", "auroc", "verdict"),
    [
        (LOSS, [NO_HELP, gain()], [KEPT], "shifted prior"),
        # Each condition alone is not enough.
        (LOSS, [gain(p=0.05)], [KEPT], "not shown"),
        (LOSS, [gain(gained=(0.0, 0.15, 0.3))], [KEPT], "not shown"),
        (LOSS, [gain(left=(-0.1, -0.05, 0.0))], [KEPT], "not shown"),
        (LOSS, [gain()], [Value(value=0.0, low=-0.02, high=0.02)], "not shown"),
        # The conditions hold for one and the same rule, not for two between them.
        (LOSS, [gain(p=0.2), gain(left=(-0.2, -0.15, -0.1))], [KEPT], "not shown"),
        # In every run, or it is not shown.
        (LOSS, [gain()], [KEPT, KEPT], "shifted prior"),
        (LOSS, [gain()], [KEPT, Value(value=-0.06, low=-0.15, high=0.02)], "not shown"),
        (LOSS, [gain()], [KEPT, Value(reason="a label of the pair has no item")], "not shown"),
        (LOSS, [NO_HELP], [Value(value=-0.2, low=-0.3, high=-0.1)] * 2, "knowledge lost"),
        (LOSS, [NO_HELP], [Value(value=-0.2, low=-0.3, high=-0.1), KEPT], "not shown"),
        # Nothing that differs in any resample is as sure as can be; a lower value without spread is not.
        (LOSS, [gain()], [Value(value=0.0, reason=NO_SPREAD)], "shifted prior"),
        (LOSS, [gain()], [Value(value=-0.01, reason=NO_SPREAD)], "not shown"),
        (LOSS, [gain().model_copy(update={"left": Value(value=0.0, reason=NO_SPREAD)})], [KEPT], "shifted prior"),
    ],
)
def test_the_verdict_needs_every_condition(loss, gains, auroc, verdict):
    assert judge(loss, gains, auroc, 0.01, MARGIN, 0.05) == verdict


def test_a_fall_of_auroc_is_lost_knowledge_only_if_the_corrected_test_agrees():
    fell = [Value(value=-0.2, low=-0.3, high=-0.1)]
    assert judge(LOSS, [NO_HELP], fell, 0.04, MARGIN, 0.05) == "knowledge lost"
    assert judge(LOSS, [NO_HELP], fell, 0.06, MARGIN, 0.05) == "not shown"


def test_nothing_is_said_of_a_loss_that_the_report_does_not_claim():
    (record,) = shifts(with_accuracies(PUBLISHED), lambda *_: KEPT, verdict="not shown")
    assert (record.verdict, record.auroc_p) == ("no loss shown", None)


def with_probabilities(later, runs=1) -> tuple[ArmScores, DiscriminationTable]:
    """An arm whose log-probabilities on `first` after the last stage are `later(split, run, gold, logs before)`."""
    made = {}
    for number, split in enumerate(("validation", "test")):
        for task in ("first", "second"):
            for run in range(runs):
                # The items, and so the gold labels, are the same in every run.
                gold = np.random.default_rng(number).integers(0, 3, 600)
                scores = np.random.default_rng([number, run]).normal(size=(600, 3))
                scores[np.arange(600), gold] += 2
                logs = {
                    LEARNT.format(run): scores,
                    LAST.format(run): later(split, run, gold, scores),
                    "base": 0 * scores,
                }
                for lineage, values in logs.items():
                    made[lineage, task, split] = predictions(gold, values.argmax(1), normalize(values))
    priors = {(lineage, task): np.full(3, np.log(1 / 3)) for lineage, task, _ in made}
    arms = arm_scores(made, DecisionRules(made, priors, {}), runs)
    return arms, DiscriminationTable(made, arms.bootstrap)


@pytest.mark.parametrize("runs", [1, 3])
def test_answers_that_lean_to_a_label_are_a_shifted_prior(runs):
    """A bias for one label keeps the items' ranking; batch calibration takes it away."""

    def biased(split, run, gold, logs):
        return logs + np.array([-3.0, 0.0, 0.0]) + np.random.default_rng(run).normal(scale=0.05, size=logs.shape)

    arms, discrimination = with_probabilities(biased, runs)
    (record,) = shifts(arms, discrimination.change)
    assert record.verdict == "shifted prior"
    assert (record.arm, record.task, len(record.auroc)) == ("sequential", "first", runs)
    batch = find(record.rules, rule="batch-calibrated")
    assert batch.gain.low > 0.1 and batch.left.low > record.loss.value / 2 and batch.p_corrected < 0.01


def test_answers_that_tell_labels_apart_worse_are_lost_knowledge():
    arms, discrimination = with_probabilities(lambda split, run, gold, logs: logs - 1.7 * np.eye(3)[gold])
    (record,) = shifts(arms, discrimination.change)
    assert record.verdict == "knowledge lost"
    assert record.auroc[0].high < 0


def test_a_bias_that_moves_nothing_else_leaves_auroc_without_spread():
    arms, discrimination = with_probabilities(lambda split, run, gold, logs: logs + np.array([-3.0, 0.0, 0.0]))
    (record,) = shifts(arms, discrimination.change)
    assert record.verdict == "shifted prior"


def test_nothing_is_recorded_of_an_arm_of_which_nothing_is_claimed():
    assert prior_shifts(with_accuracies(PUBLISHED), [], lambda *_: KEPT, MARGIN) == []


def test_nothing_is_recorded_where_nothing_can_be_lost(one):
    """The same adapter before and after; no later stage."""
    _, report = one
    assert {record.arm for record in report.prior_shifts} == {"sequential", "rehearsal-10", "blend-0.5"}
    for record in report.prior_shifts:
        assert [entry.rule for entry in record.rules] == list(RULES[1:])
        change = find(report.arm_tasks, arm=record.arm, task=record.task, rule="argmax").change["accuracy"]
        assert record.loss == change
    tests = [entry for record in report.prior_shifts for entry in record.rules]
    assert [entry.p_corrected for entry in tests] == pytest.approx(holm([entry.p for entry in tests]))


def test_generated_answers_have_no_rules_to_compare():
    gold, logs = answered(60)
    made = {
        (lineage, task, "test"): predictions(gold, logs.argmax(1))
        for lineage in ("base", LEARNT.format(0), LAST.format(0))
        for task in ("first", "second")
    }
    assert shifts(arm_scores(made, DecisionRules(made, {}, {})), lambda *_: None) == []
