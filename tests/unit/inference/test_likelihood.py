"""Label log-probabilities: independent of batching, equal to a plain unbatched computation, ready to train on."""

import numpy as np
import pytest
import torch

from stagewise.inference import likelihood
from stagewise.models.load import load_base, load_tokenizer

# Different first tokens; one label that begins the other; labels of other lengths that begin alike.
DISTINCT = ["yes", "no", "maybe"]
NESTED = ["no", "no stress"]
ALIKE = ["no stress at all", "stress", "no stress", "no"]
TOLERANCE = 1e-4  # float32, stated in scoring.score


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return load_base(tiny_model, "none", "float32"), load_tokenizer(tiny_model)


def encode(tokenizer, words):
    return [[*tokenizer(word, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for word in words]


@pytest.fixture(scope="module")
def prompts(loaded):
    generator = torch.Generator().manual_seed(1)
    lengths = [3, 40, 7, 7, 22, 1, 64, 13, 40, 5, 9]
    return [torch.randint(3, 352, (n,), generator=generator).tolist() for n in lengths]


def plain(model, prompts, answers):
    """One prompt and one answer at a time, every position scored, nothing cached or padded."""
    rows = []
    for prompt in prompts:
        row = []
        for answer in answers:
            with torch.no_grad():
                logits = model(torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
            row.append(sum(logits[len(prompt) + i - 1, token].item() for i, token in enumerate(answer)))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("words", [DISTINCT, NESTED, ALIKE])
@pytest.mark.parametrize("budget", [1, 150, 100_000])
def test_a_label_gets_its_whole_answers_probability(loaded, prompts, words, budget):
    model, tokenizer = loaded
    answers = encode(tokenizer, words)
    got = likelihood.score(model, tokenizer, prompts, answers, budget)
    np.testing.assert_allclose(got, plain(model, prompts, answers), atol=TOLERANCE, rtol=0)
    assert np.ptp(got, axis=0).max() > 0.5, "the tiny model must tell prompts apart, or this test shows nothing"


def test_an_answer_of_one_token_needs_no_second_pass(loaded, prompts):
    model, tokenizer = loaded
    answers = [[5], [7], [9, tokenizer.eos_token_id]]
    got = likelihood.score(model, tokenizer, prompts, answers)
    np.testing.assert_allclose(got, plain(model, prompts, answers), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("words", [DISTINCT, NESTED])
@pytest.mark.parametrize("budget", [1, 64, 150, 100_000])
def test_the_same_result_for_any_batch_size(loaded, prompts, words, budget):
    model, tokenizer = loaded
    answers = encode(tokenizer, words)
    reference = likelihood.score(model, tokenizer, prompts, answers, 512)
    got = likelihood.score(model, tokenizer, prompts, answers, budget)
    np.testing.assert_allclose(got, reference, atol=TOLERANCE, rtol=0)
    # Row order is the prompts' order, whatever order they were computed in.
    backwards = likelihood.score(model, tokenizer, prompts[::-1], answers, budget)[::-1]
    np.testing.assert_allclose(backwards, reference, atol=TOLERANCE, rtol=0)


def test_batches_hold_every_item_once_within_the_budget():
    lengths = [5, 90, 17, 17, 3, 60, 41, 41, 8, 200]
    groups = likelihood.batches(lengths, 100)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[i] for i in group)
        assert longest * len(group) <= 100 or len(group) == 1
    ordered = [lengths[i] for group in groups for i in group]
    assert ordered == sorted(lengths, reverse=True)
    # What is to be generated counts too.
    assert all(
        (max(lengths[i] for i in g) + 20) * len(g) <= 100 or len(g) == 1 for g in likelihood.batches(lengths, 100, 20)
    )
    assert likelihood.batches([], 100) == []


def test_only_the_needed_positions_meet_the_output_head(loaded, prompts):
    model, tokenizer = loaded
    answers, shapes = encode(tokenizer, ALIKE), []
    hook = model.get_output_embeddings().register_forward_hook(lambda _, inputs, out: shapes.append(out.shape))
    try:
        likelihood.score(model, tokenizer, prompts, answers, 128)
    finally:
        hook.remove()
    first = sum(shape[0] for shape in shapes if shape[1] == 1)
    rest = sum(shape[0] * shape[1] for shape in shapes)
    assert first >= len(prompts)
    # Every token of an answer but the first, which all answers share a pass for, and little padding.
    needed = len(prompts) * (1 + sum(len(answer) - 1 for answer in answers))
    assert needed <= rest < 1.6 * needed


def test_the_prompts_are_read_once_and_their_cache_stays_within_the_budget(loaded, prompts):
    model, tokenizer = loaded
    shapes = []

    def record(module, inputs, kwargs, output):
        shapes.append((tuple(kwargs["input_ids"].shape), tuple(kwargs["attention_mask"].shape)))

    hook = model.register_forward_hook(record, with_kwargs=True)
    answers = [[token, 5, tokenizer.eos_token_id] for token in range(3, 80)]
    try:
        likelihood.score(model, tokenizer, prompts, answers, 150)
    finally:
        hook.remove()
    read = [fed for fed, seen in shapes if fed == seen]
    answered = [(fed, seen) for fed, seen in shapes if fed != seen]
    assert sum(rows for rows, _ in read) == len(prompts)
    assert sum(rows for (rows, _), _ in answered) == len(prompts) * len(answers)
    assert all(tokens == 2 for (_, tokens), _ in answered)
    assert all(rows * tokens <= 150 for _, (rows, tokens) in answered)


def test_padding_is_no_more_than_needed(loaded, prompts):
    model, tokenizer = loaded
    answers, seen = encode(tokenizer, DISTINCT), []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, inputs, out: seen.append(inputs[0].numel()))
    try:
        likelihood.score(model, tokenizer, [p for p in prompts for _ in range(3)], answers, 192)
    finally:
        hook.remove()
    tokens = 3 * sum(len(prompt) + sum(len(answer) - 1 for answer in answers) for prompt in prompts)
    assert tokens <= sum(seen) < 1.35 * tokens
    assert max(seen) <= 192


def test_a_bfloat16_model_breaks_no_ties_by_label_order(tiny_model, prompts):
    """Without the float32 head two of these labels' logits round to the same bfloat16 on some prompt."""
    model, tokenizer = load_base(tiny_model, "none", "bfloat16"), load_tokenizer(tiny_model)
    answers = [[token, tokenizer.eos_token_id] for token in range(3, 300)]
    rows = likelihood.score(model, tokenizer, prompts, answers)
    assert all(len(set(row)) == len(row) for row in rows.tolist())
    exact = likelihood.score(load_base(tiny_model, "none", "float32"), tokenizer, prompts, answers)
    assert np.abs(rows - exact).max() < 0.5


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_kept(loaded, prompts, training):
    model, tokenizer = loaded
    model.train(training)
    try:
        likelihood.score(model, tokenizer, prompts[:2], encode(tokenizer, DISTINCT))
        assert model.training is training
    finally:
        model.eval()


def test_an_adapter_in_training_is_scored_as_in_evaluation(tiny_model, tmp_path, prompts):
    """No dropout while scoring, and gradients as before afterwards."""
    from peft import LoraConfig, get_peft_model

    tokenizer = load_tokenizer(tiny_model)
    config = LoraConfig(r=4, lora_dropout=0.5, target_modules=["q_proj"], init_lora_weights=False)
    model = get_peft_model(load_base(tiny_model, "none", "float32"), config).train()
    answers = encode(tokenizer, NESTED)
    first, second = (likelihood.score(model, tokenizer, prompts, answers) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.training
    model(torch.tensor([prompts[0]]), labels=torch.tensor([prompts[1][:3]])).loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_progress_shows_items_and_time_left(loaded, prompts, capfd):
    model, tokenizer = loaded
    likelihood.score(model, tokenizer, prompts, encode(tokenizer, DISTINCT), progress="toy.test")
    err = capfd.readouterr().err
    assert "toy.test" in err
    assert f"{len(prompts)}/{len(prompts)}" in err
    likelihood.score(model, tokenizer, prompts, encode(tokenizer, DISTINCT))
    assert capfd.readouterr().err == ""


def test_other_architectures(tmp_path):
    """Qwen, Gemma and LFM2: other attention, a soft cap after the head, sliding windows, states that are no cache."""
    from transformers import (
        Gemma2Config,
        Gemma2ForCausalLM,
        Lfm2Config,
        Lfm2ForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    from tests.helpers import tiny_llama

    tokenizer = tiny_llama.build_tokenizer()
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
        "pad_token_id": 2,
    }
    torch.manual_seed(0)
    made = [
        Qwen2ForCausalLM(Qwen2Config(**shape)),
        Gemma2ForCausalLM(Gemma2Config(**shape, head_dim=8, sliding_window=8, final_logit_softcapping=3.0)),
        Lfm2ForCausalLM(Lfm2Config(**shape, layer_types=["conv", "full_attention"])),
    ]
    rows = [tokenizer(text)["input_ids"] for text in ("The trial found no difference.", "A calm day", "stress " * 9)]
    for model in made:
        model.eval()
        for words in (DISTINCT, NESTED, ALIKE):
            answers = encode(tokenizer, words)
            got = likelihood.score(model, tokenizer, rows, answers, 64)
            expected = plain(model, rows, answers)
            np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0, err_msg=type(model).__name__)
