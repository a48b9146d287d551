"""Memory and disk against estimates."""

from stagewise.models.machine import Memory
from stagewise.pipeline.preflight import memory


def test_weights_that_do_not_fit_fail_and_a_close_fit_is_a_warning(tiny_experiment, monkeypatch):
    monkeypatch.setattr(memory, "visible_gpus", lambda: [])
    monkeypatch.setattr(memory, "memory", lambda: Memory(10**5, 10**5))
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and "the model's weights take 1 MB, and there are 0 MB of memory" in sentence
    monkeypatch.setattr(memory, "memory", lambda: Memory(64 * 10**9, 10**9))
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "warning" and "1.0 GB of memory are free; set the resources micro_batch" in sentence
    assert tiny_experiment.problems(elsewhere=True) == []


def test_a_full_disk_fails(tiny_experiment, monkeypatch):
    monkeypatch.setattr(memory, "free_disk", lambda path: 10**5)
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and "out: 2 adapters and their checkpoints take about 1 MB" in sentence
