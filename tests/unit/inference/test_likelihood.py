"""Label log-probabilities: independent of batching, equal to a plain unbatched computation, ready to train on."""

from contextlib import contextmanager
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch

from stagewise.inference import answer_tree, likelihood
from stagewise.models import token_tree
from stagewise.models.load import load_base, load_tokenizer
from tests.helpers import tiny_llama
from tests.helpers.model_families import adapted_family

# Different first tokens; one label that begins the other; labels of other lengths that begin alike.
DISTINCT = ["yes", "no", "maybe"]
NESTED = ["no", "no stress"]
ALIKE = ["no stress at all", "stress", "no stress", "no"]
TOLERANCE = 1e-4  # float32, stated in likelihood.score
MANY = [f"{first} {second} {n}" for first in ("no", "a", "the") for second in ("calm", "day") for n in range(13)]


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


@pytest.fixture
def on_cache(monkeypatch):
    """Score as for a model that reads no trees."""
    monkeypatch.setattr(likelihood, "longest_tree", lambda model: 0)
    monkeypatch.setattr(likelihood, "_tree_lengths", WeakKeyDictionary())


@pytest.mark.parametrize("words", [DISTINCT, NESTED, ALIKE])
@pytest.mark.parametrize("budget", [1, 150, 100_000])
def test_a_model_that_reads_no_trees_gives_the_same(loaded, prompts, words, budget, on_cache):
    model, tokenizer = loaded
    answers = encode(tokenizer, words)
    got = likelihood.score(model, tokenizer, prompts, answers, budget)
    np.testing.assert_allclose(got, plain(model, prompts, answers), atol=TOLERANCE, rtol=0)


def test_many_labels_are_divided_among_trees(loaded, prompts, monkeypatch):
    model, tokenizer = loaded
    answers = encode(tokenizer, MANY)[:77]
    assert len(answers) == 77 and len({len(answer) for answer in answers}) > 1
    expected = plain(model, prompts[:4], answers)
    for most in (255, 20, 1):
        monkeypatch.setattr(answer_tree, "_MOST_NODES", most)
        trees = answer_tree.answer_trees(answers)
        assert sorted(label for tree in trees for label in tree.labels) == list(range(77))
        assert all(len(tree.branches) <= most for tree in trees) or most == 1
        got = likelihood.score(model, tokenizer, prompts[:4], answers, 1024)
        np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)


def test_answers_that_begin_alike_share_their_beginning():
    (tree,) = answer_tree.answer_trees([[5, 6, 9], [5, 7, 9], [5, 6, 8, 9], [4]])
    assert tree.labels == (3, 2, 0, 1)
    assert tree.branches.tokens == (5, 6, 8, 7)
    assert tree.branches.parents == (-1, 0, 1, 0)
    assert tree.steps[2] == ((0, 5), (1, 6), (2, 9)), "label 0"


@contextmanager
def recorded_passes(model):
    """Yield a list that gets each pass's shape of token ids, shape of the mask, and positions that met the head."""
    passes = []

    def record(module, inputs, kwargs, output):
        shapes = kwargs["input_ids"].shape, kwargs["attention_mask"].shape
        passes.append((*map(tuple, shapes), output.logits.shape[1]))

    hook = model.register_forward_hook(record, with_kwargs=True)
    try:
        yield passes
    finally:
        hook.remove()


def test_one_pass_reads_a_prompt_and_all_answers(loaded, prompts):
    """Within the budget, with little padding, and the head at the positions that predict an answer's token alone."""
    model, tokenizer = loaded
    answers = encode(tokenizer, ALIKE)
    likelihood.score(model, tokenizer, prompts[:1], answers)  # the model has been looked at
    nodes = len({tuple(answer[:end]) for answer in answers for end in range(1, len(answer))})
    rows = [prompt for prompt in prompts for _ in range(3)]
    with recorded_passes(model) as passes:
        likelihood.score(model, tokenizer, rows, answers, 192)
    assert sum(batch for (batch, _), _, _ in passes) == len(rows)
    assert {mask for (batch, width), mask, _ in passes} == {(b, 1, w, w) for (b, w), _, _ in passes}
    assert {positions for _, _, positions in passes} == {nodes + 1}
    tokens = sum(len(prompt) + nodes for prompt in rows)
    fed = [batch * width for (batch, width), _, _ in passes]
    assert tokens <= sum(fed) < 1.35 * tokens and max(fed) <= 192


def test_the_head_meets_few_positions_at_a_time_where_labels_are_many(loaded, prompts):
    model, tokenizer = loaded
    answers = [[token, other, tokenizer.eos_token_id] for token in range(3, 20) for other in range(3, 10)]
    likelihood.score(model, tokenizer, prompts[:1], answers)
    with recorded_passes(model) as passes:
        likelihood.score(model, tokenizer, prompts, answers, 100_000)
    assert len(passes) > 1 and all(batch * positions <= 512 for (batch, _), _, positions in passes)


def test_without_trees_the_prompts_are_read_once_and_their_cache_stays_within_the_budget(loaded, prompts, on_cache):
    model, tokenizer = loaded
    answers = [[token, 5, tokenizer.eos_token_id] for token in range(3, 80)]
    with recorded_passes(model) as passes:
        likelihood.score(model, tokenizer, prompts, answers, 150)
    read = [fed for fed, seen, _ in passes if fed == seen]
    answered = [(fed, seen) for fed, seen, _ in passes if fed != seen]
    assert sum(rows for rows, _ in read) == len(prompts)
    assert sum(rows for (rows, _), _ in answered) == len(prompts) * len(answers)
    assert all(tokens == 2 for (_, tokens), _ in answered)
    assert all(rows * tokens <= 150 for _, (rows, tokens) in answered)


def test_a_model_that_reads_trees_wrongly_is_noticed(tiny_model, prompts, monkeypatch, capsys):
    """Here a mask that lets every branch see the ones before it."""
    model, tokenizer = load_base(tiny_model, "none", "float32"), load_tokenizer(tiny_model)
    answers = encode(tokenizer, ALIKE)

    def causal(trees, model):
        width = max(map(len, trees))
        return torch.ones(width, width, dtype=torch.bool).tril()[None, None].expand(len(trees), 1, -1, -1)

    monkeypatch.setattr(token_tree, "tree_mask", causal)
    got = likelihood.score(model, tokenizer, prompts, answers)
    assert capsys.readouterr().err.startswith("LlamaForCausalLM: answers are scored in passes of their own, because")
    np.testing.assert_allclose(got, plain(model, prompts, answers), atol=TOLERANCE, rtol=0)


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


def test_a_model_in_training_is_looked_at_without_dropout():
    model = adapted_family("Llama", dropout=0.5).train()
    answers = encode(TOKENIZER, NESTED)
    (tokens,) = likelihood.count_tokens(model, TOKENIZER, [[5, 9, 30]], answers, gradient=True)
    assert tokens == 3 + len(answers[1]) - 1, "a tree, in which the shorter answer begins the longer one"
    assert model.training


def test_progress_shows_items_and_time_left(loaded, prompts, capfd):
    model, tokenizer = loaded
    likelihood.score(model, tokenizer, prompts, encode(tokenizer, DISTINCT), progress="toy.test")
    err = capfd.readouterr().err
    assert "toy.test" in err
    assert f"{len(prompts)}/{len(prompts)}" in err
    likelihood.score(model, tokenizer, prompts, encode(tokenizer, DISTINCT))
    assert capfd.readouterr().err == ""


def architectures(vocabulary: int) -> dict:
    """Small random models of other families: other attention, positions, windows, and states that are no cache."""
    from transformers import (
        FalconConfig,
        Gemma2Config,
        Gemma3TextConfig,
        GPT2Config,
        Lfm2Config,
        MambaConfig,
        Qwen2Config,
    )

    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
        "pad_token_id": 2,
        "eos_token_id": 2,
    }
    windows = ["sliding_attention", "full_attention"]
    wide = {"head_dim": 8, "sliding_window": 200, "layer_types": windows}
    return {
        "Qwen2": Qwen2Config(**shape),
        "Gemma2": Gemma2Config(**shape, **wide | {"sliding_window": 8}, final_logit_softcapping=3.0),
        "Gemma2 in its window": Gemma2Config(**shape, **wide, final_logit_softcapping=3.0),
        "Gemma3": Gemma3TextConfig(**shape, **wide | {"sliding_window": 20}),
        "GPT-2": GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2),
        "LFM2": Lfm2Config(**shape, layer_types=["conv", "full_attention"]),
        "Mamba": MambaConfig(
            vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.2
        ),
        "Falcon with ALiBi": FalconConfig(
            vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True
        ),
    }


# Axes of the masks that each is given: 4 for trees, 2 for passes on a cache. A window has room for short prompts alone.
AXES = {"Gemma2": {2}, "Gemma3": {2, 4}, "LFM2": {2}, "Mamba": {2}, "Falcon with ALiBi": {2}}
TOKENIZER = tiny_llama.build_tokenizer()


@pytest.mark.parametrize(("name", "config"), architectures(len(TOKENIZER)).items())
def test_other_architectures(name, config):
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    texts = ("The trial found no difference.", "A calm day", "stress " * 20)
    rows = [TOKENIZER(text)["input_ids"] for text in texts]
    for words in (DISTINCT, NESTED, ALIKE):
        answers = encode(TOKENIZER, words)
        with recorded_passes(model) as passes:
            got = likelihood.score(model, TOKENIZER, rows, answers, 64)
        np.testing.assert_allclose(got, plain(model, rows, answers), atol=TOLERANCE, rtol=0)
    assert {len(mask) for _, mask, _ in passes} == AXES.get(name, {4})


@pytest.mark.parametrize(("name", "config"), architectures(len(TOKENIZER)).items())
def test_scores_have_the_gradient_of_plain_passes(name, config):
    """In trees, and in models that read the prompt again before every answer."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    prompts = [TOKENIZER(text)["input_ids"] for text in ("The trial found no difference.", "A calm day")]
    answers = encode(TOKENIZER, ALIKE)
    weights = torch.randn(len(prompts), len(answers), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    likelihood.score(model, TOKENIZER, prompts, answers)  # the model has been looked at
    total = 0.0
    with recorded_passes(model) as passes:
        for group, score in likelihood.scoring_passes(model, TOKENIZER, prompts, answers, 64):
            total = total + (weights[group] * score()).sum()
    expected = 0.0
    for row, prompt in enumerate(prompts):
        for column, answer in enumerate(answers):
            logprobs = model(torch.tensor([prompt + answer]), use_cache=False).logits[0].double().log_softmax(-1)
            positions = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
            expected = expected + weights[row, column] * logprobs[list(positions), answer].sum()
    parameters = [*model.base_model.parameters()]
    got, want = (torch.autograd.grad(value, parameters, materialize_grads=True) for value in (total, expected))
    largest = max(float(gradient.abs().max()) for gradient in want)
    assert largest > 0.1
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5 * largest)
    read = sum(rows * width for (rows, width), _, _ in passes)
    counted = sum(likelihood.count_tokens(model, TOKENIZER, prompts, answers, gradient=True))
    padding = len(prompts) * max(map(len, prompts)) - sum(map(len, prompts))
    assert counted == read - padding if len(passes) == 1 else 0.8 * read < counted <= read
