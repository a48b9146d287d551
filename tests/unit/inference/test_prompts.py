"""Prompts that the model's chat template makes: its variables, and the date that must not be in them."""

from datetime import datetime

import pytest

from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.prompts import Encoder, Template
from tests.helpers.tiny_llama import CHAT_TEMPLATE, build_tokenizer

TODAY = "<|im_start|>system\nToday: {{ strftime_now('%d %b %Y') }}<|im_end|>\n" + CHAT_TEMPLATE

# As Llama 3.2's: a date may be given, else it is the day of the run.
GIVEN_OR_TODAY = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
    "{%- endif %}{{ '<|im_start|>system\nToday Date: ' + date_string + '<|im_end|>\n' }}" + CHAT_TEMPLATE
)

THINKING = "{% if thinking %}Think first.{% endif %}{% if times %}{{ times * 2 }}{% endif %}" + CHAT_TEMPLATE

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
