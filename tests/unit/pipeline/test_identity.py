"""Edits of every kind, each with the exact set of outputs that it makes stale and the reason that is given."""

import json
import os
import shutil
from pathlib import Path

import pytest

from benchmarks.stub_experiment import write_stubs
from stagewise.config.load_config import check
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.errors import InputError
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.experiment import Experiment
from stagewise.pipeline.freshness import settle
from stagewise.pipeline.plan import prepare_plan
from stagewise.predictions import PREDICTION_BEHAVIOUR
from stagewise.provenance.checksums import ChecksumMemory
from stagewise.provenance.code import ProjectCode
from stagewise.provenance.packages import package_versions
from stagewise.provenance.receipts import write_receipt
from stagewise.training import TRAINING_BEHAVIOUR
from tests.helpers.project_copy import ProjectCopy

FIRST = "base/seed-0/pubmedqa"
SECOND, REHEARSED = f"{FIRST}/dreaddit", f"{FIRST}/dreaddit+rehearsal-25+twice"
ADAPTERS = {FIRST, SECOND, REHEARSED}
PREDICTIONS = {f"{lineage}/predictions" for lineage in ADAPTERS | {"base"}}
METRICS, REPORT, DATA, MODEL = {"report_metrics.json"}, {"report"}, {"data"}, {"models/mine"}
RESULTS = Path("results")
REMEDY = '''
from helper import FACTOR
from stagewise.remedies.base import Remedy


class Twice(Remedy):
    """Trains on every row twice over."""

    def rows(self, rows, earlier, seed):
        return rows * FACTOR
'''
STUDY = {
    "model": "mine",
    "models": {"mine": {"path": "my-model"}},
    "dtype": "float32",
    "tasks": {"pubmedqa": {"split": "published"}},
    "arms": {
        "rehearsal": {
            "stages": [
                {"task": "pubmedqa"},
                {"task": "dreaddit", "remedies": {"rehearsal": {"share": 0.25}, "lab_remedies:Twice": {}}},
            ]
        }
    },
}


def study(changes: dict | None = None):
    return check(merge(merge(read_yaml("config.yaml"), STUDY), changes or {}), ["config.yaml"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished experiment of stubs with a model and a remedy of the user's own."""
    path = ProjectCopy(tmp_path_factory.mktemp("finished") / "project").path
    (path / "my-model").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"):
        (path / "my-model" / name).write_text('{"model_type": "llama"}\n')
    (path / "lab_remedies.py").write_text(REMEDY)
    (path / "helper.py").write_text("FACTOR = 2\n")
    code = ProjectCode(root=Path())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.syspath_prepend(path)
        write_stubs(study(), code)
        code.save()
    return path.rename(path.with_name("kept"))


@pytest.fixture
def copy(finished, monkeypatch) -> Path:
    """The finished experiment, always at the same path: the model's receipt and imported modules name it."""
    path = finished.with_name("project")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(finished, path)
    monkeypatch.chdir(path)
    monkeypatch.syspath_prepend(path)
    return path


def stale(changes: dict | None = None, image: str | None = None) -> dict[str, list[str]]:
    """Reasons by output that is stale by its own content; what is made from it follows."""
    checksums = ChecksumMemory()
    experiment = Experiment(study(changes), image=image, checksum=checksums, code=ProjectCode(checksums, root=Path()))
    reasons: dict[str, list[str]] = {}
    for verdict in settle(declared_artifacts(experiment), checksums.set_time):
        if verdict.reasons:
            reasons.setdefault(verdict.artifact.label, []).extend(verdict.reasons)
    return reasons


def test_a_finished_experiment_is_current(copy):
    assert stale() == {}
    shutil.rmtree("results/checkpoints")
    assert stale() == {}


SETTINGS = {
    "learning rate": ({"training": {"learning_rate": 0.5}}, ADAPTERS | METRICS, "training.learning_rate 0.001 -> 0.5"),
    "items of a step": ({"training": {"batch_size": 8}}, ADAPTERS, "training.items_per_step 4 -> 8"),
    "split of a step": ({"training": {"batch_size": 1, "gradient_accumulation": 4}}, set(), ""),
    "gradient checkpointing": ({"training": {"gradient_checkpointing": True}}, set(), ""),
    "steps at most": ({"training": {"max_steps": 9}}, ADAPTERS | METRICS, "training.max_steps added: 9"),
    "early stopping": (
        {"training": {"early_stopping": {"patience": 2}}},
        ADAPTERS | METRICS,
        "training.early_stopping added: {",
    ),
    "length of a task": (
        {"tasks": {"dreaddit": {"max_length": 200}}},
        {SECOND, REHEARSED} | PREDICTIONS | METRICS,
        "tasks.dreaddit.max_length added: 200",
    ),
    "LoRA rank": ({"lora": {"r": 8}}, ADAPTERS | METRICS, "lora.r 16 -> 8"),
    "seed": ({"seeds": [0, 1]}, METRICS, "seeds[1] added: 1"),
    "compute type": ({"dtype": "bfloat16"}, ADAPTERS | PREDICTIONS | METRICS, 'dtype "float32" -> "bfloat16"'),
    "quantization": ({"quantization": "nf4"}, ADAPTERS | PREDICTIONS | METRICS, 'quantization "none" -> "nf4"'),
    "system message": (
        {"prompting": {"system": "Be brief."}},
        ADAPTERS | PREDICTIONS | METRICS,
        'prompting.system "" -> "Be brief."',
    ),
    "template variable": (
        {"prompting": {"template": {"date_string": "1 Jan 2026"}}},
        ADAPTERS | PREDICTIONS | METRICS,
        'prompting.template.date_string added: "1 Jan 2026"',
    ),
    "label word": (
        {"tasks": {"dreaddit": {"labels": [{"value": "0", "word": "calm"}, {"value": "1", "word": "stress"}]}}},
        DATA | {SECOND, REHEARSED} | PREDICTIONS | METRICS,
        '"no stress" -> "calm"',
    ),
    "column": ({"tasks": {"dreaddit": {"fields": {"text": "title"}}}}, DATA | METRICS, '"text" -> "title"'),
    "limit": ({"limit": {"test": 40}}, DATA | METRICS, "limit.test 80 -> 40"),
    "duplicates": ({"duplicates": {"within_split": "drop"}}, DATA | METRICS, 'within_split "stop" -> "drop"'),
    "remedy": (
        {
            "arms": {
                "rehearsal": {
                    "stages": [{"task": "pubmedqa"}, {"task": "dreaddit", "name": REHEARSED.rpartition("/")[2]}]
                }
            }
        },
        {REHEARSED} | METRICS,
        "remedies.rehearsal removed|remedies.rehearsal {",
    ),
    "scoring": ({"evaluation": {"method": "generation"}}, PREDICTIONS | METRICS, '"likelihood" -> "generation"'),
    "scored splits": ({"evaluation": {"splits": ["test"]}}, PREDICTIONS | METRICS, "validation"),
    "statistics": ({"statistics": {"seed": 1}}, METRICS, "statistics.seed 0 -> 1"),
    "margin": ({"statistics": {"auroc_margin": 0.05}}, METRICS, "statistics.auroc_margin 0.02 -> 0.05"),
    # On the list of what changes no prediction and no adapter; the report shows the whole configuration.
    "scoring batch": ({"evaluation": {"tokens_per_batch": 64}}, METRICS, "evaluation.tokens_per_batch 4096 -> 64"),
    "parser without generation": ({"evaluation": {"parse": "published"}}, METRICS, 'evaluation.parse "strict"'),
    "logging": ({"logging": {"steps": 9}}, METRICS, "logging.steps 5 -> 9"),
    "mirror": ({"mirror": "elsewhere"}, set(), ""),
}


@pytest.mark.parametrize(("changes", "expected", "words"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting(copy, changes, expected, words):
    reasons = stale(changes)
    assert set(reasons) == expected
    for label in set(reasons) - DATA:
        assert any(word in phrase for phrase in reasons[label] for word in words.split("|")), reasons[label]
    assert stale() == {}


def test_a_task_that_is_taken_out_is_said_in_one_phrase(copy):
    reasons = stale({"arms": {"sequential": None, "rehearsal": {"stages": [{"task": "pubmedqa"}]}}})
    assert reasons["base/predictions"] == reasons[f"{FIRST}/predictions"] == ["task dreaddit removed"]
    assert FIRST not in reasons


def replace(path, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def append(path, text: str = "\n# more\n") -> None:
    Path(path).write_text(Path(path).read_text() + text)


FILES = {
    "prompt": (
        lambda: append("prompts/dreaddit.txt", "Think.\n"),
        {SECOND, REHEARSED} | PREDICTIONS,
        "prompt dreaddit.txt changed",
    ),
    "byte of raw data": (lambda: append("data/sample/pubmedqa.json", " "), DATA, "data/sample/pubmedqa.json changed"),
    "split list": (
        lambda: append("data/splits/pubmedqa_published.json", " "),
        DATA,
        "data/splits/pubmedqa_published.json changed",
    ),
    "model file changed": (
        lambda: Path("my-model/config.json").write_text('{"model_type": "llama", "a": 1}'),
        MODEL | ADAPTERS | PREDICTIONS,
        "config.json changed|base model changed",
    ),
    "model file added": (
        lambda: Path("my-model/generation_config.json").write_text("{}"),
        MODEL | ADAPTERS | PREDICTIONS,
        "generation_config.json added|base model changed",
    ),
    "model file removed": (
        lambda: Path("my-model/tokenizer.json").unlink(),
        MODEL | ADAPTERS | PREDICTIONS,
        "tokenizer.json removed|base model changed",
    ),
    "chat template": (
        lambda: append("my-model/chat_template.jinja"),
        MODEL | ADAPTERS | PREDICTIONS,
        "chat_template.jinja changed|base model changed",
    ),
    "a remedy's module": (lambda: append("lab_remedies.py"), {REHEARSED}, "code of lab_remedies:Twice changed"),
    "a module that a remedy imports": (
        lambda: Path("helper.py").write_text("FACTOR = 3\n"),
        {REHEARSED},
        "code of lab_remedies:Twice changed",
    ),
    "code of the splits": (
        lambda: append("stagewise/data/splits.py", "\nMORE = 1\n"),
        DATA,
        "code of data changed",
    ),
    "code of the metrics": (
        lambda: append("stagewise/metrics/significance.py", "\nMORE = 1\n"),
        METRICS,
        "code of metrics changed",
    ),
    "code of the report": (
        lambda: append("stagewise/report/html.py", "\nMORE = 1\n"),
        REPORT,
        "code of report changed",
    ),
    "style sheet": (
        lambda: append("stagewise/report/templates/report.css", "\np {}\n"),
        REPORT,
        "code of report changed",
    ),
    "comment in the code": (lambda: append("stagewise/metrics/significance.py"), set(), ""),
    "lock file": (lambda: append("envs/run-cpu.txt") if Path("envs").exists() else None, set(), ""),
}


@pytest.mark.parametrize(("edit", "expected", "words"), FILES.values(), ids=FILES)
def test_a_file(copy, edit, expected, words):
    edit()
    reasons = stale()
    assert set(reasons) == expected
    for phrases in reasons.values():
        assert any(word in phrase for phrase in phrases for word in words.split("|"))


def tamper(name: str):
    return lambda: append(RESULTS / name, " ")


def edit_json(name: str, old: str, new: str):
    return lambda: replace(RESULTS / name, old, new)


TAMPERED = {
    "summary": (edit_json("data/summary.json", '"splits": {', '"splits": {"more": {},'), DATA, "summary.json"),
    "split": (tamper("data/dreaddit/train.jsonl"), DATA, "dreaddit/train.jsonl"),
    "set aside": (tamper("data/dreaddit/set_aside.csv"), DATA, "dreaddit/set_aside.csv"),
    "recipe": (edit_json(f"{FIRST}/recipe.json", '"seed": 0', '"seed": 1'), {FIRST}, "recipe"),
    "weights": (tamper(f"{FIRST}/adapter/adapter_model.safetensors"), {FIRST}, "adapter_model.safetensors"),
    "training.json": (edit_json(f"{SECOND}/adapter/training.json", '"', ' "'), {SECOND}, "training.json"),
    "training log": (tamper(f"{SECOND}/adapter/training_log.csv"), {SECOND}, "training_log.csv"),
    "adapter's receipt": (edit_json(f"{SECOND}/adapter/receipt.json", '"model"', '"models"'), {SECOND}, "receipt"),
    "predictions": (tamper("base/predictions/dreaddit.test.csv"), {"base/predictions"}, "dreaddit.test.csv"),
    "metrics": (edit_json("report_metrics.json", '"settings"', '"setting"'), METRICS, "report_metrics.json"),
    "flat metrics": (tamper("metrics.json"), METRICS, "metrics.json"),
    "page": (tamper("report.html"), REPORT, "report.html"),
}


@pytest.mark.parametrize(("edit", "expected", "words"), TAMPERED.values(), ids=TAMPERED)
def test_an_output_that_was_edited_is_not_believed(copy, edit, expected, words):
    edit()
    reasons = stale()
    assert set(reasons) - METRICS - REPORT == expected - METRICS - REPORT
    label = next(iter(expected))
    assert any(words in phrase for phrase in reasons[label])
    assert all("damaged: " in reasons[label][0] or "recipe" in reasons[label][0] for label in expected)


def test_an_edit_under_its_old_time_is_noticed(copy):
    path = RESULTS / f"{FIRST}/adapter/adapter_model.safetensors"
    assert stale() == {}
    before = path.stat()
    path.write_text(path.read_text().swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert stale()[FIRST] == ["damaged: adapter_model.safetensors"]


def test_an_image_takes_only_what_was_made_in_it(copy):
    reasons = stale(image="1" * 64)
    assert set(reasons) == DATA | ADAPTERS | PREDICTIONS | METRICS | REPORT
    assert all("another image" in phrases for phrases in reasons.values())
    assert stale() == {}


def test_behaviour_of_training_and_of_predictions(copy, monkeypatch):
    monkeypatch.setattr("stagewise.training.TRAINING_BEHAVIOUR", 99)
    reasons = stale()
    assert set(reasons) == ADAPTERS
    assert all(phrases[0] == f"behaviour of training {TRAINING_BEHAVIOUR} -> 99" for phrases in reasons.values())
    monkeypatch.undo()
    monkeypatch.chdir(copy)
    monkeypatch.setattr("stagewise.predictions.fingerprint.PREDICTION_BEHAVIOUR", 99)
    assert stale() == dict.fromkeys(PREDICTIONS, [f"behaviour of predictions {PREDICTION_BEHAVIOUR} -> 99"])


def test_other_weights_of_a_parent(copy):
    """Training on a GPU is not reproducible to the bit, so the same recipe may give other weights."""
    folder = RESULTS / FIRST / "adapter"
    append(folder / "adapter_model.safetensors", "another training of the same recipe")
    receipt = json.loads((folder / "receipt.json").read_text())
    (folder / "receipt.json").unlink()
    write_receipt(folder, {"inputs": receipt["inputs"]})
    reasons = stale()
    assert set(reasons) - METRICS == {SECOND, REHEARSED, f"{FIRST}/predictions"}
    assert reasons[SECOND] == ["weights of a parent changed"]


def test_splits_and_texts_may_be_elsewhere(copy):
    shutil.rmtree("results/data/dreaddit")
    Path("results/items.html").unlink()
    assert stale() == {}


def test_a_base_model_that_is_not_here_is_known_by_its_recipes(copy):
    shutil.rmtree("my-model")
    assert stale() == {}


def test_a_record_of_an_earlier_version_is_named_as_such(copy):
    path = RESULTS / "base/predictions/receipt.json"
    receipt = json.loads(path.read_text())
    del receipt["checksum"]
    path.write_text(json.dumps(receipt))
    assert stale()["base/predictions"] == ["written by another version"]


def test_a_file_that_is_missing_is_refused_before_a_plan(copy):
    """Snakemake would leave the output as it is and make what comes after it from the old one."""
    Path("prompts/dreaddit.txt").unlink()
    checksums = ChecksumMemory()
    experiment = Experiment(study(), checksum=checksums, code=ProjectCode(checksums, root=Path()))
    with pytest.raises(InputError, match=r"prompts/dreaddit.txt: no such file, and .* is to be made from it"):
        prepare_plan(experiment, list(declared_artifacts(experiment)), None)


def test_a_prompt_of_other_fields_is_refused_before_a_plan(copy):
    Path("prompts/dreaddit.txt").write_text("Is {this} stress?\n")
    experiment = Experiment(study(), code=ProjectCode(root=Path()), checksum=ChecksumMemory())
    with pytest.raises(InputError, match=r"prompts/dreaddit.txt: the placeholder '\{this\}' is not one of the task's"):
        prepare_plan(experiment, list(declared_artifacts(experiment)), None)


def test_raw_data_that_is_not_here_makes_nothing_stale(copy):
    """A clone need not have it, unless the splits are to be made again."""
    Path("data/sample/pubmedqa.json").unlink()
    assert stale() == {}
    experiment = Experiment(study({"limit": {"test": 40}}), code=ProjectCode(root=Path()), checksum=ChecksumMemory())
    with pytest.raises(InputError, match=r"pubmedqa.json: no such file, and data is to be made from it \(limit.test"):
        prepare_plan(experiment, list(declared_artifacts(experiment)), None)


def test_raw_files_of_1970_hide_no_stale_splits(copy):
    raw = Path("data/sample/pubmedqa.json")
    os.utime(raw, (1, 1))
    assert set(stale({"limit": {"test": 40}})) == DATA | METRICS
    newest = max(path.stat().st_mtime for path in (raw, Path("Snakefile")))
    assert Path("results/data/summary.json").stat().st_mtime < newest


def test_a_model_folder_that_moved_is_the_model_that_it_holds(copy):
    Path("my-model").rename("elsewhere")
    moved = stale({"models": {"mine": {"path": "elsewhere"}}})
    assert set(moved) == MODEL | METRICS  # the receipt names the folder; what it holds is the same
    Path("elsewhere/config.json").write_text('{"model_type": "llama", "a": 1}')
    assert ADAPTERS <= set(stale({"models": {"mine": {"path": "elsewhere"}}}))


@pytest.mark.parametrize("version", ["earlier", "today's"])
def test_a_clone_without_the_models_folder_has_nothing_to_do(copy, version):
    """The receipt of an earlier version names the folder of the machine that wrote it; today's leaves it beside."""
    receipt = json.loads(Path("models/mine/receipt.json").read_text())
    if version == "earlier":
        Path("models/mine/receipt.json").write_text(json.dumps(receipt | {"path": "/another/machine/my-model"}))
    Path("models/mine/location").unlink()
    shutil.rmtree("my-model")
    assert stale() == {}


def test_a_clone_beside_the_models_folder_has_nothing_to_do(copy):
    """The place of the folder is not passed on: it is written down again, since the files are those of the receipt."""
    location = Path("models/mine/location")
    location.unlink()
    assert stale() == {}
    assert (location.parent / location.read_text().strip()).samefile("my-model")
    location.write_text("/another/machine/my-model\n")
    append("my-model/config.json", " ")
    assert "model file config.json changed" in stale()["models/mine"]


def test_an_edited_receipt_of_the_model_is_not_believed(copy):
    path = Path("models/mine/receipt.json")
    receipt = json.loads(path.read_text())
    path.write_text(json.dumps(receipt | {"fingerprint": "5" * 64}))
    assert stale() == {"models/mine": ["damaged: receipt.json"]}


def test_predictions_of_several_package_versions_are_named_by_file(copy, capsys):
    folder = RESULTS / "base" / "predictions"
    receipt = json.loads((folder / "receipt.json").read_text())
    parts = {"dreaddit.test": {"packages": {"torch": "0.1.0"}}, "pubmedqa.test": {"packages": package_versions()}}
    write_receipt(folder, {"inputs": receipt["inputs"], "packages": package_versions(), "scoring": parts})
    Path(RESULTS / "report.html").unlink()
    experiment = Experiment(study(), checksum=ChecksumMemory(), code=ProjectCode(ChecksumMemory(), root=Path()))
    prepare_plan(experiment, list(declared_artifacts(experiment)), None)
    assert "warning: torch 0.1.0 made base/predictions/dreaddit.test, this environment has" in capsys.readouterr().err
