"""The question of scripts.forgot as an experiment: paths, names, and what is passed on."""

import pytest
import yaml

from scripts import forgot
from stagewise.config.load_config import load
from stagewise.errors import InputError
from stagewise.pipeline.forgot_experiment import Question, check_experiment, experiment_values, write_experiment
from tests.helpers.project_copy import ROOT
from tests.helpers.refusals import check_refusal

COMMIT = "0123456789abcdef" * 2 + "01234567"
CONFIG = ROOT / "config.yaml"
TASKS = {
    "medical": {
        "source": "file",
        "sources": {"file": {"files": {"items": {"path": "items.csv"}}, "reader": {"format": "csv"}}},
        "prompt": "medical.txt",
        "id": "id",
        "fields": {"text": "text"},
        "label": "label",
        "labels": [{"value": "1", "word": "yes"}, {"value": "0", "word": "no"}],
        "split": "random",
        "splits": {"random": {"rule": "random", "train": 0.5, "validation": 0.25, "test": 0.25}},
    }
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project without files but the configuration and our text, and a folder of the user's beside it."""
    project, user = tmp_path / "project", tmp_path / "user"
    (project / "data" / "sample").mkdir(parents=True)
    (project / "data" / "sample" / "held-out.txt").write_text("A plain text.")
    (project / "config.yaml").write_text(CONFIG.read_text())
    for folder in ("base", "runs/mine", "runs/other/mine", "tuned"):
        (user / folder).mkdir(parents=True)
    (user / "tasks").mkdir()
    (user / "tasks" / "medical.yaml").write_text(yaml.safe_dump({"tasks": TASKS}))
    for name in ("items.csv", "medical.txt"):
        (user / "tasks" / name).write_text("{text}")
    monkeypatch.chdir(user)
    return tmp_path


def question(place, **changes):
    return Question(**{"project": place / "project", "base": "base", "adapters": ["runs/mine"]} | changes)


def experiment(place, **changes):
    asked = question(place, **changes)
    return check_experiment(asked, experiment_values(asked))


def test_an_adapter_of_a_folder_elsewhere_on_the_users_task(place):
    config = experiment(place, tasks=["tasks/medical.yaml", "dreaddit"], learnt=["medical"], limit=50)
    user = place / "user"
    assert config.models[config.model].path == str(user / "base")
    (arm,) = config.active_arms.values()
    assert [(stage.adapter, stage.learnt) for stage in arm.stages] == [(str(user / "runs/mine"), ["medical"])]
    assert config.probes.tasks == ["dreaddit"] and list(config.probes.texts) == ["held-out"]
    medical = config.tasks["medical"]
    assert medical.prompt == str(user / "tasks/medical.txt")
    assert medical.sources["file"].files["items"].path == str(user / "tasks/items.csv")
    # The sample's settings are for the sample.
    assert (config.limit.train, config.limit.test, config.training.max_length) == (None, 50, 1024)
    assert config.results.startswith("results-forgot/mine-")


def test_without_a_task_our_own_text_is_probed(place):
    config = experiment(place)
    (text,) = config.probes.texts.values()
    assert list(config.active_tasks) == [] and (text.path, text.segment_tokens) == ("data/sample/held-out.txt", 64)


def test_checkpoints_follow_each_other_and_names_stay_apart(place):
    config = experiment(place, adapters=["runs/mine", "runs/other/mine", f"owner/name@{COMMIT}"])
    (arm,) = config.active_arms.values()
    assert [stage.folder for stage in arm.stages] == ["adopted-mine", "adopted-mine-2", "adopted-name"]


def test_a_tuned_model_and_a_base_model_by_name_or_commit(place):
    config = experiment(place, base="smollm2-135m-instruct", adapters=[], models=["tuned"])
    (stage,) = next(iter(config.active_arms.values())).stages
    assert config.model == "smollm2-135m-instruct" and config.models[stage.model].path == str(place / "user" / "tuned")
    assert stage.folder == "tuned-tuned" and config.results.startswith("results-forgot/tuned-")
    config = experiment(place, base=f"owner/model@{COMMIT}")
    hub = config.models[config.model]
    assert (hub.hub, hub.revision) == ("owner/model", COMMIT)
    config = experiment(place, base="owner/model@main")
    assert config.models[config.model].revision == "main"


def test_settings_and_configuration_files_of_the_users_own(place):
    (place / "user" / "mine.yaml").write_text("quantization: nf4\nlimit: {test: 7}\narms: {x: null}\nseeds: [1, 2]\n")
    config = experiment(
        place,
        config_files=[place / "project" / "config.yaml", "mine.yaml"],
        settings=["prompting={system: Be brief.}", "dtype=float32"],
        tasks=["pubmedqa"],
    )
    assert config.quantization == "nf4" and config.limit.test == 7 and config.limit.train == 128
    assert config.prompting.system == "Be brief." and config.dtype == "float32"
    assert config.seeds == [0] and list(config.active_arms) == ["adapter"]


def test_the_file_to_be_passed_on_names_no_folder_of_this_machine(place):
    asked = question(place, tasks=["tasks/medical.yaml"], results="out")
    values = experiment_values(asked)
    public, private = write_experiment(asked, values)
    assert public == place / "user" / "out" / "experiment.yaml"
    assert str(place) not in public.read_text() and "(local)" in public.read_text()
    assert private.stat().st_mode & 0o077 == 0
    assert load(public, private) == check_experiment(asked, values)


def test_inside_the_project_one_file_is_enough(place, monkeypatch):
    project = place / "project"
    for folder in ("base", "mine"):
        (project / folder).mkdir()
    monkeypatch.chdir(project)
    asked = question(place, adapters=["mine"])
    (public,) = write_experiment(asked, experiment_values(asked))
    assert public.is_relative_to(project / "results-forgot")
    assert load(public).arms["adapter"].stages[0].adapter == "mine"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base": "nowhere"}, "'nowhere' is no model: neither a folder"),
        ({"base": "owner/name@"}, "'owner/name@' is no model"),
        ({"adapters": ["runs/none"]}, "--adapter 'runs/none': there is no such folder"),
        ({"adapters": ["owner/name@.."]}, "a revision is a commit"),
        ({"tasks": ["copa"]}, r"--task 'copa' is neither one of the configuration's tasks \(pubmedqa, dreaddit\)"),
        ({"tasks": ["none.yaml"]}, "none.yaml: no such configuration file"),
        ({"tasks": ["dreaddit"], "learnt": ["copa"]}, "--learnt 'copa' is not one of the tasks"),
        ({"texts": ["none.txt"]}, "--text 'none.txt': there is no such file"),
        ({"settings": ["promting={}"]}, "'promting' is not a setting; did you mean 'prompting'"),
        ({"results": "../project/data"}, "'data' is a folder of the project"),
    ],
)
def test_what_is_not_there_is_named(place, changes, says):
    with pytest.raises(InputError, match=says):
        experiment(place, **changes)


def test_a_refusal_starts_no_workflow(place, capsys, monkeypatch):
    monkeypatch.setattr(forgot, "run_workflow", lambda *given: pytest.fail("started"))
    code = forgot.main(["--base", "nowhere", "--adapter", "runs/mine"])
    check_refusal(code, capsys.readouterr().err, "'nowhere' is no model")


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (
            "error: first\nmore\nerror: fetch failed: é is no adapter\nWorkflowError:",
            "fetch failed: é is no adapter; then",
        ),
        ("Killed", "the workflow stopped, for the reason above; then"),
    ],
)
def test_the_last_sentence_is_the_workflows_reason(tmp_path, monkeypatch, capfd, says, reason):
    (tmp_path / "snakemake.py").write_text(f"print({says!r}); raise SystemExit(1)", encoding="utf-8")
    monkeypatch.setattr(forgot, "PROJECT", tmp_path)  # `python -m` looks there first
    with pytest.raises(InputError) as error:
        forgot.run_workflow([tmp_path / "experiment.yaml"], "1")
    assert str(error.value).startswith(reason) and says.splitlines()[0] in capfd.readouterr().err
