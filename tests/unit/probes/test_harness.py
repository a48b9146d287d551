"""Harness tasks as probes: local tasks, and the harness's own figures beside ours."""

import json
import os

import pandas as pd
import pytest

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (make harness)")

from stagewise.models.load import load_base, load_tokenizer  # noqa: E402
from tests.helpers import tiny_llama  # noqa: E402
from tests.helpers.harness_tasks import ANIMALS, SIZES, write_harness_tasks  # noqa: E402
from tests.helpers.little_memory import limit_passes  # noqa: E402
from tests.helpers.probe_step import ProbeStep  # noqa: E402
from tests.helpers.refusals import check_refusal  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory):
    """Data sets' caches of their own, off the network."""
    with pytest.MonkeyPatch.context() as patch:
        import datasets

        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return write_harness_tasks(tmp_path_factory.mktemp("tasks") / "mine")


@pytest.fixture(autouse=True)
def own_tasks_alone(monkeypatch, tasks):
    """The folder's tasks without the harness's own, which are thousands of files."""
    from lm_eval.tasks import TaskManager

    from stagewise.probes.harness_tasks import TaskLoader

    monkeypatch.setattr(
        TaskLoader, "_all", property(lambda loader: TaskManager(include_path=str(tasks), include_defaults=False))
    )


@pytest.fixture
def step(tmp_path, tiny_model):
    return ProbeStep(tmp_path, tiny_model)


@pytest.fixture
def score(step, tasks):
    """A function that scores some of the tasks; it returns the exit code."""

    def run(*names: str, adapter=None, texts=(), more=(), **settings) -> int:
        harness = {"tasks": list(names), "include": str(tasks)} | settings
        return step.run(step.settings(harness, dict(texts)), adapter, *more)

    return run


@pytest.fixture(scope="module")
def own_figures(tiny_model, tasks):
    """The harness's own results of all tasks, computed without this project's code for probes."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model = HFLM(load_base(tiny_model, "none", "float32"), "causal", tokenizer=load_tokenizer(tiny_model), batch_size=3)
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    return simple_evaluate(model, tasks=["things", "wishes"], task_manager=manager, bootstrap_iters=0)


def test_values_are_the_harness_own_figures(score, step, own_figures):
    assert score("animals", "wishes") == 0
    ours, theirs = step.receipt()["probes"], own_figures["results"]
    assert step.value("animals") == theirs["animals"]["acc,none"] and ours["animals"]["measure"] == "acc"
    assert step.value("wishes") == theirs["wishes"]["strict_acc,none"] and ours["wishes"]["measure"] == "strict_acc"
    assert 0 < step.value("animals") < 1 and ours["animals"]["higher_is_better"]
    table = step.table("animals")
    assert list(table.id) == [str(n) for n in range(len(ANIMALS))] and set(table.weight) == {1.0}
    assert [row["acc"] for row in own_figures["samples"]["animals"]] == list(table.score)
    record = ours["animals"]
    assert (record["kind"], record["group"], record["items"]) == ("harness", None, len(ANIMALS))
    inputs = step.receipt()["inputs"]
    assert inputs["behaviour"]["lm_eval"] and "harness/animals.jsonl" in inputs["files"]


def test_a_group_and_a_tag_are_one_probe_each(score, step, own_figures):
    """The group counts its tasks alike, the tag its items."""
    assert score("things", "toys") == 0
    records = step.receipt()["probes"]
    assert (records["things"]["group"], records["toys"]["group"]) == ("things", "toys")
    assert step.value("things") == pytest.approx(own_figures["groups"]["things"]["acc,none"], abs=1e-12)
    right = {name: sum(row["acc"] for row in own_figures["samples"][name]) for name in ("animals", "sizes")}
    assert step.value("toys") == sum(right.values()) / (len(ANIMALS) + len(SIZES)) != step.value("things")
    assert sorted(step.table("toys").id)[0] == "animals/0"


def test_an_adapter_changes_scores_and_not_items(score, step, tiny_model, tmp_path, capsys):
    adapter = tiny_llama.build_adapter(tmp_path / "adapter", tiny_model, seed=3)
    score("animals", "sizes")
    before, receipt = step.table("animals"), step.receipt()
    score("animals", "sizes", adapter=adapter)
    same, after = step.receipt()["probes"], step.table("animals")
    assert same["animals"]["checksum"] == receipt["probes"]["animals"]["checksum"]
    assert list(before.score) != list(after.score)


def test_limit_examples_and_text_beside(score, step, capsys):
    more = ("--checkpoints", str(step.folder / "checkpoints"))
    texts = {"prose-text": {"path": str(step.text), "segment_tokens": 32}}
    assert score("animals", limit=3, num_fewshot=1, texts=texts, more=more) == 0
    assert len(step.table("animals")) == 3 and step.receipt()["probes"]["animals"]["num_fewshot"] == {"animals": 1}
    assert set(step.receipt()["probes"]) == {"prose-text", "animals"}
    capsys.readouterr()
    assert score("animals", "sizes", limit=3, num_fewshot=1, texts=texts, more=more) == 0
    said = capsys.readouterr().err
    assert "sizes: acc" in said and "animals: acc" not in said and "prose-text: bits" not in said


def test_requests_that_do_not_fit_into_memory_are_passed_in_smaller_numbers(score, step, capsys, monkeypatch):
    score("animals", "wishes")
    expected = step.table("animals"), step.table("wishes")
    monkeypatch.setattr(step, "output", step.folder / "again")
    tried = limit_passes(monkeypatch, 2, training=False)
    assert score("animals", "wishes") == 0 and max(tried) > 2
    assert "out of memory with 8 requests per pass; it goes on with 4" in capsys.readouterr().err
    assert all(map(pd.DataFrame.equals, expected, (step.table("animals"), step.table("wishes"))))
    limit_passes(monkeypatch, 0, training=False)
    check_refusal(score("sizes"), capsys.readouterr().err, "one item of sizes does not fit into memory")


def test_the_chat_template_changes_the_requests(score, step):
    score("animals")
    plain = step.receipt()["scoring"]["animals"]["tokens"]
    score("animals", apply_chat_template=True)
    assert step.receipt()["scoring"]["animals"]["tokens"] > plain


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["prose"], "no metric of the task prose is a mean over items (it has word_perplexity)"),
        (["anmials"], "there is no task 'anmials' in lm-evaluation-harness or in"),
    ],
)
def test_tasks_that_cannot_be_scored_are_refused(score, capsys, names, says):
    check_refusal(score(*names), capsys.readouterr().err, says)


def test_a_task_whose_data_are_not_here_says_how_to_fetch_them(score, tasks, capsys, tmp_path):
    broken = (tasks / "animals.yaml").read_text().replace("animals", "absent")
    (tasks / "absent.yaml").write_text(broken)
    try:
        code = score("absent")
    finally:
        (tasks / "absent.yaml").unlink()
    check_refusal(code, capsys.readouterr().err, "the task absent cannot be loaded", "python -m scripts.fetch_harness")


def test_nothing_of_an_item_is_in_the_files(score, step):
    score("animals", "wishes")
    written = "".join(path.read_text() for path in step.output.iterdir())
    assert "cat" not in json.loads(json.dumps(written)) and "calm day" not in written
    assert os.environ["HF_HUB_OFFLINE"] == "1"
