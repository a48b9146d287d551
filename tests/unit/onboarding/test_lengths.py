"""Lengths in tokens."""

from tokenizers import Tokenizer, models, pre_tokenizers

from stagewise.onboarding.files import Part, Table
from stagewise.onboarding.lengths import MOST_TOKENS, TEMPLATE_TOKENS, measure
from stagewise.onboarding.survey import Choices, survey


def task(texts: list[str], **more):
    rows = [{"text": text, "label": "ab"[n % 2], **{k: v[n] for k, v in more.items()}} for n, text in enumerate(texts)]
    return survey(
        Table({"items": Part({}, "items", rows)}, {}),
        Choices(fields=["text"], **({"label": "summary", "kind": "generation"} if more else {})),
    )


def test_lengths_are_estimated_without_a_tokenizer(tmp_path):
    lengths = measure(task([f"{n:02d}" + "x" * 298 for n in range(40)]), "{text}", tmp_path)
    assert not lengths.is_counted and lengths.longest == 100 + 2 + TEMPLATE_TOKENS + 2
    assert lengths.max_length % 32 == 0 and lengths.max_length >= lengths.longest and lengths.cut == 0


def test_the_models_tokenizer_counts(tmp_path):
    words = models.WordLevel({"?": 0, "one": 1, "two": 2, "a": 3, "b": 4}, unk_token="?")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    lengths = measure(task(["one two " * (n + 1) for n in range(40)]), "say {text}", tmp_path)
    # Text, prompt, template, answer, and its end.
    assert lengths.is_counted and lengths.longest == 80 + 2 + TEMPLATE_TOKENS + 1 + 1


def test_the_longest_hundredth_is_cut(tmp_path):
    texts = [f"{n:03d}" + "x" * 297 for n in range(400)]
    texts[7] = "y" * 3000
    lengths = measure(task(texts), "{text}", tmp_path)
    assert lengths.max_length < 200 and lengths.cut == 1 and lengths.too_long == 0 and lengths.longest > 1000


def test_an_answer_is_never_cut(tmp_path):
    summaries = [f"{n:03d}" + "x" * 297 for n in range(200)]
    summaries[7] = "y" * 3000
    lengths = measure(task([f"text {n}" for n in range(200)], summary=summaries), "{text}", tmp_path)
    assert lengths.max_length > 1000 and lengths.max_new_tokens >= 1001 and lengths.too_long == 0


def test_what_no_small_model_takes_is_said(tmp_path):
    summaries = [f"{n:03d}" + "x" * 297 for n in range(200)]
    summaries[7] = "y" * 9000
    lengths = measure(task([f"text {n}" for n in range(200)], summary=summaries), "{text}", tmp_path)
    assert lengths.max_length == MOST_TOKENS and lengths.too_long == 1


def test_of_many_items_every_other_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("stagewise.onboarding.lengths._COUNTED", 600)
    texts = [f"{n}" for n in range(1000)]
    texts[4] = texts[6] = "y" * 3000
    assert measure(task(texts), "{text}", tmp_path).cut == 4
