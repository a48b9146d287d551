"""The form that a model's chat template gives to a question and its answer. Imports no torch.

The template is rendered around markers, once, and every text is put where they stand: no text reaches the template,
which might read it as more than text (Qwen3 looks for ``<tool_response>`` in messages).
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stagewise.config.training import Prompting
from stagewise.errors import InputError
from stagewise.inference.control_tokens import ControlTokens, Part, chat_template

# Letters and digits alone, which no template escapes, and long enough to stand in no template.
_USER, _ANSWER = "stagewise0user0text0", "stagewise0answer0text0"

# A text that shows whether a template changes what it is given; it begins and ends with blanks of several kinds.
_PROBE = f"\n \t\n{_USER} A b  c\n\n1.  <i>&amp; \"x\" 'y' {{{{ z }}}} {{% w %}} \\n é 漢 {'long ' * 999}end.\n \t\n"

# What templates do to the blanks around a message.
_TRIMS: list[Callable[[str], str]] = [
    lambda text: text,
    str.strip,
    str.lstrip,
    str.rstrip,
    lambda text: text.strip("\n"),
    lambda text: text.lstrip("\n"),
    lambda text: text.rstrip("\n"),
]

# Takes the place of the function through which chat templates read the clock.
_FIXED_CLOCK = "{%- macro strftime_now(format) -%}{{ _fixed_date }}{%- endmacro %}\n"
_WATCHED_CLOCK = (
    "{%- set _clock = namespace(read=false) -%}"
    "{%- macro strftime_now(format) -%}{%- set _clock.read = true -%}1{%- endmacro %}\n"
)
_CLOCK_WAS_READ = "{{ '\\0' if _clock.read }}"
_DATE = "26 Jul 2024"

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_RANDOM = re.compile(r"\|\s*random\b|\blipsum\s*\(")

_THOUGHT = re.compile(
    r"[<\[◁]\|?(?:begin_(?:of_)?|start_(?:of_)?|(?P<end>/|end_(?:of_)?))?(?:\w+:)?"
    r"(?:think|thinking|thoughts?|reason|reasoning|scratchpad|analysis)(?:_start|_begin|(?P<end_after>_end))?\|?[>\]▷]"
    r"|<\|channel\|>analysis<\|message\|>",
    re.IGNORECASE,
)
_NO_THOUGHT = (False, "none", "off", "low", "no_think", 0)
"""Values with which templates' variables keep an answer from beginning with a thought."""


@dataclass(frozen=True)
class ChatForm:
    """Texts that a chat template writes around a user's message and the answer to it."""

    pieces: list[str]
    """Template's text before, between and after the places of the user's text, up to where the answer begins."""
    trim: Callable[[str], str]
    """Treatment of the blanks around the user's text."""
    answer_start: str
    """Blanks between the prompt and the answer, which belong to the answer's tokens."""
    answer_end: str | None
    """Text that ends the answer's turn; None if the template has none."""

    def parts(self, text: str) -> list[Part]:
        """The prompt that asks with a text."""
        parts = [(self.pieces[0], True)]
        for piece in self.pieces[1:]:
            parts += [(self.trim(text), False), (piece, True)]
        return parts


def read_chat_form(tokenizer, prompting: Prompting, controls: ControlTokens) -> ChatForm:
    """Render the model's chat template around markers, and check that questions can be asked with it.

    Raises
    ------
    InputError
        If it is missing or fails, refuses or leaves out what the configuration sends, changes from day to day or at
        random, changes texts, or ends inside a thought. Always one sentence with the way out.
    """
    source = chat_template(tokenizer)
    if not source:
        raise InputError("prompting.format: the model has no chat template; set it to 'plain' or use an instruct model")
    _check_variables(source, prompting, controls)
    chat = _Chat(tokenizer, source, prompting)
    _check_clock(chat)
    prompt = chat.render(_USER)
    if _USER not in prompt:
        raise InputError(
            "prompting.format: the model's chat template leaves out the user's message or changes its letters; set it "
            "to 'plain' or mend the template"
        )
    if chat.system and chat.system.strip() not in prompt:
        raise InputError(
            "prompting.system: the model's chat template leaves the system message out or changes it; set it to null "
            "and put the text into the prompt files"
        )
    turn = _answer_turn(chat, prompt)
    _check_thought(chat, prompt, turn[0])
    pieces = prompt.split(_USER)
    head = turn[0].rstrip(" ")
    pieces[-1] += head
    return ChatForm(pieces, _find_trim(chat, prompt), turn[0][len(head) :], _end_of_turn(turn[1], controls))


def template_arguments(source: str, variables: dict) -> dict:
    """Arguments with which a tokenizer renders a chat template: its source and variables, a given clock fixed."""
    variables = dict(variables)
    if (date := variables.pop("strftime_now", None)) is not None:
        return {"chat_template": _FIXED_CLOCK + source, "_fixed_date": date, **variables}
    return {"chat_template": source, **variables}


class _Chat:
    """A model's chat template with the configured variables and system message."""

    def __init__(self, tokenizer, source: str, prompting: Prompting):
        self.tokenizer, self.source, self.variables = tokenizer, source, dict(prompting.template)
        self.system = prompting.system
        if self.system is None:
            self.render(_USER)
            return
        try:
            self.render(_USER)
        except InputError as refusal:
            system, self.system = self.system, None
            try:
                self.render(_USER)
            except InputError:
                raise refusal from None  # it is not the system message that the template refuses
            if system.strip():
                raise InputError(
                    f"prompting.system: the model's chat template takes no system message ({refusal.__cause__}); set "
                    "it to null and put the text into the prompt files"
                ) from None

    def render(self, text: str, answer: str | None = None, template: str | None = None, **variables) -> str:
        """Render a question and, if given, its answer; without one, up to where the answer begins."""
        messages = [] if self.system is None else [{"role": "system", "content": self.system}]
        messages.append({"role": "user", "content": text})
        if answer is not None:
            messages.append({"role": "assistant", "content": answer})
        arguments = template_arguments(template or self.source, self.variables | variables)
        try:
            return self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=answer is None, tokenize=False, **arguments
            )
        except Exception as error:  # a template is code of the model's author, which may fail in any way
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise InputError(
                f"prompting.format: the model's chat template fails on a user's message ({reason}); mend the template, "
                "set what it reads with prompting.template, or set prompting.format to 'plain'"
            ) from ValueError(reason)


def _check_variables(source: str, prompting: Prompting, controls: ControlTokens) -> None:
    """Refuse variables that the template does not read, control tokens in them, and templates that draw at random."""
    code = _COMMENT.sub("", source)
    for name, value in prompting.template.items():
        if not re.search(rf"\b{re.escape(name)}\b", code):
            raise InputError(f"prompting.template: the model's chat template does not read '{name}'; take it out")
        if held := controls.find(str(value)):
            raise InputError(f"prompting.template: '{name}' holds the model's control token '{held[0]}'; take it out")
    if prompting.system and (held := controls.find(prompting.system)):
        raise InputError(
            f"prompting.system: the system message holds the model's control token '{held[0]}'; take it out, the chat "
            "template writes the turns"
        )
    if _RANDOM.search(code):
        raise InputError(
            "prompting.format: the model's chat template draws at random, so that prompts change from one run to the "
            "next; mend the template or set prompting.format to 'plain'"
        )


def _check_clock(chat: _Chat) -> None:
    """Refuse a template that reads the current date, whatever it does with it: it may write it on some days only."""
    if "strftime_now" in chat.variables:
        return
    if _reads_clock(chat) or _reads_clock(chat, _ANSWER):
        name = "strftime_now" if _reads_clock(chat, date_string=_DATE) else "date_string"
        raise InputError(
            "prompting.template: the model's chat template reads the current date, so that results can change from "
            f'day to day; fix it, for example prompting.template: {{{name}: "{_DATE}"}}'
        )


def _reads_clock(chat: _Chat, answer: str | None = None, **variables) -> bool:
    watched = _WATCHED_CLOCK + chat.source + _CLOCK_WAS_READ
    try:
        return chat.render(_USER, answer, watched, **variables).endswith("\0")
    except InputError:
        pass
    try:
        chat.render(_USER, answer)
    except InputError:
        return False  # it fails whatever the date is
    return True


def _answer_turn(chat: _Chat, prompt: str) -> tuple[str, str]:
    """Text of the template between the prompt and the answer, and after the answer; empty where it has none.

    A template that ignores `add_generation_prompt` opens the answer's turn only with the answer; others put an empty
    thought before it.
    """
    try:
        before, answer, after = chat.render(_USER, _ANSWER).rpartition(_ANSWER)
    except InputError:
        return "", ""  # it writes no answers
    if not answer:
        return "", ""  # it changes their letters
    return before.removeprefix(prompt) if before.startswith(prompt) else "", after


def _check_thought(chat: _Chat, prompt: str, lead: str) -> None:
    """Refuse a prompt that ends inside a thought, unless the template has no other and closes it before an answer."""
    if (tag := _opened_thought(prompt)) and (setting := next(_thought_variables(chat), None)):
        name, value = setting
        raise InputError(
            f"prompting.template: the model's chat template begins answers with a thought ('{tag}'), where a label "
            f"cannot be scored; set prompting.template: {{{name}: {json.dumps(value)}}}"
        )
    if tag := _opened_thought(prompt + lead):
        raise InputError(
            f"prompting.format: the model's chat template begins answers with a thought ('{tag}'), where a label "
            "cannot be scored, and reads no variable that keeps it from this; use another model or set "
            "prompting.format to 'plain'"
        )


def _thought_variables(chat: _Chat) -> Iterator[tuple[str, object]]:
    """Variables of the template, each with a value that keeps answers from beginning with a thought."""
    names = re.findall(r"\b\w*(?:think|reason|thought)\w*\b", _COMMENT.sub("", chat.source))
    for name, value in itertools.product(sorted(set(names)), _NO_THOUGHT):
        try:
            if not _opened_thought(chat.render(_USER, **{name: value})):
                yield name, value
        except InputError:
            continue


def _opened_thought(prompt: str) -> str | None:
    """Tag of the thought that is open at the end of a prompt."""
    tags = list(_THOUGHT.finditer(prompt.rpartition(_USER)[2]))
    return tags[-1][0] if tags and not (tags[-1]["end"] or tags[-1]["end_after"]) else None


def _find_trim(chat: _Chat, prompt: str) -> Callable[[str], str]:
    rendered = chat.render(_PROBE)
    for trim in _TRIMS:
        if rendered == prompt.replace(_USER, trim(_PROBE)):
            return trim
    raise InputError(
        "prompting.format: the model's chat template changes the text of the user's message; set it to 'plain' or mend "
        "the template"
    )


def _end_of_turn(after: str, controls: ControlTokens) -> str | None:
    """The end of the answer's turn: up to its first control token, else all that the template writes but blanks."""
    if token := controls.first(after):
        return after[: token.end()]
    return after.rstrip() or None
