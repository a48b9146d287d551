"""The calculation of the three-seed study."""

from dataclasses import replace

import pytest

from benchmarks import study_model
from benchmarks.flops import forward_flops, training_flops
from benchmarks.lengths import read_lengths, typical_lengths
from benchmarks.study_model import LLAMA_1B, Work, calculate, study, ways


@pytest.fixture(scope="module")
def config():
    return study()


def test_a_pass_takes_the_longer_of_arithmetic_and_launching():
    work = Work()
    work.add(10, study_model.ARITHMETIC, 0.5)
    work.add(2, 0, 0.5)
    assert (work.arithmetic, work.host, work.passes) == (10, 6, 11)


def test_a_training_has_the_passes_of_its_steps_and_evaluations(config):
    adapter = study_model.lineage_tree(config)["base/seed-0/pubmedqa"]
    lengths = {"pubmedqa": {"items": {"train": 450, "validation": 50, "test": 500}, "mean": 400.0}}
    before, after, _ = ways(config)
    work = Work()
    # 450 items of 3 epochs in steps of 16: 29 steps an epoch, evaluated every 40 steps.
    assert study_model.add_training(work, config, adapter, before, lengths, LLAMA_1B) == 3
    passes, evaluations, scored = 87 * 4, 4, 5
    host_score, host_train = study_model.HOST_SECONDS["nf4"]
    # Per evaluation 13 passes for the loss, and 5 batches of 10 items, prompts and answers.
    assert work.host == pytest.approx(passes * host_train + evaluations * (13 + 2 * scored) * host_score)
    done = passes * 4 * 400 * training_flops(LLAMA_1B, 400, 16)
    done += evaluations * (13 * 4 + 50) * 400 * forward_flops(LLAMA_1B, 400)
    assert work.arithmetic == pytest.approx(done / study_model.ARITHMETIC)
    fewer = Work()
    study_model.add_training(fewer, config, adapter, after, lengths, LLAMA_1B)
    assert fewer.host < work.host / 4


def test_the_goal_is_reached_by_larger_passes_fewer_processes_and_two_jobs(config):
    lengths = read_lengths("real")
    before, after, shared = (calculate(config, way, lengths) for way in ways(config))
    assert before.total > 2.5 and before.busy < 0.1
    assert after.total < before.total / 3
    assert 60 * shared.total <= 45 and shared.busy >= 0.4
    # Fewer starts are worth what they take, but for a copy's second.
    way = ways(config)[0]
    saved = before.starting - calculate(config, replace(way, starts=way.starts - 10), lengths).starting
    assert saved == pytest.approx(10 * (study_model.START_SECONDS - study_model.COPY_SECONDS) / 3600)


def test_more_jobs_than_the_gpu_has_arithmetic_for_do_not_help(config):
    way = replace(ways(config)[1], jobs_per_gpu=1000)
    hours = calculate(config, way, read_lengths("real"))
    assert hours.total == hours.arithmetic and hours.busy == 1


def test_the_table_says_that_it_is_calculated(capsys):
    assert study_model.main(["--starts", "57"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Calculated, not measured: 54 trainings, 15 merges, 70 predictions")
    assert "57 processes" in out


def test_typical_lengths_have_the_distribution_of_the_quantiles():
    lengths = typical_lengths([10, 20, 100], 1000)
    assert lengths == sorted(lengths) and min(lengths) >= 10 and max(lengths) <= 100
    assert sum(length <= 20 for length in lengths) == pytest.approx(500, abs=10)
    for task in read_lengths("real").values():
        drawn = typical_lengths(task["quantiles"], 400)
        assert sum(drawn) / 400 == pytest.approx(task["mean"], rel=0.02)
