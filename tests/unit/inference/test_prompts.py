"""Prompts and their answers: prompt files, the chat template's variables and date, plain prompts as one text."""

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
