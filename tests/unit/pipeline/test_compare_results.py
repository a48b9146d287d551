"""Two finished results: what differs, and which difference could matter."""

import json
import shutil

import pytest

from scripts import explain
from stagewise.pipeline.compare_results import compare_results
from stagewise.pipeline.finished_results import read_result
from stagewise.provenance.receipts import RECEIPT, write_receipt
from stagewise.provenance.sealed_json import seal
from tests.helpers.fake_results import config, write_results

SIZES = {"train": 12, "validation": 6, "test": 12}
FIRST, SECOND = "base/seed-0/pubmedqa", "base/seed-0/pubmedqa/dreaddit"


def make(folder, seed=0, **overlay):
    return write_results(folder, config(**overlay), seed, SIZES)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A finished experiment; read only."""
    return make(tmp_path_factory.mktemp("results") / "out")


@pytest.fixture
def results(original, tmp_path):
    """A copy of it."""
    shutil.copytree(original, tmp_path / "out")
    return tmp_path / "out"


def edit(file, change):
    """Apply `change` to the values of a JSON file, as if it had been written that way."""
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(seal(values) if "checksum" in values else values))


def lines(first, second):
    return [difference.line for difference in compare_results(read_result(first), read_result(second))]


def explained(capsys, *arguments):
    code = explain.main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_equal_results_have_no_difference(original, results, capsys):
    assert explained(capsys, original, results) == (0, ["no difference"], "")


def test_a_setting_could_matter_and_names_the_adapters(original, tmp_path, capsys):
    other = make(tmp_path / "other", training={"learning_rate": 0.005})
    old = config().training.learning_rate
    code, said, _ = explained(capsys, original, other)
    assert code == 1
    assert said[0] == f"could matter: training.learning_rate {old} -> 0.005 ({FIRST} and 1 more)"
    assert [line for line in said if line.startswith("could matter")] == said[:1]
    assert f"differs: adapter_model.safetensors changed ({FIRST} and 1 more)" in said


def test_clocks_and_devices_change_nothing(original, results, capsys):
    for lineage in (FIRST, SECOND):
        edit(
            results / lineage / "adapter" / "training.json",
            lambda v: v.update(seconds=1.0, peak_memory_bytes=5, tokens_per_second=9.0, device="another", processes=2),
        )
    edit(results / "base" / "predictions" / RECEIPT, lambda v: v.update(seconds=0.5))
    edit(results / SECOND / "adapter" / RECEIPT, lambda v: v["files"].update({"training.json": "9" * 64}))
    code, said, _ = explained(capsys, original, results)
    assert code == 0 and len(said) == 5
    assert all(line.startswith("changes nothing: ") for line in said)
    assert "changes nothing: seconds 1.5 -> 0.5 (base) and 1 more: a measurement of time or memory" in said


@pytest.mark.parametrize(
    ("file", "change", "line"),
    [
        (f"{FIRST}/recipe.json", lambda v: v.update(seed=1), f"could matter: seed 0 -> 1 ({FIRST})"),
        (f"{FIRST}/recipe.json", lambda v: v.update(dtype="bfloat16"), "could matter: dtype "),
        (f"{FIRST}/recipe.json", lambda v: v.update(behaviour={"training": 99}), "could matter: behaviour "),
        (f"{FIRST}/recipe.json", lambda v: v.update(new_setting=2), f"could matter: new_setting added: 2 ({FIRST})"),
        (
            f"{FIRST}/recipe.json",
            lambda v: v["model"].update(fingerprint="5" * 64),
            "could matter: base model changed",
        ),
        (
            f"{FIRST}/recipe.json",
            lambda v: v["prompting"].update(template={"date": "x"}),
            "could matter: prompting.tem",
        ),
        (
            f"{FIRST}/recipe.json",
            lambda v: v["tasks"]["pubmedqa"]["prompt"].update(text="Which?"),
            f'could matter: prompt of pubmedqa "{{text}}" -> "Which?" ({FIRST})',
        ),
        (
            f"{SECOND}/adapter/training.json",
            lambda v: v["packages"].update(torch="2.14.0"),
            f'could matter: torch "2.13.0" -> "2.14.0" ({SECOND})',
        ),
        (f"{SECOND}/adapter/{RECEIPT}", lambda v: v.update(image="7" * 64), "could matter: image added"),
        (f"base/predictions/{RECEIPT}", lambda v: v.update(method="generation"), "could matter: method "),
        (f"base/predictions/{RECEIPT}", lambda v: v.update(behaviour={"predictions": 99}), "could matter: behaviour "),
        ("data/summary.json", lambda v: v.update(image="7" * 64), "could matter: image added (data)"),
    ],
)
def test_what_a_result_is_made_from_could_matter(original, results, capsys, file, change, line):
    edit(results / file, change)
    code, said, _ = explained(capsys, original, results)
    assert code == 1 and said[0].startswith(line)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ({"settings": {"max_length": 1}}, {"settings": {"max_length": 2}}, "could matter: max_length 1 -> 2 (base)"),
        ({"code": {"stagewise.metrics": "1" * 64}}, {"code": {"stagewise.metrics": "2" * 64}},
         "could matter: code of metrics changed (base)"),
        ({"prompts": {"a": "x"}}, {"prompts": {"a": "y"}}, 'could matter: prompt of a "x" -> "y" (base)'),
        ({"settings": {"mirror": "a"}}, {"settings": {"mirror": "b"}}, 'changes nothing: mirror "a" -> "b" (base): w'),
        ({"behaviour": {"predictions": 1}}, {"behaviour": {"predictions": 2}},
         "could matter: behaviour of predictions 1 -> 2 (base)"),
        ({"model": "1" * 64}, {"model": "2" * 64}, "could matter: base model changed (base)"),
        ({"settings": {"evaluation": {"tokens_per_batch": 1}}}, {"settings": {"evaluation": {"tokens_per_batch": 2}}},
         "changes nothing: evaluation.tokens_per_batch 1 -> 2 (base): items per forward pass"),
        ({"settings": {"logging": {"steps": 1}}}, {"settings": {"logging": {"steps": 2}}},
         "changes nothing: logging.steps 1 -> 2 (base): how progress is shown"),
        ({"settings": {"experiment": "a"}}, {"settings": {"experiment": "b"}},
         'changes nothing: experiment "a" -> "b" (base): a name'),
    ],
)  # fmt: skip
def test_inputs_records_are_compared_by_their_facts(results, tmp_path, old, new, line):
    shutil.copytree(results, tmp_path / "other")
    edit(results / "base/predictions" / RECEIPT, lambda v: v.update(inputs=old))
    edit(tmp_path / "other/base/predictions" / RECEIPT, lambda v: v.update(inputs=new))
    (said,) = lines(results, tmp_path / "other")
    assert said.startswith(line)


def test_results_that_differ_for_no_recorded_reason_say_so(original, results, capsys):
    edit(results / FIRST / "adapter" / RECEIPT, lambda v: v["files"].update({"adapter_model.safetensors": "3" * 64}))
    edit(results / FIRST / "predictions" / RECEIPT, lambda v: v.update(adapter_weights="3" * 64))
    code, said, _ = explained(capsys, original, results)
    assert code == 1 and said == [
        "could matter: the results differ, and nothing that is recorded explains it: "
        "training on a GPU is not reproducible to the bit",
        f"differs: adapter_model.safetensors changed ({FIRST})",
    ]


def test_what_only_one_of_them_has_is_named(original, results, capsys):
    shutil.rmtree(results / SECOND)
    code, said, _ = explained(capsys, original, results)
    assert code == 1 and f"could matter: adapter only in the first ({SECOND})" in said
    code, said, _ = explained(capsys, results, original)
    assert code == 1 and f"could matter: predictions only in the second ({SECOND})" in said


def test_adapters_of_different_stages_are_compared(original, capsys):
    code, said, _ = explained(capsys, original / FIRST, original / SECOND / "adapter")
    assert code == 1
    assert 'could matter: learns[0] "pubmedqa" -> "dreaddit"' in said
    assert "could matter: weights of parents[0] added" in said
    assert "changes nothing: stage 1 -> 2: a name" in said


def test_probes_of_two_results(original, results, tmp_path, capsys):
    """A setting could matter, figures follow from it, and how long it took changes nothing."""
    shutil.copytree(original, tmp_path / "other")
    for folder, tokens, seconds in ((results, 32, 1.0), (tmp_path / "other", 64, 2.0)):
        probes = folder / FIRST / "probes"
        probes.mkdir()
        (probes / "prose.csv").write_text(f"id,score,weight\n0-9,{tokens},9.0\n")
        inputs = {"settings": {"texts": {"prose": {"segment_tokens": tokens}}}, "adapter": {"weights": f"{tokens}"}}
        record = {"measure": "bits_per_byte", "items": tokens}
        scoring = {"prose": {"seconds": seconds, "device": "cpu"}}
        write_receipt(probes, {"inputs": inputs, "probes": {"prose": record}, "scoring": scoring})
    code, said, _ = explained(capsys, results, tmp_path / "other")
    assert code == 1 and said[0] == f"could matter: texts.prose.segment_tokens 32 -> 64 ({FIRST})"
    assert all("seconds" not in line or line.startswith("changes nothing") for line in said), said
    code, said, _ = explained(capsys, results / FIRST / "probes", tmp_path / "other" / FIRST / "probes")
    assert code == 1 and said[0].startswith("could matter: ")


@pytest.mark.parametrize("name", [f"{FIRST}/recipe.json", f"{FIRST}/predictions", "data"])
def test_parts_of_results_can_be_compared(original, results, name, capsys):
    assert explained(capsys, original / name, results / name) == (0, ["no difference"], "")


def test_predictions_of_other_weights_could_matter_on_their_own(original, results, tmp_path, capsys):
    for folder, weights in ((original, "2"), (results, "3")):
        shutil.copytree(folder / FIRST / "predictions", tmp_path / weights)
        inputs = {"adapter": {"recipe": "1" * 64, "weights": weights * 64}}
        edit(tmp_path / weights / RECEIPT, lambda v, inputs=inputs: v.update(inputs=inputs))
    code, said, _ = explained(capsys, tmp_path / "2", tmp_path / "3")
    assert code == 1 and said == ["could matter: weights of the adapter changed"]


def test_metrics_are_compared_by_settings_and_figures(tmp_path, capsys):
    values = {
        "schema_version": 1,
        "checksum": None,
        "inputs": {"settings": {"seeds": [0]}, "files": {"base/predictions/receipt.json": "1" * 64}},
        "experiment": {"name": "a", "packages": {"numpy": "2.1.0"}},
        "scores": [{"accuracy": 0.5, "seconds": 3}, {"accuracy": 0.6}],
    }
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "report_metrics.json").write_text(json.dumps(seal(values)))
    second = tmp_path / "b" / "report_metrics.json"

    def change(values):
        values["inputs"]["files"]["base/predictions/receipt.json"] = "2" * 64
        values["scores"] = [{"accuracy": 0.55, "seconds": 4}, {"accuracy": 0.65}]
        values["experiment"]["name"] = "b"

    edit(second, change)
    for first, other in ((tmp_path / "a", tmp_path / "b"), (tmp_path / "a" / "report_metrics.json", second)):
        code, said, _ = explained(capsys, first, other)
        assert code == 1 and said[1:] == [
            "differs: report_metrics.json scores[0].accuracy 0.5 -> 0.55 and 1 more",
            'changes nothing: name "a" -> "b": a name',
            "changes nothing: report_metrics.json scores[0].seconds 3 -> 4: a measurement of time or memory",
        ]
    edit(second, lambda v: v["inputs"]["settings"].update(seeds=[1]))
    edit(second, lambda v: v["experiment"]["packages"].update(numpy="2.2.0"))
    said = explained(capsys, tmp_path / "a", tmp_path / "b")[1]
    assert said[:2] == ["could matter: seeds[0] 0 -> 1", 'could matter: numpy "2.1.0" -> "2.2.0"']

    second.write_text(second.read_text().replace("0.65", "0.75"))
    said = explained(capsys, tmp_path / "a", tmp_path / "b")[1]
    assert said[0] == "could matter: report_metrics.json of the second edited after it was written"


def test_the_adapters_of_metrics_are_told_by_their_recipes(tmp_path, capsys):
    for name in "ab":
        files = {f"{FIRST}/recipe.json": name * 64, f"{FIRST}/adapter/training.json": name * 64}
        values = {
            "schema_version": 2,
            "experiment": {},
            "inputs": {"files": files},
            "files": {"metrics.json": name * 64},
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(values | {"adapters": [{"fingerprint": name * 64}]}))
    code, said, _ = explained(capsys, tmp_path / "a.json", tmp_path / "b.json")
    assert code == 1 and said == [f"could matter: recipe of {FIRST} changed"]


def test_what_cannot_be_compared_is_refused_in_one_sentence(original, tmp_path, capsys):
    code, out, err = explained(capsys, original, original / FIRST)
    assert (code, out) == (2, []) and err == (
        "error: a results folder and an adapter's folder cannot be compared; name two of one kind\n"
    )
    for name, words in {
        "nothing": "no finished result; name a folder of results",
        "figures": "no finished result; name a folder of results",
        "empty": "no finished result; name a folder of results",
        "list.json": "the record is not an object with keys",
        "other.json": "neither a recipe nor report_metrics.json",
        "broken.json": "the record is not valid JSON",
    }.items():
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "figures").mkdir(exist_ok=True)
        (tmp_path / "figures" / RECEIPT).write_text('{"inputs": {"files": {}}, "files": {}}')
        (tmp_path / "list.json").write_text("[]")
        (tmp_path / "other.json").write_text("{}")
        (tmp_path / "broken.json").write_text("{")
        code, out, err = explained(capsys, tmp_path / name, original)
        assert code == 2 and out == [] and err.startswith(f"error: {tmp_path / name}: ") and words in err
        assert err.count("\n") == 1


def test_an_unfinished_adapter_is_named(results, original, capsys):
    (results / FIRST / "adapter" / "training.json").unlink()
    code, _, err = explained(capsys, results, original)
    assert code == 2 and "adapter/training.json: the record is missing" in err
