"""The embedded sample is what its README says: reproducible, clean, learnable and not trivial."""

import csv
import importlib
import json
import re
import sys
from collections import Counter

import pytest

from stagewise.data.duplicates import normalize
from tests.helpers.project_copy import ROOT

SAMPLE = ROOT / "data" / "sample"
LABELS = {"yes", "no", "maybe"}


def rows(name):
    with open(SAMPLE / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


PUBMEDQA = json.loads((SAMPLE / "pubmedqa.json").read_text(encoding="utf-8"))
TRAIN, TEST = rows("dreaddit-sample-train.csv"), rows("dreaddit-sample-test.csv")
ASKED = [" ".join([item["QUESTION"], *item["CONTEXTS"]]) for item in PUBMEDQA.values()]
DECISIONS = [item["final_decision"] for item in PUBMEDQA.values()]


def test_the_generator_writes_the_committed_bytes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SAMPLE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert importlib.import_module("make_sample").main(["--output", str(tmp_path)]) == 0
    names = ["dreaddit-sample-test.csv", "dreaddit-sample-train.csv", "pubmedqa.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes(), f"{name}: run make_sample.py again"


def test_comparisons_are_those_of_their_generator_and_right(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SAMPLE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert importlib.import_module("make_comparisons").main(["--output", str(tmp_path)]) == 0
    assert (tmp_path / "comparisons.csv").read_bytes() == (SAMPLE / "comparisons.csv").read_bytes()
    comparisons = rows("comparisons.csv")
    assert Counter(row["answer"] for row in comparisons) == {"yes": 80, "no": 80}
    assert len({normalize(f"{row['statement']} {row['question']}") for row in comparisons}) == len(comparisons)
    for row in comparisons:
        numbers = [int(number) for number in re.findall(r"\d+", row["statement"])]
        first, second = (part.split(f" {verb} ")[0] for part, verb in parts(row["statement"]))
        larger = (first if numbers[0] > numbers[1] else second).lower()
        assert row["answer"] == ("yes" if row["question"].startswith(f"Is {larger} ") else "no"), row


def parts(statement):
    """The statement's two halves, each with its verb."""
    halves = statement.split("; ")
    return [(half, next(verb for verb in ("weighs", "takes", "costs", "is") if f" {verb} " in half)) for half in halves]


def test_the_held_out_text_is_prose_of_the_stated_length():
    text = (SAMPLE / "held-out.txt").read_bytes()
    assert text.isascii() and len(text) == 7547 and text.count(b"\n\n") == 16


def test_dreaddit_has_the_raw_format():
    for name in ("dreaddit-sample-train.csv", "dreaddit-sample-test.csv"):
        content = (SAMPLE / name).read_bytes()
        # One line a row; a checkout that rewrites line ends would fail here.
        assert content.count(b"\n") == content.count(b"\r\n") == len(rows(name)) + 1
    assert set(TRAIN[0]) == set(TEST[0]) and list(TRAIN[0]) != list(TEST[0])
    assert all(0.5 < float(row["confidence"]) <= 1 for row in TRAIN + TEST)


def test_ids_are_unique_and_no_post_stands_in_both_files():
    ids = [row["id"] for row in TRAIN + TEST]
    assert len(set(ids)) == len(ids) == 400 and len(PUBMEDQA) == 400
    posts = [{row["post_id"] for row in part} for part in (TRAIN, TEST)]
    assert not posts[0] & posts[1]
    assert all(len(part) > len(found) for part, found in zip((TRAIN, TEST), posts, strict=True))


def test_no_text_stands_twice():
    texts = [row["text"] for row in TRAIN + TEST] + ASKED
    assert [text for text, count in Counter(map(normalize, texts)).items() if count > 1] == []
    questions = [normalize(item["QUESTION"]) for item in PUBMEDQA.values()]
    assert len(set(questions)) == len(questions)


def test_label_shares():
    def shares(labels):
        return {label: count / len(labels) for label, count in Counter(labels).items()}

    assert shares(DECISIONS) == pytest.approx({"yes": 0.55, "no": 0.34, "maybe": 0.11}, abs=0.03)
    for part in (TRAIN, TEST):
        assert shares([row["label"] for row in part]) == pytest.approx({"1": 0.52, "0": 0.48}, abs=0.03)


def test_lengths():
    assert {32 <= len(text.split()) <= 40 for text in ASKED} == {True}
    assert {25 <= len(row["text"].split()) <= 40 for row in TRAIN + TEST} == {True}


def test_frames_are_filled_and_the_label_is_not_given_away():
    for item in PUBMEDQA.values():
        assert item["LONG_ANSWER"].endswith(".") and item["final_decision"] in LABELS
        assert item["QUESTION"].endswith("?") and len(item["CONTEXTS"]) == len(item["LABELS"]) == 2
        for sentence in (item["QUESTION"], *item["CONTEXTS"]):
            assert item["LONG_ANSWER"].casefold() not in sentence.casefold()
            # "no" is an ordinary word; "yes", "maybe" and a sentence "No." or "No, …" are answers.
            assert not re.search(r"\b(yes|maybe)\b|(^|[.?!:] )no\b[.,!:;]", sentence, re.IGNORECASE)
    texts = ASKED + [item["LONG_ANSWER"] for item in PUBMEDQA.values()] + [row["text"] for row in TRAIN + TEST]
    assert [text for text in texts if re.search(r"[{}|@\[\]]|  | [,.?]|\b(\w+) \1\b", text)] == []


def test_the_subreddit_says_little_about_the_label():
    by_subreddit = {}
    for row in TRAIN + TEST:
        by_subreddit.setdefault(row["subreddit"], Counter())[row["label"]] += 1
    assert len(by_subreddit) == 10
    assert sum(max(counts.values()) for counts in by_subreddit.values()) / 400 < 0.62


def tfidf_scores(train, test, **settings):
    """Accuracy and macro-F1 on `test`; both are texts and labels."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000, **settings))
    answers = model.fit(*train).predict(test[0])
    return accuracy_score(test[1], answers), f1_score(test[1], answers, average="macro")


def majority_scores(labels):
    share = max(Counter(labels).values()) / len(labels)
    return share, 2 * share / (1 + share) / len(set(labels))


def check_window(name, train, test):
    """Bag of words beats the majority class clearly and stays clearly below perfect."""
    accuracy, macro_f1 = tfidf_scores(train, test)
    base_accuracy, base_f1 = majority_scores(test[1])
    print(f"{name}: accuracy {accuracy:.3f}, macro-F1 {macro_f1:.3f}; majority {base_accuracy:.3f}, {base_f1:.3f}")
    assert base_accuracy + 0.08 <= accuracy <= 0.90
    assert base_f1 + 0.08 <= macro_f1 <= 0.90


@pytest.mark.parametrize("seed", range(10))
def test_tfidf_window_pubmedqa(seed):
    from sklearn.model_selection import train_test_split

    parts = train_test_split(ASKED, DECISIONS, train_size=0.6, stratify=DECISIONS, random_state=seed)
    check_window(f"PubMedQA, split {seed}", parts[0::2], parts[1::2])


def test_tfidf_window_dreaddit():
    train, test = ([[row["text"] for row in part], [row["label"] for row in part]] for part in (TRAIN, TEST))
    check_window("Dreaddit", train, test)
