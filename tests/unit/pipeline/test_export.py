"""Export of adapters: they load elsewhere, their cards say what the report says, and nothing half done stays."""

import json
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from scripts import export
from stagewise.metrics.schema import read_metrics
from stagewise.models.adapters import load_adapter
from stagewise.models.load import load_base
from stagewise.models.receipts import write_model_receipt
from stagewise.pipeline.export_report import Reported
from stagewise.provenance.receipts import write_receipt
from stagewise.provenance.sealed_json import write_sealed
from stagewise.recipe import Recipe
from stagewise.report.tables.number_format import interval, signed_decimal
from tests.helpers.exported_study import FIRST, SECOND, write_study
from tests.helpers.refusals import check_refused_command
from tests.helpers.tiny_llama import build, build_adapter

REPOSITORY, COMMIT = "someone/tiny-llama", "0123456789abcdef0123456789abcdef01234567"
BASE = ["--base", f"{REPOSITORY}@{COMMIT}"]


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_model):
    """Results with a report; read only."""
    return write_study(tmp_path_factory.mktemp("study"), tiny_model)


@pytest.fixture
def elsewhere(tmp_path, tiny_model):
    """An adapter as PEFT itself saves it, without a receipt and a recipe."""
    folder = build_adapter(tmp_path / "elsewhere", tiny_model)
    (folder / "receipt.json").unlink()
    return folder


def run(adapter, output, *options) -> ModelCard:
    assert export.main([str(word) for word in (adapter, "--output", output, *options)]) == 0
    return ModelCard.load(output / "README.md")


def refuse(capsys, tmp_path, pattern: str, *argv) -> None:
    check_refused_command(export.main, list(argv), capsys, tmp_path, pattern)


def logits(model, folder):
    ids = AutoTokenizer.from_pretrained(folder)("Is the writer under stress?", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def test_an_exported_adapter_loads_by_autopeft_and_the_copy_is_the_adapter(study, tmp_path, tiny_model):
    run(study / SECOND, tmp_path / "out", "--model", tiny_model)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (str(tiny_model.resolve()), None)
    model = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    ours = load_adapter(load_base(tiny_model, "none", "float32"), study / SECOND)
    # Batches of threads aside, it is the same model.
    torch.testing.assert_close(logits(model, tmp_path / "out"), logits(ours, tmp_path / "out"))
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    mode = (tmp_path / "out" / "adapter_model.safetensors").stat().st_mode
    assert mode == (tmp_path / "out" / "README.md").stat().st_mode


def test_a_pipeline_takes_the_adapters_folder(study, tmp_path, tiny_model):
    run(study / SECOND, tmp_path / "out", "--model", tiny_model)
    generator = pipeline("text-generation", model=str(tmp_path / "out"), dtype=torch.float32)
    assert any("lora_A" in name for name, _ in generator.model.named_parameters())
    messages = [{"role": "user", "content": "Is the writer under stress?"}]
    (answer,) = generator(messages, max_new_tokens=2, do_sample=False)
    assert answer["generated_text"][-1]["role"] == "assistant"


def test_the_base_model_is_the_repository_that_the_receipt_names(study, tmp_path, tiny_model):
    fetched = tmp_path / "fetched"
    shutil.copytree(tiny_model, fetched)
    (fetched / "receipt.json").unlink()
    write_model_receipt(fetched, "tiny", {"hub": REPOSITORY, "revision": COMMIT})
    card = run(study / SECOND, tmp_path / "out", "--model", fetched)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (REPOSITORY, COMMIT)
    assert (card.data.base_model, card.data.base_model_relation) == (REPOSITORY, "adapter")
    assert str(tmp_path) not in (tmp_path / "out" / "README.md").read_text()


def test_a_merged_model_needs_no_peft(study, tmp_path, tiny_model):
    card = run(study / FIRST / "adapter", tmp_path / "out", "--model", tiny_model, "--merge", *BASE)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    adapted = load_adapter(load_base(tiny_model, "none", "float32"), study / FIRST)
    difference = logits(merged, tmp_path / "out") - logits(adapted, tmp_path / "out")
    assert difference.norm() < 1e-5 * logits(adapted, tmp_path / "out").norm()
    assert (card.data.library_name, card.data.base_model_relation) == ("transformers", "finetune")
    assert "Merged in float32" in card.text and "AutoModelForCausalLM" in card.text
    assert "so there is no earlier task that it could have forgotten" in card.text
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json", "model.safetensors"} <= names


def test_the_card_has_the_reports_figures_with_their_intervals(study, tmp_path, tiny_model):
    card = run(study / SECOND, tmp_path / "out", "--model", tiny_model, *BASE)
    metrics = read_metrics(study / "report_metrics.json")
    results = {(r.dataset_name, r.dataset_split, r.metric_type): r for r in card.data.eval_results}
    assert len(results) == 2 * 2 * 2 and card.data.model_name == "out"
    for task in ("pubmedqa", "dreaddit"):
        scores = {
            tuple(s.lineages): s.measures
            for s in metrics.scores
            if s.task == task and s.split == "test" and s.rule == "argmax"
        }
        value, result = scores[(SECOND,)]["macro_f1"], results[task, "test", "f1"]
        assert result.metric_value == pytest.approx(value.value, abs=1e-6)
        assert f"[{value.low:.3f}, {value.high:.3f}]" in result.metric_name and "95 %" in result.metric_name
        args = result.metric_args
        assert (args["low"], args["high"]) == (round(value.low, 6), round(value.high, 6))
        assert args["majority class"] == pytest.approx(scores[("majority",)]["macro_f1"].value, abs=1e-6)
        assert args["untuned model"] == pytest.approx(scores[("base",)]["macro_f1"].value, abs=1e-6)
        assert args["items"] == 40
    assert card.data.license == "apache-2.0"


def test_the_card_says_what_was_forgotten_and_what_is_claimed_of_it(study, tmp_path, tiny_model):
    card = run(study / SECOND, tmp_path / "out", "--model", tiny_model, *BASE)
    metrics = read_metrics(study / "report_metrics.json")
    (record,) = (f for f in metrics.forgetting if f.after_split == "test" and f.comparison == "paired")
    (claim,) = (c for c in metrics.claims if c.kind == "kept")
    (row,) = (line for line in card.text.splitlines() if f"| pubmedqa | test | `{FIRST}` | accuracy |" in line)
    change = record.changes["accuracy"]
    assert f"| {signed_decimal(change.value)} {interval(change.low, change.high, signed_decimal)} |" in row
    assert f"| {record.pairs.lost} | {record.pairs.gained} |" in row
    assert ("a loss is shown" if claim.verdict == "worse" else claim.verdict) in row


def test_data_sets_that_come_from_the_hub_are_named(study):
    metrics, recipe = read_metrics(study / "report_metrics.json"), Recipe.read(study / SECOND / "recipe.json")
    assert Reported(metrics, recipe).datasets() == []
    files = metrics.experiment.config["tasks"]["pubmedqa"]["sources"]["sample"]["files"]
    files["items"]["url"] = "https://huggingface.co/datasets/owner/name/resolve/0123/data.json"
    assert Reported(metrics, recipe).datasets() == ["owner/name"]


def test_the_card_holds_no_text_of_items_and_prompts_only_if_asked(study, tmp_path, tiny_model):
    plain = run(study / SECOND, tmp_path / "plain", "--model", tiny_model, *BASE)
    assert "{text}" not in plain.text
    asked = run(study / SECOND, tmp_path / "asked", "--model", tiny_model, *BASE, "--prompts")
    assert "{text}" in asked.text and "after an empty system message; answers: `yes`, `no`, `maybe`" in asked.text
    items = (study / "data" / "pubmedqa" / "test.jsonl").read_text().splitlines()
    for fields in (json.loads(line)["fields"] for line in items):
        assert not any(text in asked.text for text in fields.values())


def test_without_a_report_there_are_no_figures(study, tmp_path, tiny_model):
    copied = shutil.copytree(study / SECOND / "adapter", tmp_path / "copied")
    shutil.copy(study / SECOND / "recipe.json", copied)
    write_receipt(copied, {"inputs": json.loads((copied / "receipt.json").read_text())["inputs"]})
    card = run(copied, tmp_path / "out", "--model", tiny_model, *BASE)
    assert card.data.eval_results is None and "None: no report on it is at hand." in card.text
    named = run(copied, tmp_path / "named", "--model", tiny_model, *BASE, "--results", study)
    assert named.data.eval_results


def test_a_report_of_another_training_is_not_used(study, tmp_path, tiny_model, capsys):
    results = shutil.copytree(study, tmp_path / "results")
    other = build_adapter(tmp_path / "other", tiny_model, seed=9)
    shutil.copy(other / "adapter_model.safetensors", results / SECOND / "adapter")
    write_receipt(
        results / SECOND / "adapter",
        {"inputs": json.loads((results / SECOND / "adapter" / "receipt.json").read_text())["inputs"]},
    )
    card = run(results / SECOND, tmp_path / "out", "--model", tiny_model, *BASE)
    assert card.data.eval_results is None and "another training" in card.text
    argv = (results / SECOND, "--output", tmp_path / "no", "--model", tiny_model, "--results", results)
    refuse(capsys, tmp_path, "this report is about another training than", *argv)
    shutil.copytree(study / SECOND / "adapter", results / SECOND / "adapter", dirs_exist_ok=True)
    _leave_out(results / "report_metrics.json", SECOND)
    card = run(results / SECOND, tmp_path / "swept", "--model", tiny_model, *BASE)
    assert card.data.eval_results is None and "is about other adapters" in card.text


def _leave_out(path, lineage: str) -> None:
    """Leave an adapter out of a report, as that of a sweep does with settings that were not chosen."""
    values = json.loads(path.read_text())
    values["adapters"] = [adapter for adapter in values["adapters"] if adapter["lineage"] != lineage]
    write_sealed(path, values)


def test_an_edited_report_is_refused(study, tmp_path, tiny_model, capsys):
    results = shutil.copytree(study, tmp_path / "results")
    path = results / "report_metrics.json"
    path.write_text(path.read_text().replace('"accuracy":{"value":0.', '"accuracy":{"value":0.1'))
    refuse(capsys, tmp_path, "edited", results / SECOND, "--output", tmp_path / "out", "--model", tiny_model)


def test_an_adapter_from_elsewhere(elsewhere, tmp_path, tiny_model, capsys):
    (elsewhere / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    card = run(elsewhere, tmp_path / "out", *BASE)
    assert card.data.license == "cc-by-4.0" and card.data.tags == ["lora"]
    assert "not trained by this project" in card.text and "None: no report" in card.text
    card = run(elsewhere, tmp_path / "merged", "--merge", "--model", tiny_model)
    assert card.data.base_model is None and "chat_template.jinja" in {p.name for p in (tmp_path / "merged").iterdir()}
    refuse(capsys, tmp_path, "--model: the base model", elsewhere, "--output", tmp_path / "x", "--merge")
    refuse(capsys, tmp_path, "no recipe", elsewhere, "--output", tmp_path / "x", "--prompts")
    refuse(capsys, tmp_path, "no recipe", elsewhere, "--output", tmp_path / "x", "--results", tmp_path)


def test_what_an_adapter_from_elsewhere_names_as_its_base_model(elsewhere, tmp_path, tiny_model, capsys):
    def name(base: str):
        config = json.loads((elsewhere / "adapter_config.json").read_text())
        config |= {"base_model_name_or_path": base, "revision": COMMIT}
        (elsewhere / "adapter_config.json").write_text(json.dumps(config))

    name(REPOSITORY)
    assert run(elsewhere, tmp_path / "hub").data.base_model == REPOSITORY
    fetched = shutil.copytree(tiny_model, tmp_path / "fetched")
    write_model_receipt(fetched, "tiny", {"hub": "someone/other", "revision": COMMIT}, names=["config.json"])
    argv = (elsewhere, "--output", tmp_path / "x", "--model", fetched)
    refuse(capsys, tmp_path, f"is for {REPOSITORY}, not for someone/other", *argv)
    name("models/tiny")
    refuse(capsys, tmp_path, "--model: the base model models/tiny is not here", elsewhere, "--output", tmp_path / "x")
    assert run(elsewhere, tmp_path / "here", "--model", tiny_model).data.base_model is None
    # As the step that fetches adapters leaves it: a receipt that knows no base model.
    write_receipt(elsewhere, {"origin": {"path": "(local)"}})
    assert run(elsewhere, tmp_path / "vouched", "--model", tiny_model).data.base_model is None
    (elsewhere / "adapter_config.json").write_text("{}")
    refuse(capsys, tmp_path, "does not match its receipt", elsewhere, "--output", tmp_path / "x")


def test_a_fully_fine_tuned_model_is_no_adapter(tmp_path, capsys):
    (tmp_path / "stage" / "adapter").mkdir(parents=True)
    (tmp_path / "stage" / "adapter" / "model.json").write_text("{}")
    refuse(capsys, tmp_path, "a fully fine-tuned model, not an adapter", tmp_path / "stage", "--output", tmp_path / "x")


def test_an_adapter_of_another_base_model_is_refused(study, tmp_path, capsys):
    other = build(tmp_path / "other", seed=5)
    refuse(capsys, tmp_path, "another base model", study / SECOND, "--output", tmp_path / "out", "--model", other)


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (["--dtype", "float32"], "--dtype goes with --merge"),
        (["--private"], "--private goes with --push"),
        (["--revision", "x"], "--revision goes with --push"),
        (["--may-redistribute"], "--may-redistribute goes with --push"),
        (["--converter", "x"], "--converter goes with --gguf"),
        (["--push", "name"], "no repository; write owner/name"),
        (["--base", "name"], "no repository; write owner/name"),
    ],
)
def test_options_that_would_be_ignored_are_refused(study, tmp_path, tiny_model, capsys, options, pattern):
    argv = (study / SECOND, "--output", tmp_path / "out", "--model", tiny_model, *options)
    refuse(capsys, tmp_path, pattern, *argv)


def test_a_folder_that_is_there_stays(study, tmp_path, tiny_model, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    refuse(capsys, tmp_path, "it is there already", study / SECOND, "--output", tmp_path / "out", "--model", tiny_model)


def test_a_merge_that_fails_leaves_nothing(study, tmp_path, tiny_model, capsys, monkeypatch):
    from peft import LoraModel

    monkeypatch.setattr(LoraModel, "merge_and_unload", lambda model: model.unload())
    argv = (study / SECOND, "--output", tmp_path / "out", "--model", tiny_model, "--merge")
    refuse(capsys, tmp_path, "other logits", *argv)


def test_a_quantized_training_is_merged_without_quantization(study, tmp_path, tiny_model, capsys):
    results = shutil.copytree(study, tmp_path / "results")
    recipe = Recipe.read(results / SECOND / "recipe.json")
    values = recipe.model_dump(exclude={"fingerprint"}) | {"quantization": "nf4", "remedies": recipe.remedies}
    Recipe.build(**values).write(results / SECOND / "recipe.json")
    card = run(results / SECOND, tmp_path / "out", "--model", tiny_model, "--merge")
    assert "quantized to nf4" in capsys.readouterr().err
    assert "quantized to nf4" in card.text
