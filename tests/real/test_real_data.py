"""Facts about the real PubMedQA and Dreaddit, and their treatment by the data step with config.yaml."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from scripts import design, fetch_data, make_splits
from stagewise.config.load_config import load
from stagewise.data.duplicates import normalize
from stagewise.data.raw_files import raw_path

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
ALL = ("train", "validation", "test")


@pytest.fixture(scope="module")
def raw(real_data, tmp_path_factory):
    """Folder of the raw files of both tasks, from the mirror only."""
    folder = tmp_path_factory.mktemp("raw")
    for name, task in load(ROOT / "config.yaml").tasks.items():
        for role, file in task.sources["original"].files.items():
            argv = ["--url", file.url, "--sha256", file.sha256, "--mirror", str(real_data)]
            assert fetch_data.main([*argv, "--output", str(raw_path(name, role, file, folder))]) == 0
    return folder


@pytest.fixture(scope="module")
def make(raw, tmp_path_factory):
    """Run the data step with an overlay on config.yaml; return exit code and output folder."""

    def run(split: str, **overlay):
        folder = tmp_path_factory.mktemp("splits")
        tasks = {name: {"source": "original", "split": split} for name in ("pubmedqa", "dreaddit")}
        (folder / "overlay.yaml").write_text(
            json.dumps({"tasks": tasks, "limit": {"train": None, "validation": None, "test": None}} | overlay)
        )
        settings = [str(ROOT / "config.yaml"), str(folder / "overlay.yaml")]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)  # the split files' paths are relative to it
            output = folder / "out"
            return make_splits.main(["--settings", *settings, "--raw", str(raw), "--output", str(output)]), output

    return run


@pytest.fixture(scope="module")
def official(make):
    code, output = make("official", duplicates={"within_split": "drop", "across_splits": "drop"})
    assert code == 0
    return output


@pytest.fixture(scope="module")
def published(make):
    code, output = make("published", duplicates={"within_split": "keep", "across_splits": "keep"})
    assert code == 0
    return output


def items(output: Path, task: str, *splits: str) -> list[dict]:
    rows = []
    for split in splits or ALL:
        rows += map(json.loads, (output / task / f"{split}.jsonl").read_text(encoding="utf-8").splitlines())
    return rows


def facts(output: Path, task: str) -> dict:
    return json.loads((output / "summary.json").read_text())["tasks"][task]


def sizes(output: Path, task: str) -> list[int]:
    return [len(items(output, task, split)) for split in ALL]


def dreaddit(raw: Path, split: str) -> list[dict]:
    """Read rows with the standard library."""
    with (raw / "dreaddit" / split / f"dreaddit-{split}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_pubmedqa_official(official):
    labels = Counter(item["label"] for item in items(official, "pubmedqa"))
    assert labels == {"yes": 552, "no": 338, "maybe": 110}
    assert sizes(official, "pubmedqa") == [450, 50, 500]
    assert facts(official, "pubmedqa")["splits"]["test"]["labels"] == {"yes": 276, "no": 169, "maybe": 55}
    assert facts(official, "pubmedqa")["set_aside"] == {}
    test_ids = json.loads((ROOT / "data/splits/pubmedqa_official.json").read_text())["test"]
    assert {item["id"] for item in items(official, "pubmedqa", "test")} == set(test_ids)


def test_every_fold_of_pubmedqa_validates_fifty_others(make):
    seen = []
    for fold in (0, 1, 9):
        split = {"official": {"rule": "ids", "ids": "data/splits/pubmedqa_official.json", "fold": fold}}
        tasks = {"pubmedqa": {"source": "original", "split": "official", "splits": split}, "dreaddit": None}
        arms = {"sequential": {"stages": [{"task": "pubmedqa"}]}, "rehearsal": None}
        code, output = make("official", tasks=tasks, arms=arms)
        assert code == 0
        assert sizes(output, "pubmedqa") == [450, 50, 500]
        seen += [item["id"] for item in items(output, "pubmedqa", "validation")]
    assert len(set(seen)) == 150


def test_pubmedqa_prompts_have_every_section_and_never_the_conclusion(raw, official):
    records = json.loads((raw / "pubmedqa" / "items" / "ori_pqal.json").read_text(encoding="utf-8"))
    for item in items(official, "pubmedqa"):
        record = records[item["id"]]
        assert item["fields"] == {"question": record["QUESTION"], "context": "\n".join(record["CONTEXTS"])}
        assert item["label"] == record["final_decision"]
        assert record["LONG_ANSWER"].strip()
        assert not any(record["LONG_ANSWER"].strip() in text for text in item["fields"].values())
    assert Counter(len(record["CONTEXTS"]) > 1 for record in records.values())[True] > 900


def test_one_annotator_agrees_with_pubmedqas_labels_as_often_as_published(official):
    """Reasoning with the context, 78.0 % on the official test split (Jin et al. 2019, arXiv:1909.06146, table 5)."""
    items = [json.loads(line) for line in (official / "pubmedqa" / "test.jsonl").open(encoding="utf-8")]
    assert sum(item["agreement"]["reasoning_required_pred"] for item in items) / len(items) == pytest.approx(0.78)
    shares = [
        json.loads(line)["agreement"]["confidence"]
        for line in (official / "dreaddit" / "test.jsonl").open(encoding="utf-8")
    ]
    assert shares.count(None) == 98  # 0 in the raw file, whatever the label
    assert {share > 0.4 for share in shares if share is not None} == {True}


def test_dreaddit_raw_facts(raw):
    rows = {split: dreaddit(raw, split) for split in ("train", "test")}
    assert {split: len(found) for split, found in rows.items()} == {"train": 2838, "test": 715}
    assert [len(found[0]) for found in rows.values()] == [116, 116]
    assert list(rows["train"][0]) != list(rows["test"][0])
    texts = {split: [row["text"] for row in found] for split, found in rows.items()}
    assert texts["train"].count("#NAME?") == 4
    assert len(texts["train"]) - len(set(texts["train"])) == 18
    assert len(set(texts["train"]) & set(texts["test"])) == 3


def test_dreaddit_official(raw, official):
    train, test = dreaddit(raw, "train"), dreaddit(raw, "test")
    posts = {row["id"]: row["post_id"] for row in train}
    held = [{posts[item["id"]] for item in items(official, "dreaddit", split)} for split in ("train", "validation")]
    assert not held[0] & held[1]
    assert facts(official, "dreaddit")["groups_across_splits"] == 0
    # Test is whole; train and validation are what the broken rows and the duplicates leave of 2838.
    assert [item["id"] for item in items(official, "dreaddit", "test")] == [row["id"] for row in test]
    aside = facts(official, "dreaddit")["set_aside"]
    assert aside["unreadable text"] == 4
    assert aside["same text as a test item"] == 3
    assert sum(sizes(official, "dreaddit")) + sum(aside.values()) == 3553
    validation = sizes(official, "dreaddit")[1] / (2838 - 4)
    assert validation == pytest.approx(0.2, abs=0.005)
    texts = [normalize(item["fields"]["text"]) for item in items(official, "dreaddit")]
    assert len(texts) == len(set(texts))
    # Each distinct readable text is still there, but for those that train gave two labels.
    labels = {}
    for row in train:
        labels.setdefault(normalize(row["text"]), set()).add(row["label"])
    lost = set(labels) - set(texts) - {normalize("#NAME?")}
    assert len(lost) * 2 == aside["duplicate text with another label"]
    assert all(len(labels[text]) == 2 for text in lost)
    by_label = [facts(official, "dreaddit")["splits"][split]["labels"]["stress"] for split in ALL[:2]]
    shares = [n / size for n, size in zip(by_label, sizes(official, "dreaddit"), strict=False)]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)


def test_dreaddit_set_aside_names_the_rows(raw, official):
    train = dreaddit(raw, "train")
    with (official / "dreaddit" / "set_aside.csv").open(encoding="utf-8", newline="") as handle:
        found = list(csv.DictReader(handle))
    for row in found:
        assert row["file"] == "dreaddit-train.csv"
        assert train[int(row["row"]) - 1]["id"] == row["id"]
    broken = [row["id"] for row in found if row["reason"] == "unreadable text"]
    assert broken == [row["id"] for row in train if row["text"] == "#NAME?"]


def test_published_sizes(published):
    """650/245/105 and 2270/568/715; the four `#NAME?` rows, all in train, are counted there and kept out here."""
    assert sizes(published, "pubmedqa") == [650, 245, 105]
    assert sizes(published, "dreaddit") == [2270 - 4, 568, 715]
    assert facts(published, "dreaddit")["set_aside"] == {"unreadable text": 4}
    lists = json.loads((ROOT / "data/splits/dreaddit_published.json").read_text())
    assert [len(lists[split]) for split in ALL] == [2270, 568, 715]
    assert facts(published, "dreaddit")["groups_across_splits"] == 135
    assert facts(published, "dreaddit")["duplicates"]["across_splits_exact"] == 11


@pytest.mark.parametrize("rule", ["within_split", "across_splits"])
def test_duplicates_stop_by_default(make, capsys, rule):
    other = {"within_split": "across_splits", "across_splits": "within_split"}[rule]
    code, output = make("published", duplicates={other: "keep"})
    assert code == 2
    assert f"set duplicates.{rule} to drop or keep" in capsys.readouterr().err
    assert not output.exists()


def test_the_remedies_study_says_in_its_header_what_it_can_show(raw, tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raw").symlink_to(raw)
    for name in ("config.yaml", "experiments", "data/splits", "prompts"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    noise = ["0", "1", "2", "3"]
    study = "experiments/remedies.yaml"
    assert design.main(["--configfile", "config.yaml", study, "--noise", *noise, "--effect", "50"]) == 0
    table = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    _, *rows = table[: 1 + len(noise)]
    kept_pubmedqa, kept_dreaddit, mean, mean_of_the_other_order = zip(
        *(map(float, row[1:]) for row in rows), strict=True
    )
    header = {
        line.partition("  ")[2].rstrip("0123456789. ").strip(): line.split()[-len(noise) :]
        for line in (ROOT / study).read_text(encoding="utf-8").splitlines()
        if line.startswith("#   ") and line[-1].isdigit()
    }
    assert header == {
        "training noise (standard deviation, points)": noise,
        "an arm against sequential, mean over both tasks": [
            f"{max(both):.1f}" for both in zip(mean, mean_of_the_other_order, strict=True)
        ],
        "forgetting of sequential, pubmedqa": [f"{value:.1f}" for value in kept_pubmedqa],
        "forgetting of sequential, dreaddit": [f"{value:.1f}" for value in kept_dreaddit],
    }
