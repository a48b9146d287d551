"""A checkpoint is whole or it is not trained on, whatever has happened to it; the adapter is that of a quiet run."""

import json
import pkgutil
import shutil

import pytest

from stagewise.errors import InputError
from stagewise.provenance.files import sha256_file
from stagewise.provenance.receipts import RECEIPT
from stagewise.provenance.sealed_json import seal
from stagewise.training.checkpoints import CHECKPOINT_FILES, Checkpoint, CheckpointFolder, parent_checkpoint
from tests.helpers.toy_stage import Stage, acting_after_step, interrupt
from tests.helpers.toy_task import write_toy_split

WEIGHTS = "adapter_model.safetensors"
FILES = [*CHECKPOINT_FILES, "rng_state.pth", "README.md", RECEIPT]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path):
    """Change what it says and leave it readable, where it is text."""
    content = path.read_bytes()
    digit = next((i for i in range(len(content)) if content[i : i + 1].isdigit()), len(content) - 1)
    path.write_bytes(content[:digit] + (b"8" if content[digit : digit + 1] != b"8" else b"9") + content[digit + 1 :])


def remove(path):
    path.unlink()


DAMAGES = [truncate, empty, flip_bit, edit, remove]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_split(tmp_path_factory.mktemp("data"))


# The best one is always the last, and dropout's draws make the random state count.
SETTINGS = {"training": {"eval_every": 2, "best_metric": "loss"}, "lora": {"r": 4, "alpha": 8, "dropout": 0.1}}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, tiny_model, data):
    """The adapter of a run that nothing disturbs."""
    stage = Stage(tmp_path_factory.mktemp("quiet"), tiny_model, data, **SETTINGS)
    assert stage.train() == 0
    return stage


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, tiny_model, data):
    """A run that was broken off in step 7, with checkpoints after steps 4 and 6."""
    root = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        interrupt(Stage(root, tiny_model, data, **SETTINGS), patch, step=7)
    return root


@pytest.fixture
def stage(tmp_path, interrupted, tiny_model, data):
    shutil.copytree(interrupted, tmp_path / "copy")
    return Stage(tmp_path / "copy", tiny_model, data, **SETTINGS)


def test_an_interrupted_run_has_two_whole_checkpoints(stage):
    assert sorted(path.name for path in stage.cached.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    checkpoints = CheckpointFolder(stage.cached)
    assert checkpoints.last().step == 6 and checkpoints.last().facts["best_step"] == 6
    assert {path.name for path in checkpoints.path(6).iterdir()} == set(FILES)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_sends_a_training_to_the_checkpoint_before(stage, capsys, name, damage):
    checkpoints = CheckpointFolder(stage.cached)
    damage(checkpoints.path(6) / name)
    assert checkpoints.last() == Checkpoint(checkpoints.path(4))
    assert not checkpoints.path(6).exists()
    warning = capsys.readouterr().err
    assert f"warning: {checkpoints.path(6)}: this checkpoint " in warning and warning.count("\n") == 1
    assert name in warning or name == RECEIPT


def a_file_in_its_place(path):
    shutil.rmtree(path)
    path.write_text("no folder")


def a_foreign_file(path):
    (path / "pytorch_model.bin").write_bytes(b"x")


def another_step(path):
    """A checkpoint under the name of a later step."""
    path.rename(path.with_name("checkpoint-7"))


def another_trainings(path):
    """A receipt that is right in itself, and belongs to another training."""
    receipt = json.loads((path / RECEIPT).read_text())
    (path / RECEIPT).write_text(json.dumps(seal(receipt | {"training": "0123456789abcdef/0123456789abcdef"})))


def all_of_them(path):
    for folder in path.parent.iterdir():
        flip_bit(folder / "optimizer.pt")


def without_receipt(path):
    """As an older version of the project wrote them."""
    (path / RECEIPT).unlink()


@pytest.mark.parametrize(
    ("harm", "resumed"),
    [
        (lambda path: None, 6),
        (lambda path: truncate(path / "trainer_state.json"), 4),
        (lambda path: empty(path / "optimizer.pt"), 4),
        (lambda path: flip_bit(path / WEIGHTS), 4),
        (lambda path: remove(path / "rng_state.pth"), 4),
        (lambda path: edit(path / "trainer_state.json"), 4),
        (a_file_in_its_place, 4),
        (a_foreign_file, 4),
        (another_step, 4),
        (another_trainings, 4),
        (without_receipt, 4),
        (all_of_them, None),
    ],
)
def test_the_same_command_ends_with_the_adapter_of_a_quiet_run(stage, quiet, capsys, harm, resumed):
    harm(CheckpointFolder(stage.cached).path(6))
    assert stage.train() == 0
    assert stage.summary()["resumed_from_step"] == resumed
    assert ("warning: " in capsys.readouterr().err) == (resumed != 6)
    assert sha256_file(stage.file(WEIGHTS)) == sha256_file(quiet.file(WEIGHTS))
    assert stage.log() == quiet.log()


@pytest.mark.parametrize(
    ("where", "resumed"),
    [
        ("stagewise.training.trainer.StageTrainer._save_rng_state", 4),
        ("stagewise.training.checkpoints.publish_folder", 4),
        ("stagewise.training.checkpoints.CheckpointFolder._remove_old", 6),
    ],
)
def test_a_training_that_is_killed_while_it_saves(
    tmp_path, tiny_model, data, quiet, capsys, monkeypatch, where, resumed
):
    """Nothing tidies up, as with SIGKILL; the next run does, without a warning: a checkpoint is there or not."""
    stage = Stage(tmp_path, tiny_model, data, **SETTINGS)
    calls = []

    def killed(*arguments, **options):
        calls.append(where)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    module, _, name = where.rpartition(".")
    original = getattr(pkgutil.resolve_name(module), name)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(where, killed)
        stage.train()
    assert stage.train() == 0
    assert "warning" not in capsys.readouterr().err
    assert stage.summary()["resumed_from_step"] == resumed
    assert sha256_file(stage.file(WEIGHTS)) == sha256_file(quiet.file(WEIGHTS))
    assert sorted(path.name for path in stage.cached.iterdir()) == ["adapter", "checkpoint-6", "checkpoint-8"]


def write_checkpoint(folder, step: int, best_step: int | None) -> None:
    checkpoints = CheckpointFolder(folder)
    aside = checkpoints.begin(step)
    for name in CHECKPOINT_FILES:
        (aside / name).write_text(str(step))
    checkpoints.publish(step, best_step, 1, {})


def steps(folder) -> list[int]:
    return sorted(int(path.name.rpartition("-")[2]) for path in folder.iterdir())


def test_two_checkpoints_are_kept_and_the_best_of_each(tmp_path):
    for step, best in ((1, 1), (2, 1), (3, 1), (4, 4), (5, 4)):
        write_checkpoint(tmp_path, step, best)
        # One of the newest two may be damaged, and the other one then needs its own best.
        assert steps(tmp_path) == {1: [1], 2: [1, 2], 3: [1, 2, 3], 4: [1, 3, 4], 5: [4, 5]}[step]
    write_checkpoint(tmp_path, 6, 4)
    assert steps(tmp_path) == [4, 5, 6]


def test_a_checkpoint_whose_best_is_damaged_is_no_use(tmp_path, capsys):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step, 1)
    flip_bit(tmp_path / "checkpoint-1" / WEIGHTS)
    assert CheckpointFolder(tmp_path).last() is None
    assert "needs checkpoint-1, the best one, which is gone" in capsys.readouterr().err
    assert steps(tmp_path) == []


def test_half_written_checkpoints_are_cleared_and_other_names_are_not(tmp_path):
    checkpoints = CheckpointFolder(tmp_path)
    (checkpoints.begin(3) / "optimizer.pt").write_text("half")
    (tmp_path / ".merged-abc").mkdir()
    (tmp_path / "checkpoint-mine").mkdir()
    checkpoints.remove_leftovers()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-mine"]
    assert checkpoints.last() is None and (tmp_path / "checkpoint-mine").is_dir()


def test_the_parents_damaged_checkpoint_is_refused_and_left_alone(tmp_path):
    write_checkpoint(tmp_path, 2, None)
    write_checkpoint(tmp_path, 4, None)
    assert parent_checkpoint(tmp_path, 8, "recipe.json").step == 4
    with pytest.raises(InputError, match="nothing would be trained"):
        parent_checkpoint(tmp_path, 4, "recipe.json")
    flip_bit(tmp_path / "checkpoint-4" / "optimizer.pt")
    with pytest.raises(InputError, match=r"checkpoint-4: the parent's last checkpoint has a damaged optimizer.pt"):
        parent_checkpoint(tmp_path, 8, "recipe.json")
    assert steps(tmp_path) == [2, 4]
    # The step before the last one would be another parent.
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "training.json").write_text('{"steps": 4}')
    shutil.rmtree(tmp_path / "checkpoint-4")
    with pytest.raises(InputError, match="last checkpoint is missing"):
        parent_checkpoint(tmp_path, 8, "recipe.json")


def test_a_best_checkpoint_that_is_damaged_while_training_goes_on_is_not_loaded(
    tmp_path, tiny_model, data, quiet, capsys, monkeypatch
):
    stage = Stage(tmp_path, tiny_model, data, **SETTINGS)

    def harm(trainer) -> None:
        if trainer.state.global_step == 7:
            trainer.state.best_metric = -1.0  # so that step 6 stays the best one
            flip_bit(stage.cached / "checkpoint-6" / WEIGHTS)

    with acting_after_step(monkeypatch, harm):
        assert stage.train() == 2
    assert "the best checkpoint has a damaged adapter_model.safetensors" in capsys.readouterr().err
    assert stage.train() == 0
    assert sha256_file(stage.file(WEIGHTS)) == sha256_file(quiet.file(WEIGHTS))
