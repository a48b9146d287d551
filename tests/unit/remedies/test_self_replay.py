"""Items that the parent writes keep the earlier tasks' answers, and no earlier training item is read."""

import json
import shutil

import numpy as np
import pytest

from stagewise.data.items import read_split
from stagewise.models.adapters import ADAPTER_WEIGHTS
from stagewise.provenance.files import sha256_file
from tests.helpers.contradicting_tasks import AdapterFolder, task_settings, write_data
from tests.helpers.toy_stage import acting_after_step

# Enough of the tiny model is trained to write the first task's texts, with the loss on them.
LORA = {"lora": {"r": 16, "alpha": 32, "dropout": 0}}
FEW = {"self_replay": {"items": 6, "max_tokens": 4}}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory, tiny_model) -> AdapterFolder:
    """The first task learnt by ``quick``, which writes no sense."""
    folder = tmp_path_factory.mktemp("self-replay")
    adapters = AdapterFolder(folder, tiny_model, write_data(folder / "data"))
    adapters.train("quick", "first", epochs=1)
    return adapters


def pseudo_items(adapters: AdapterFolder, name: str, task: str = "first") -> list[dict]:
    recipe = json.loads((adapters.folder / name / "recipe.json").read_text())
    (path,) = (adapters.folder / "checkpoints" / recipe["fingerprint"][:16]).glob(f"*/pseudo_items/*/{task}.jsonl")
    return read_split(path, task_settings(adapters.data, task)["words"])


def test_the_first_task_is_kept_without_its_items(adapters):
    adapters.train("one", "first", epochs=24, loss_on="text", **LORA)
    adapters.train("sequential", "second", "one", ["first"], **LORA)
    settings = {"items": 20, "max_tokens": 48, "temperature": 0.8, "top_p": 0.7}
    adapters.plan("kept", "second", "one", ["first"], remedies={"self_replay": settings}, **LORA)
    train = adapters.data / "first" / "train.jsonl"
    moved = train.rename(train.with_suffix(".away"))
    try:
        summary = adapters.run("kept", "one")
    finally:
        moved.rename(train)
    assert adapters.accuracy("one", "first") >= 0.9 and adapters.accuracy("sequential", "first") < 0.3
    assert adapters.accuracy("kept", "first") >= adapters.accuracy("sequential", "first") + 0.4
    assert adapters.accuracy("kept", "second") >= 0.9
    assert summary["steps"] == adapters.summary("sequential")["steps"]
    assert summary["rehearsed"] == summary["generated"] == 20
    prompts = sum(len(item["fields"]["text"]) for item in pseudo_items(adapters, "kept")) / 4
    assert summary["extra_tokens"] > prompts


def test_another_parent_writes_other_items_and_a_seed_the_same(adapters):
    adapters.train("other", "first", epochs=1, seed=1)
    written = {}
    for name, parent, seed in (("a", "quick", 0), ("b", "other", 0), ("c", "quick", 3)):
        adapters.train(name, "second", parent, ["first"], seed=seed, epochs=1, remedies=FEW)
        written[name] = [item["fields"]["text"] for item in pseudo_items(adapters, name)]
    assert len(set(written["a"])) == 6
    assert written["a"] != written["b"] and not set(written["a"]) & set(written["c"])


def test_rows_are_mixed_in_of_every_earlier_task(adapters):
    """Two earlier tasks, learnt at once; each gets its own items, labelled with its own words."""
    from stagewise.models.load import load_tokenizer
    from stagewise.recipe import Recipe
    from stagewise.training.pseudo_items import get_or_make_items
    from stagewise.training.stage_data import load_stage_data

    shutil.copytree(adapters.data / "second", adapters.data / "third", dirs_exist_ok=True)
    shutil.copy(adapters.data / "second.txt", adapters.data / "third.txt")
    adapters.train("both", ["first", "second"], epochs=1)
    summary = adapters.train("third", "third", "both", ["first", "second"], epochs=1, remedies=FEW)
    assert summary["rehearsed"] == summary["generated"] == 12 and summary["items"] == 32 + 12
    recipe = Recipe.read(adapters.folder / "third" / "recipe.json")
    tokenizer = load_tokenizer(adapters.model)
    (cached,) = (path.parent for path in adapters.folder.glob(f"checkpoints/{recipe.fingerprint[:16]}/*/pseudo_items"))
    stored = get_or_make_items(recipe, None, None, None, cached)  # read alone: no model is there
    data = load_stage_data(recipe, tokenizer, adapters.data, stored)
    for task in ("first", "second"):
        rows = [row for row in data.rows if row["task"] == task]
        items = pseudo_items(adapters, "third", task)
        words = task_settings(adapters.data, task)["words"]
        assert [words[row["label"]] for row in rows] == [item["label"] for item in items]
        texts = [tokenizer.decode(row["input_ids"]) for row in rows]
        assert all(item["fields"]["text"] in text for item, text in zip(items, texts, strict=True))
        assert all(row["labels"][row["prompt_tokens"]] >= 0 for row in rows), "the answer counts"


def test_labels_are_the_parents_answers(adapters):
    adapters.train("labelled", "second", "quick", ["first"], epochs=1, remedies=FEW)
    items = pseudo_items(adapters, "labelled")
    split = adapters.data / "first" / "pseudo.jsonl"
    split.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    scores, labels = adapters.logprobs("quick", "first", "pseudo")
    assert labels == scores.argmax(1).tolist()


@pytest.mark.parametrize("damage", [None, "edited", "missing"])
def test_a_resumed_training_has_the_same_items_and_bytes(adapters, tmp_path, monkeypatch, capsys, damage):
    from stagewise.remedies.self_replay import SelfReplay

    settings = {"epochs": 2, "eval_every": 4, "remedies": FEW, "seed": 5}
    adapters.train("quiet", "second", "quick", ["first"], **settings)
    cut = AdapterFolder(tmp_path, adapters.model, adapters.data)
    (tmp_path / "quick").symlink_to(adapters.folder / "quick")

    def stop(trainer) -> None:
        if trainer.state.global_step == 7:
            raise KeyboardInterrupt

    with acting_after_step(monkeypatch, stop), pytest.raises(KeyboardInterrupt):
        cut.train("quiet", "second", "quick", ["first"], **settings)
    (folder,) = tmp_path.glob("checkpoints/*/*/pseudo_items/self_replay")
    written = (folder / "first.jsonl").read_bytes()
    if damage == "edited":
        (folder / "first.jsonl").write_bytes(written.replace(b"yes", b"no"))
    elif damage == "missing":
        shutil.rmtree(folder)
    else:
        monkeypatch.setattr(SelfReplay, "pseudo_items", lambda *_: pytest.fail("items were made again"))
    summary = cut.train("quiet", "second", "quick", ["first"], **settings)
    assert summary["resumed_from_step"] == (None if damage else 4)
    warned = "the checkpoints without their pseudo-items are removed" in capsys.readouterr().err
    assert warned == bool(damage)
    assert (folder / "first.jsonl").read_bytes() == written
    assert sha256_file(cut.adapter("quiet") / ADAPTER_WEIGHTS) == sha256_file(
        adapters.adapter("quiet") / ADAPTER_WEIGHTS
    )
    assert not list(cut.adapter("quiet").rglob("*.jsonl")), "the texts stay in the cache"


def test_too_few_texts_stop_the_training_with_one_sentence(adapters, capsys):
    remedies = {"self_replay": {"items": 6, "max_tokens": 4, "top_p": 1e-6}}
    with pytest.raises(AssertionError):
        adapters.train("same", "second", "quick", ["first"], remedies=remedies)
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert "remedies.self_replay: the parent wrote " in line and "6 are asked for" in line
    assert not np.any([path.name == "adapter" for path in (adapters.folder / "same").iterdir()])
