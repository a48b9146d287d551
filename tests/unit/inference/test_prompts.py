"""Prompts and their answers: prompt files, the chat template's variables and date, plain prompts as one text."""

from dataclasses import replace
from datetime import datetime

import pytest

from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.prompts import Encoder, Template
from tests.helpers.tiny_llama import CHAT_TEMPLATE, build_tokenizer
from tests.helpers.tokenizer_kinds import tokenizer_kinds

TODAY = "<|im_start|>system\nToday: {{ strftime_now('%d %b %Y') }}<|im_end|>\n" + CHAT_TEMPLATE

# As Llama 3.2's: a date may be given, else it is the day of the run.
GIVEN_OR_TODAY = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
    "{%- endif %}{{ '<|im_start|>system\nToday Date: ' + date_string + '<|im_end|>\n' }}" + CHAT_TEMPLATE
)

THINKING = "{% if thinking %}Think first.{% endif %}{% if times %}{{ times * 2 }}{% endif %}" + CHAT_TEMPLATE

KINDS = tokenizer_kinds()

ITEM = {"id": "1", "fields": {"text": "I cannot sleep."}}


def encoder(chat_template: str, **prompting) -> Encoder:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = chat_template
    return Encoder(tokenizer, Template("p", "{text}"), Prompting(**prompting), ["yes", "no"], 200, "text")


def prompt(chat_template: str, **prompting) -> str:
    made = encoder(chat_template, **prompting)
    return made.tokenizer.decode(made.encode_prompt(ITEM)[0])


@pytest.mark.parametrize(("template", "variable"), [(TODAY, "strftime_now"), (GIVEN_OR_TODAY, "date_string")])
def test_a_template_that_writes_the_date_of_the_day_is_refused_with_the_way_out(template, variable):
    with pytest.raises(InputError) as error:
        encoder(template)
    message = str(error.value)
    assert message.startswith("prompting.template: ") and "\n" not in message
    assert message.endswith(f'prompting.template: {{{variable}: "26 Jul 2024"}}')
    # The way out is one.
    assert "26 Jul 2024" in prompt(template, template={variable: "26 Jul 2024"})


@pytest.mark.parametrize(
    ("template", "variables"),
    [(TODAY, {"strftime_now": "1 May 2020"}), (GIVEN_OR_TODAY, {"date_string": "1 May 2020"})],
)
def test_with_a_date_given_the_prompt_is_the_same_on_every_day(template, variables, monkeypatch):
    import transformers.utils.chat_template_utils as chat_templates

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2031, 1, 2)

    before = prompt(template, template=variables)
    monkeypatch.setattr(chat_templates, "datetime", Later)
    tokenizer = build_tokenizer()
    later = tokenizer.apply_chat_template([{"role": "user", "content": ""}], chat_template=TODAY, tokenize=False)
    assert "02 Jan 2031" in later, "the clock of the templates is the one that was changed"
    assert prompt(template, template=variables) == before
    assert "1 May 2020" in before


def test_an_hour_or_a_minute_is_noticed_too():
    for code in ("%H", "%M", "%S", "%j", "%y", "%a"):
        with pytest.raises(InputError, match="current date"):
            encoder(CHAT_TEMPLATE + "{{ strftime_now('" + code + "') }}")


def test_a_template_that_names_the_clock_but_writes_no_date_is_fine():
    assert prompt("{% if strftime_now is defined %}{% endif %}" + CHAT_TEMPLATE) == prompt(CHAT_TEMPLATE)


def test_variables_reach_the_template_with_their_type():
    assert "Think first." in prompt(THINKING, template={"thinking": True})
    assert "Think first." not in prompt(THINKING, template={"thinking": False})
    assert prompt(THINKING, template={"times": 4}).startswith("8")
    assert prompt(THINKING, template={"times": "4"}).startswith("44")


def test_a_variable_that_the_template_does_not_read_is_refused():
    with pytest.raises(InputError, match="does not read 'thinkin'; take it out"):
        encoder(THINKING, template={"thinkin": True})


def test_a_variable_that_the_workflow_sets_is_refused():
    with pytest.raises(ValueError, match="'messages' is set by the workflow itself"):
        Prompting(template={"messages": "none"})


def test_a_date_is_fixed_without_any_other_change_to_the_prompt():
    """White space at the template's start included, which Jinja treats in its own way."""
    for start in ("", "\n", "  {% if true %}x{% endif %}", "\n\n  {%- if true %}x{% endif %}\n"):
        template = start + "{% if strftime_now is defined %}{% endif %}" + CHAT_TEMPLATE
        assert prompt(template, template={"strftime_now": "1 May 2020"}) == prompt(template)


def test_a_template_that_greets_by_the_hour_is_refused():
    greeting = "{{ 'Good morning' if strftime_now('%H') | int < 12 else 'Good evening' }}"
    with pytest.raises(InputError, match="current date"):
        encoder(greeting + CHAT_TEMPLATE)


def test_plain_prompts_need_no_template():
    assert prompt(TODAY, format="plain") == "I cannot sleep."


def plain_encoder(kind: str, prompt: str) -> Encoder:
    return Encoder(KINDS[kind], Template("p.txt", prompt), Prompting(format="plain"), ["yes", "no", "maybe"], 200)


@pytest.mark.parametrize(
    "prompt", ["{text} Answer yes, no or maybe.", "{text}\nAnswer:", "{text} Answer: ", "{text}\n"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_prompt_and_its_answer_are_the_tokens_of_the_text(kind, prompt):
    made, tokenizer = plain_encoder(kind, prompt), KINDS[kind]
    ids = made.encode_prompts([ITEM]).ids[0]
    ends = [] if tokenizer("x")["input_ids"][-1] != tokenizer.eos_token_id else [tokenizer.eos_token_id]
    for word in made.label_words:
        whole = tokenizer(made.template.fill(ITEM["fields"]) + " " + word)["input_ids"]
        assert ids + made.encode_answer(word) == whole + ([] if ends else [tokenizer.eos_token_id])
    assert tokenizer.eos_token_id not in ids
    starts = tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    assert ids.count(tokenizer.bos_token_id) == starts and (ids[0] == tokenizer.bos_token_id) == starts


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_prompt_without_text_is_one_token_that_an_answer_can_follow(kind):
    """As the inputs without content have it, if the prompt is a field and nothing else."""
    ids, _ = plain_encoder(kind, "{text}").encode_prompt({"id": "content-free", "fields": {"text": ""}})
    assert len(ids) == 1 and ids[0] in (KINDS[kind].bos_token_id, KINDS[kind].eos_token_id)


def test_a_tokenizer_that_puts_a_blank_before_every_text_puts_none_into_the_answer():
    answers = {kind: plain_encoder(kind, "{text}?").encode_answer("yes") for kind in KINDS}
    for kind in ("metaspace always (Mistral)", "metaspace first (Llama 2)", "prepend (Llama 2, legacy)"):
        assert KINDS[kind].convert_ids_to_tokens(answers[kind]) == ["▁yes", "</s>"]


def test_a_prompt_that_has_no_boundary_to_its_answer_is_refused_with_the_item():
    made = plain_encoder("metaspace unsplit", "{text}")
    with pytest.raises(InputError) as error:
        made.encode_prompts([{"id": "17", "fields": {"text": "yes no maybe stress no"}}])
    assert str(error.value).startswith("p.txt: the prompt of item '17' and the answer ")
    assert str(error.value).endswith("end the prompt with a word or a punctuation mark instead of a field or blank")


@pytest.mark.parametrize(
    "placeholder",
    ["{t!r}", "{t:>10}", "{t!x}", "{t:d}", "{t:{t}}", "{t!s:>3}", "{t.x}", "{t[0]}", "{}", "{0}", "{ t}", "{t }"],
)
def test_a_placeholder_that_is_more_than_a_field_is_refused(tmp_path, placeholder):
    path = tmp_path / "prompt.txt"
    path.write_text(f"Well? {placeholder} {{t}}", encoding="utf-8")
    with pytest.raises(InputError) as error:
        Template.read(path, ["t"])
    assert str(error.value).startswith(f"{path}: the placeholder '{placeholder}' is ") and "\n" not in str(error.value)


def test_options_that_a_prompt_lacks_are_named(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("Well? {t}", encoding="utf-8")
    with pytest.raises(InputError, match="no placeholder '{options}'; write it where the item's options are to stand"):
        Template.read(path, ["t", "options"])


@pytest.mark.parametrize("text", ["{t", "t}", "{t!}", "{t!rr}", "{{t}", "{t:{u}", "{t[}"])
def test_unbalanced_braces_are_refused(tmp_path, text):
    path = tmp_path / "prompt.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=str(path)):
        Template.read(path, ["t"])


def test_a_field_is_put_in_as_it_is(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("{{not}} {a.b} {0}\n", encoding="utf-8")
    template = Template.read(path, ["a.b", "0"])
    assert template.fields == ["a.b", "0"]
    assert template.fill({"a.b": "{0} {x!r}", "0": "}"}) == "{not} {0} {x!r} }"


def test_a_prompt_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="Is a directory"):
        Template.read(tmp_path, ["t"])


# Answers of free text.

ANSWERS = [
    "It is a lake.",
    "one\ntwo\n\nthree",
    "<|im_end|> is no end",
    "(maybe)",
    "é 漢 🙂",
    "  blanks around  ",
]


def free(tokenizer, form="chat", prompt="{text} Why?", **settings) -> Encoder:
    settings = {"max_length": 200, "shorten": "text", "task": "reply", "kind": "generation"} | settings
    return Encoder(tokenizer, Template("p", prompt), Prompting(format=form), [], **settings)


def item(answer: str, text: str = "I cannot sleep.") -> dict:
    return {"id": "7", "fields": {"text": text}, "label": answer}


@pytest.mark.parametrize("form", ["chat", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_prompt_and_free_answer_are_the_tokens_of_both_at_once(kind, form):
    tokenizer = KINDS[kind]
    made = free(tokenizer, form)
    for answer in ANSWERS:
        (ids,) = made.encode_prompts([item(answer)]).ids
        follows = made.encode_own_answer(item(answer))
        parts = made._item_parts(item(answer))
        assert ids + follows == made._encode(parts) + made._end_ids, answer
        assert follows[-1] == made.end_token_id and len(follows) > 1


def test_a_control_token_in_a_reference_is_plain_text_and_counted():
    made = free(build_tokenizer())
    end = made.tokenizer.eos_token_id
    assert made.encode_own_answer(item("yes"))[1:].count(end) == 1
    encoded = made.encode_own_answer(item("yes <|im_end|> no"))
    assert encoded.count(end) == 1 and made.tokenizer.decode(encoded).startswith("yes <|im_end|> no")
    prompts = made.encode_prompts([item("yes"), item("yes <|im_end|> no")])
    assert prompts.control_tokens == 1


def test_a_prompt_leaves_room_for_its_own_answer_or_for_what_is_generated():
    made = free(build_tokenizer(), max_length=60)
    text = "The trial found no difference between the groups. " * 9
    (ids, shortened) = made.encode_prompt(item("yes", text))
    answer = made.encode_own_answer(item("yes"))
    assert shortened and 55 < len(ids) + len(answer) <= 60
    longer = item("The trial found no difference between the two groups.", text)
    assert len(made.encode_prompt(longer)[0]) + len(made.encode_own_answer(longer)) <= 60
    asked = replace(made, max_new_tokens=20)
    assert 35 < len(asked.encode_prompt(item("not read", text))[0]) <= 40


@pytest.mark.parametrize(
    ("answer", "settings", "says"),
    [
        ("yes " * 90, {}, "p: the answer of item '7' takes 9. tokens, and max_length is 60; raise training.max_length"),
        (" \n ", {}, "p: item '7': the answer is empty; give it a text or take the item out"),
        (
            "yes",
            {"max_new_tokens": 60},
            "tasks.reply.max_new_tokens: 60 tokens of an answer leave no room for a prompt",
        ),
        ("yes " * 40, {"shorten": None}, "p: item '7' needs .* tokens but max_length leaves 1."),
    ],
)
def test_an_answer_without_room_is_refused_and_never_cut(answer, settings, says):
    made = free(build_tokenizer(), **{"max_length": 60} | settings)
    with pytest.raises(InputError, match=says):
        made.encode_prompts([item(answer)])


def test_every_free_answer_is_compared_with_the_prompt_and_the_refusal_names_the_item():
    """Of a prompt that ends with a field, only an item whose text ends with a blank meets a tokenizer that joins it."""
    made = free(KINDS["word pieces (BERT)"], form="plain", prompt="Why: {text}")
    items = [item("It is a lake.") | {"id": str(n)} for n in range(12)]
    made.encode_prompts(items)
    items[10]["fields"] = {"text": "I cannot sleep "}
    with pytest.raises(InputError, match="item '10' and its answer are other tokens together than apart"):
        made.encode_prompts(items)


def test_an_answer_without_a_token_is_refused():
    """Digits are unknown to this tokenizer, and one unknown piece with the line break before them."""
    with pytest.raises(InputError, match="p: item '7': the answer has no token in this model"):
        free(KINDS["unigram with an end (T5)"]).encode_prompts([item("42")])


def test_label_words_that_begin_alike_are_no_matter_to_a_set_of_labels():
    words = ["no", "no stress"]
    made = free(build_tokenizer(), kind="multi_label")
    with pytest.raises(InputError, match=r"the label word 'a<\|im_end\|>' holds the model's control token"):
        replace(made, label_words=["a<|im_end|>", "b"])
    made = replace(made, label_words=words)
    assert made.sample_answers == ["no", "no stress", "none"] and made.label_token_ids == []
