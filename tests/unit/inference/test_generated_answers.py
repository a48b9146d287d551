"""Generated answers: how long they may be, and a plain greedy loop beside them."""

import pytest
import torch

from stagewise.inference.generated_answers import MOST_TOKENS, generate_answers, with_answer_limit
from stagewise.models.load import load_base, load_tokenizer
from tests.helpers.trained_kinds import TOPICS, KindsOfTasks


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, tiny_model):
    return KindsOfTasks(tmp_path_factory.mktemp("kinds"), tiny_model)


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return load_base(tiny_model, "none", "float32"), load_tokenizer(tiny_model)


def greedy(model, tokenizer, prompt: list[int], most: int) -> list[int]:
    """Append the most probable token again and again, up to the end token, each time from the whole text."""
    ids = list(prompt)
    with torch.no_grad():
        while len(ids) < len(prompt) + most:
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == tokenizer.eos_token_id:
                break
    return ids[len(prompt) :]


@pytest.mark.parametrize("task", ["reply", "topics"])
def test_answers_are_those_of_a_plain_greedy_loop(kinds, loaded, task):
    model, tokenizer = loaded
    items = kinds.items[task]["test"]
    encoder = with_answer_limit(kinds.encoder(tokenizer, task), items, 12)
    prompts = encoder.encode_prompts(items).ids
    expected = [greedy(model, tokenizer, prompt, 12) for prompt in prompts]
    expected = [tokenizer.decode(ids, skip_special_tokens=True) for ids in expected]
    answers = generate_answers(model, encoder, prompts, [], 4096, None)
    assert answers == [text.strip() for text in expected] == generate_answers(model, encoder, prompts, [], 1, None)
    assert len(set(answers)) > 1

    # Two texts of which each ends some answers, the nearer one if both are there.
    stops = [expected[0].strip()[3:5], expected[1].strip()[5:7]]
    stopped = generate_answers(model, encoder, prompts, stops, 4096, None)
    places = [min((text.find(stop) for stop in stops if stop in text), default=len(text)) for text in expected]
    assert stopped == [text[:place].strip() for text, place in zip(expected, places, strict=True)] != answers


def test_the_limit_is_the_longest_answer_of_the_items_with_its_end(kinds, loaded):
    _, tokenizer = loaded
    items = kinds.items["reply"]["test"]
    encoder = kinds.encoder(tokenizer, "reply")
    longest = max(len(tokenizer(item["label"], add_special_tokens=False)["input_ids"]) for item in items)
    assert with_answer_limit(encoder, items, None).max_new_tokens == longest + 1
    assert with_answer_limit(encoder, items, 9).max_new_tokens == 9
    long = items[0] | {"label": "yes " * 2 * MOST_TOKENS}
    assert with_answer_limit(encoder, [long, *items], None).max_new_tokens == MOST_TOKENS + 1


def test_the_limit_of_sets_has_room_for_all_labels_whatever_the_items_have(kinds, loaded):
    _, tokenizer = loaded
    encoder = kinds.encoder(tokenizer, "topics")
    every = len(tokenizer(", ".join(TOPICS), add_special_tokens=False)["input_ids"])
    assert with_answer_limit(encoder, kinds.items["topics"]["test"][:1], None).max_new_tokens == every + 1


def test_a_task_with_one_label_needs_no_limit(kinds, loaded):
    encoder = kinds.encoder(loaded[1], "choice")
    assert with_answer_limit(encoder, [], 5) is encoder
