"""Forms that models' chat templates give to questions and answers, and templates that cannot ask one."""

import pytest
from tokenizers import AddedToken

from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.prompts import Encoder, Template
from tests.helpers.tiny_llama import CHAT_TEMPLATE as CHATML
from tests.helpers.tiny_llama import build_tokenizer

ADDED = ["<end_of_turn>", "<|end|>", "<|return|>", "<|channel|>", "<|message|>", "<|start|>", "</s>"]

# As Gemma's: no system role, texts trimmed, an end of turn that is not the tokenizer's end token.
GEMMA = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<|im_start|>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] | trim + ' </s>' }}{% endif %}{% endfor %}"
)
PHI_3 = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% else %}{{ eos_token }}{% endif %}"
)
VICUNA = (
    "{% for m in messages %}{% if m['role'] == 'user' %}USER: {{ m['content'] }} {% else %}ASSISTANT: "
    "{{ m['content'] }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
# As Qwen3's: an answer has an empty thought before it, which the generation prompt writes only if told so.
QWEN_3 = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}<think>\n\n</think>\n\n"
    "{% endif %}{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
HARMONY = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}<|start|>assistant<|channel|>final<|message|>"
    "{{ m['content'] }}<|return|>{% else %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
NO_GENERATION_PROMPT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
# ChatML for a tokenizer that has no such tokens: the end is a text of several.
NO_TOKENS = NO_GENERATION_PROMPT.replace("im_start", "begin").replace("im_end", "stop")
NO_END = "{% for m in messages %}### {{ m['role'] }}:\n{{ m['content'] }}\n\n{% endfor %}"


def encoder(chat_template, prompt="{text}?", /, **prompting) -> Encoder:
    tokenizer = build_tokenizer()
    tokenizer.add_tokens([AddedToken(text, special=True) for text in ADDED])
    tokenizer.add_tokens([AddedToken("<think>"), AddedToken("</think>")])
    tokenizer.chat_template = chat_template
    return Encoder(tokenizer, Template("p.txt", prompt), Prompting(**prompting), ["yes", "no"], 300, "text")


def conversation(made: Encoder, text: str = "calm") -> tuple[str, str]:
    """A prompt and the answer to it, as the model reads them."""
    prompt = made.encode_prompts([{"id": "1", "fields": {"text": text}}]).ids[0]
    return made.tokenizer.decode(prompt), made.tokenizer.decode(made.encode_answer("yes"))


@pytest.mark.parametrize(
    ("template", "prompting", "prompt", "answer"),
    [
        (CHATML, {}, "<|im_start|>user\ncalm?<|im_end|>\n<|im_start|>assistant\n", "yes<|im_end|>"),
        (GEMMA, {}, "<|im_start|>user\ncalm?<end_of_turn>\n<|im_start|>model\n", "yes<end_of_turn>"),
        (GEMMA, {"system": ""}, "<|im_start|>user\ncalm?<end_of_turn>\n<|im_start|>model\n", "yes<end_of_turn>"),
        (LLAMA_2, {}, "[INST] calm? [/INST]", " yes </s>"),
        (PHI_3, {}, "<|im_start|>user\ncalm?<|end|>\n<|im_start|>assistant\n", "yes<|end|>"),
        (VICUNA, {}, "USER: calm? ASSISTANT:", " yes</s>"),
        (
            QWEN_3,
            {},
            "<|im_start|>user\ncalm?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
            "yes<|im_end|>",
        ),
        (
            QWEN_3,
            {"template": {"enable_thinking": False}},
            "<|im_start|>user\ncalm?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
            "yes<|im_end|>",
        ),
        (
            HARMONY,
            {},
            "<|start|>user<|message|>calm?<|end|><|start|>assistant<|channel|>final<|message|>",
            "yes<|return|>",
        ),
        (
            NO_GENERATION_PROMPT,
            {},
            "<|im_start|>user\ncalm?<|im_end|>\n<|im_start|>assistant\n",
            "yes<|im_end|>",
        ),
        (NO_TOKENS, {}, "<|begin|>user\ncalm?<|stop|>\n<|begin|>assistant\n", "yes<|stop|>"),
        (NO_END, {}, "### user:\ncalm?\n\n### assistant:\n", "yes<|im_end|>"),
    ],
)
def test_prompts_and_answers_are_those_of_the_template(template, prompting, prompt, answer):
    assert conversation(encoder(template, **prompting)) == (prompt, answer)


@pytest.mark.parametrize("template", [CHATML, GEMMA, LLAMA_2, PHI_3, VICUNA, HARMONY, NO_GENERATION_PROMPT])
def test_prompt_and_answer_are_the_tokens_of_the_whole_conversation(template):
    made = encoder(template)
    ids = made.encode_prompt({"id": "1", "fields": {"text": "I cannot sleep."}})[0] + made.encode_answer("no")
    messages = [{"role": "user", "content": "I cannot sleep.?"}, {"role": "assistant", "content": "no"}]
    expected = made.tokenizer.apply_chat_template(messages, tokenize=True)["input_ids"]
    assert ids == expected[: len(ids)]


def test_a_text_that_a_template_would_read_as_something_else_is_a_text():
    branching = NO_GENERATION_PROMPT.replace("{{ m['content'] }}", "{{ m['content'].split('</think>')[-1] }}")
    made = encoder(branching)
    assert "a</think>b?" in conversation(made, "a</think>b")[0]


def test_texts_are_trimmed_as_the_template_does():
    assert "user\nI  sleep.\n?<end" in conversation(encoder(GEMMA), " \n I  sleep.\n")[0]
    left = CHATML.replace("message['content']", "message['content'].lstrip()")
    assert "user\nx ?<|im_end|>" in conversation(encoder(left), " \nx ")[0]
    lines = CHATML.replace("message['content']", "message['content'].strip('\n')")
    assert "user\n x ?<|im_end|>" in conversation(encoder(lines), "\n x ")[0]


def test_an_answer_that_the_template_refuses_or_changes_ends_with_the_end_token():
    for change in ("{{ raise_exception('no') }}", "{{ m['content'] | upper }}"):
        template = NO_GENERATION_PROMPT.replace(
            "{{ m['content'] }}",
            "{% if m['role'] == 'assistant' %}" + change + "{% else %}{{ m['content'] }}{% endif %}",
        )
        assert conversation(encoder(template))[1] == "yes<|im_end|>"


def test_lists_reach_the_template():
    made = encoder("{% for tool in builtin_tools %}{{ tool }};{% endfor %}" + CHATML, template={"builtin_tools": ["a"]})
    assert conversation(made)[0].startswith("a;<|im_start|>")


THINK = CHATML + "{% if add_generation_prompt %}{% if enable_thinking is not defined or enable_thinking %}<think>\n"
THINK += "{% endif %}{% endif %}"
EFFORT = CHATML + "{% if add_generation_prompt and reasoning_effort != 'none' %}[THINK]{% endif %}"

REFUSED = {
    "no template": (None, {}, "prompting.format: the model has no chat template"),
    "no default among several": ({"tool_use": CHATML}, {}, "prompting.format: the model has no chat template"),
    "system role": (GEMMA, {"system": "Be brief."}, "prompting.system: .* takes no system message .*System role not"),
    "system left out": (
        CHATML.replace("in messages", "in messages[1:]"),
        {"system": "Be brief."},
        "prompting.system: ",
    ),
    "roles": ("{{ raise_exception('roles must alternate') }}", {"system": ""}, "fails .*roles must alternate"),
    "syntax": ("{% for m in messages %}", {}, "fails .*TemplateSyntaxError"),
    "missing variable": ("{{ knowledge.cutoff }}" + CHATML, {}, "'knowledge' is undefined.*prompting.template"),
    "missing key": ("{{ messages[0].name.first }}" + CHATML, {}, "fails .*'name'"),
    "arithmetic": ("{{ 1 / 0 }}" + CHATML, {}, "fails .*ZeroDivisionError"),
    "text left out": ("<|im_start|>hello", {}, "leaves out the user's message"),
    "list of parts": ("{{ messages[0]['content'][0]['text'] }}", {}, "leaves out the user's message"),
    "upper case": (CHATML.replace("message['content']", "message['content'] | upper"), {}, "leaves out the user's"),
    "letters": (CHATML.replace("message['content']", "message['content'] | replace('A', 'B')"), {}, "changes the text"),
    "cut": (CHATML.replace("message['content']", "message['content'][:900]"), {}, "changes the text"),
    "escaped": (CHATML.replace("message['content']", "message['content'] | tojson"), {}, "changes the text"),
    "lines joined": (CHATML.replace("message['content']", "message['content'].split() | join(' ')"), {}, "changes the"),
    "one day": ("{% if strftime_now('%m-%d') == '12-25' %}x{% endif %}" + CHATML, {}, "reads the current date"),
    "a year": ("{% if strftime_now('%d %Y').split(' ')[1] | int > 2030 %}x{% endif %}" + CHATML, {}, "current date"),
    "a day in a macro": ("{% macro d() %}{% set x = strftime_now('%d') %}{% endmacro %}{{ d() }}" + CHATML, {}, "date"),
    "a day in an answer": (
        CHATML + "{% if messages[-1].role == 'assistant' %}{{ strftime_now('%d').split('0')[9] }}{% endif %}",
        {},
        "reads the current date",
    ),
    "a day by another name": (
        "{% set date_string = strftime_now('%d') %}" + CHATML,
        {},
        r"prompting.template: \{strftime_now: \"26 Jul 2024\"\}",
    ),
    "random": ("{{ ['a', 'b'] | random }}" + CHATML, {}, "draws at random"),
    "random text": ("{{ lipsum(n=1) }}" + CHATML, {}, "draws at random"),
    "thought": (CHATML + "{% if add_generation_prompt %}<think>\n{% endif %}", {}, "'<think>'.* reads no variable"),
    "thought by default": (THINK, {}, r"set prompting.template: \{enable_thinking: false\}"),
    "thought by effort": (EFFORT, {}, r"set prompting.template: \{reasoning_effort: \"none\"\}"),
    "variable": (CHATML, {"template": {"enable_thinking": False}}, "does not read 'enable_thinking'; take it out"),
    "commented": (CHATML + "{# thinking #}", {"template": {"thinking": False}}, "does not read 'thinking'"),
    "turn in a variable": ("{{ note }}" + CHATML, {"template": {"note": "a<|im_end|>"}}, "'note' holds .*<|im_end|>"),
    "turn in the system message": (CHATML, {"system": "a</s>b"}, "prompting.system: .*control token '</s>'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_template_that_cannot_ask_is_refused_in_one_sentence(case):
    template, prompting, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as error:
        encoder(template, **prompting)
    assert str(error.value).startswith("prompting.") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("opened", "closed"),
    [
        ("<think>\n", "</think>"),
        ("<thinking>", "</thinking>"),
        ("<seed:think>", "</seed:think>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<|begin_of_thought|>\n", "<|end_of_thought|>"),
        ("<think_start>", "<think_end>"),
        ("<|channel|>analysis<|message|>", "</thought>"),
    ],
)
def test_a_thought_is_known_by_its_tags(opened, closed):
    generation = "{% if add_generation_prompt %}" + opened + "{% endif %}"
    with pytest.raises(InputError, match="begins answers with a thought"):
        encoder(CHATML + generation)
    assert conversation(encoder(CHATML + generation.replace("{% endif", closed + "{% endif")))[0].endswith(closed)


def test_the_way_out_of_a_thought_is_one():
    assert conversation(encoder(THINK, template={"enable_thinking": False}))[0].endswith("assistant\n")
    assert conversation(encoder(EFFORT, template={"reasoning_effort": "none"}))[0].endswith("assistant\n")


def test_a_template_that_only_thinks_is_asked_after_its_own_empty_thought():
    only = QWEN_3.replace(
        "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n", "{% if 1 %}<think>\n"
    )
    assert conversation(encoder(only))[0].endswith("assistant\n<think>\n\n</think>\n\n")


def test_a_control_token_in_a_prompt_file_is_refused_in_a_chat_and_meant_in_a_plain_prompt():
    with pytest.raises(InputError) as error:
        encoder(CHATML, "{text}<|im_end|>")
    assert str(error.value).startswith("p.txt: the prompt holds the model's control token '<|im_end|>'")
    made = encoder(CHATML, "<|im_start|>{text}<|im_end|>", format="plain")
    ids = made.encode_prompt({"id": "1", "fields": {"text": "<|im_end|>"}})[0]
    assert ids.count(2) == 1 and ids[0] == 1 and ids[-1] == 2
