"""The embedded model, converted from its package: it answers, its tokenizer is complete, its steps work."""

import json

import pytest
import torch

from scripts import infer
from stagewise.inference import generation, likelihood
from stagewise.models.load import load_base, load_tokenizer
from tests.helpers.prediction_step import PredictionStep

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tokenizer(embedded_model):
    return load_tokenizer(embedded_model)


@pytest.fixture(scope="module")
def base(embedded_model):
    """The model in the hardware's own type, on two threads, loaded once for the module."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield load_base(embedded_model)
    torch.set_num_threads(threads)


def chat(tokenizer, text: str) -> list[int]:
    messages = [{"role": "user", "content": text}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)[
        "input_ids"
    ]


def test_it_answers_sanely(base, tokenizer):
    questions = ["What is the capital of France?", "What is 2 + 2?"]
    answers = generation.generate(base, tokenizer, [chat(tokenizer, question) for question in questions], 16)
    assert "Paris" in answers[0]
    assert "4" in answers[1] or "four" in answers[1].lower()


def test_the_tokenizer_is_whole(tokenizer):
    """Facts about SmolLM2's tokenizer; reading a GGUF file would lose the separation of digits."""
    assert len(tokenizer) == 49152
    assert tokenizer.model_max_length == 8192
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.convert_tokens_to_ids("<|im_start|>")) == (
        2,
        2,
        1,
    )
    assert tokenizer.tokenize("in 2024: 37.5%") == ["in", "Ġ", "2", "0", "2", "4", ":", "Ġ", "3", "7", ".", "5", "%"]
    text = "naïve (n = 1048) «stress»\n\t😀 don't  stop"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.decode(chat(tokenizer, "Hi")).endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


def test_it_knows_what_comes_next(base, tokenizer):
    """The likelier label follows from the text, so scoring reads the right position of a model that knows something."""
    prompts = [tokenizer(f"The capital of {country} is the city of")["input_ids"] for country in ("France", "England")]
    answers = [[*tokenizer(word)["input_ids"], tokenizer.eos_token_id] for word in (" Paris", " London")]
    rows = likelihood.score(base, tokenizer, prompts, answers)
    odds = rows[:, 0] - rows[:, 1]
    assert odds[0] > 1
    assert odds[1] < -1


def test_4bit_trains_and_scores_after_an_evaluation(embedded_model, tokenizer):
    """The first steps of QLoRA on the real model: the loss falls although there are evaluations between the steps."""
    from peft import LoraConfig, get_peft_model

    from stagewise.training.trainer import cast_trainable_to_float32

    base = load_base(embedded_model, "nf4")
    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"])).train()
    cast_trainable_to_float32(model)
    ids = torch.tensor([[*chat(tokenizer, "Is it so?"), *tokenizer("maybe")["input_ids"], tokenizer.eos_token_id]])
    labels = ids.clone()
    labels[:, :-2] = -100
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(4):
        loss = model(input_ids=ids, labels=labels).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        likelihood.score(model, tokenizer, [ids[0, :-2].tolist()], [[ids[0, -2].item()]])
    assert losses[-1] < losses[0] - 0.5


def test_the_steps_work_on_it(embedded_model, tmp_path, capsys):
    step = PredictionStep(tmp_path, embedded_model)
    assert step.run(step.settings(dtype="auto")) == 0
    table = step.table("trial.test")
    assert set(table["prediction"]) <= {"yes", "no", "maybe"}
    item = step.items("trial", "test")[0]
    capsys.readouterr()
    argv = [
        "--settings",
        json.dumps(step.settings(dtype="auto")),
        "--model",
        str(embedded_model),
        "--task",
        "trial",
        "--json",
    ]
    assert infer.main([*argv, "--item", json.dumps(item)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["label"] == table["prediction"][0]
