"""Fifty real items scored by the workflow's step, checked against plain transformers and scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from scripts import fetch_data, make_splits, predict
from stagewise.config.experiment import Config
from stagewise.config.load_config import check
from stagewise.config.yaml_files import merge, read_yaml
from stagewise.data.items import read_split
from stagewise.data.raw_files import raw_path
from stagewise.metrics.bootstrap import Bootstrap
from stagewise.metrics.calibration import confusion
from stagewise.metrics.decision_rules import DecisionRules
from stagewise.metrics.discrimination import DiscriminationTable
from stagewise.metrics.prediction_table import AnswerFormat, read_predictions
from stagewise.metrics.scores import ScoreTable, score_record
from tests.helpers.project_copy import ROOT

pytestmark = [pytest.mark.real, pytest.mark.slow]
ITEMS = 25  # of each task
COMPARED = 10  # of them with a plain computation, which takes a pass for every label


@pytest.fixture(scope="module")
def scored(real_data, embedded_model, tmp_path_factory):
    """The real experiment's base model in float32 on 25 test items a task; (config, folder)."""
    folder = tmp_path_factory.mktemp("real")
    values = merge(read_yaml(ROOT / "config.yaml"), read_yaml(ROOT / "experiments" / "real.yaml"))
    values |= {"limit": {"train": 4, "validation": 4, "test": ITEMS}, "dtype": "float32"}
    config: Config = check(values, [])
    raw = folder / "raw"
    for name, task in config.active_tasks.items():
        for role, file in task.sources[task.source].files.items():
            arguments = ["--url", file.url, "--sha256", file.sha256, "--mirror", str(real_data)]
            assert fetch_data.main([*arguments, "--output", str(raw_path(name, role, file, raw))]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # prompts are named relative to the checkout
        data = config.data_settings().model_dump_json(exclude_defaults=True)
        assert make_splits.main(["--settings", data, "--raw", str(raw), "--output", str(folder / "data")]) == 0
        scoring = config.scoring_settings().model_dump_json(exclude_defaults=True)
        arguments = ["--settings", scoring, "--model", str(embedded_model), "--data", str(folder / "data")]
        assert predict.main([*arguments, "--output", str(folder / "predictions")]) == 0
    return config, folder


@pytest.fixture(scope="module")
def plain(scored, embedded_model):
    """Encode the items of a task, and score answers after one prompt at a time; both by transformers alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config, folder = scored
    tokenizer = AutoTokenizer.from_pretrained(embedded_model)
    model = AutoModelForCausalLM.from_pretrained(embedded_model, dtype=torch.float32).eval()

    def encode_prompts(task: str) -> list[list[int]]:
        template = (ROOT / config.active_tasks[task].prompt).read_text().rstrip("\n")
        prompts = []
        for line in (folder / "data" / task / "test.jsonl").open():
            messages = [
                {"role": "system", "content": config.prompting.system},
                {"role": "user", "content": template.format(**json.loads(line)["fields"])},
            ]
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            prompts.append(tokenizer(text, add_special_tokens=False).input_ids)
        return prompts

    def encode_answers(words: list[str]) -> list[list[int]]:
        return [[*tokenizer(word, add_special_tokens=False).input_ids, tokenizer.eos_token_id] for word in words]

    def score(prompt: list[int], answer: list[int]) -> float:
        with torch.inference_mode():
            logprobs = model(torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
        return sum(logprobs[len(prompt) - 1 + n, token].item() for n, token in enumerate(answer))

    return encode_prompts, encode_answers, score


@pytest.mark.parametrize("task", ["pubmedqa", "dreaddit"])
def test_scores_agree_with_a_plain_unbatched_computation(scored, plain, task):
    config, folder = scored
    encode_prompts, encode_answers, score = plain
    table = pd.read_csv(folder / "predictions" / f"{task}.test.csv", keep_default_na=False)
    words, prompts = config.active_tasks[task].words, encode_prompts(task)
    assert len(table) == len(prompts) == ITEMS
    answers = encode_answers(words)
    expected = np.array([[score(prompt, answer) for answer in answers] for prompt in prompts[:COMPARED]])
    actual = table[[f"logprob:{word}" for word in words]].to_numpy()[:COMPARED]
    assert np.abs(actual - expected).max() < 1e-4
    assert table.prediction.tolist()[:COMPARED] == [words[i] for i in expected.argmax(axis=1)]


def test_labels_that_begin_alike_agree_too(plain, embedded_model):
    from stagewise.inference import likelihood
    from stagewise.models.load import load_base, load_tokenizer

    encode_prompts, encode_answers, score = plain
    prompts = encode_prompts("dreaddit")[:COMPARED]
    answers = encode_answers(["no", "no stress", "no stress at all", "stress"])
    assert len({answer[0] for answer in answers}) == 2
    model = load_base(embedded_model, "none", "float32")
    actual = likelihood.score(model, load_tokenizer(embedded_model), prompts, answers)
    expected = np.array([[score(prompt, answer) for answer in answers] for prompt in prompts])
    assert np.abs(actual - expected).max() < 1e-4


@pytest.mark.parametrize("task", ["pubmedqa", "dreaddit"])
def test_metrics_recomputed_from_the_file_agree(scored, task):
    config, folder = scored
    words = config.active_tasks[task].words
    path = folder / "predictions" / f"{task}.test.csv"
    items = read_split(folder / "data" / task / "test.jsonl", words)
    ours = read_predictions(path, task, "test", AnswerFormat(words), items)
    key, bootstrap = ("base", task, "test"), Bootstrap(100, 0, 0.95, [task])
    score = score_record(ScoreTable({key: ours}, DecisionRules({key: ours}, {}, {}), bootstrap), *key)
    (discrimination,) = DiscriminationTable({key: ours}, bootstrap).records("test", [])
    values = score.measures | {"log_loss": discrimination.log_loss}

    table = pd.read_csv(path, keep_default_na=False)
    logprobs = table[[f"logprob:{word}" for word in words]].to_numpy()
    shares = np.exp(logprobs) / np.exp(logprobs).sum(axis=1, keepdims=True)
    precision, recall, f1, support = precision_recall_fscore_support(
        table.label, table.prediction, labels=words, zero_division=0
    )
    expected = {
        "accuracy": accuracy_score(table.label, table.prediction),
        "macro_f1": f1_score(table.label, table.prediction, labels=words, average="macro", zero_division=0),
        "log_loss": log_loss([words.index(label) for label in table.label], shares, labels=range(len(words))),
    }
    for name, value in expected.items():
        assert values[name].value == pytest.approx(value, abs=1e-12)
    for i, row in enumerate(score.labels):
        assert (row.label, row.support) == (words[i], support[i])
        assert [row.precision, row.recall.value, row.f1.value] == pytest.approx(
            [precision[i], recall[i], f1[i]], abs=1e-12
        )
    assert np.array_equal(
        np.array(confusion(ours).counts), confusion_matrix(table.label, table.prediction, labels=words)
    )
