"""Checks of probes: the texts, and the tasks of lm-evaluation-harness."""

import re
from importlib.util import find_spec
from pathlib import Path

from stagewise.config.probes import Harness
from stagewise.data.probe_texts import check_text, read_text, text_file, text_path
from stagewise.errors import InputError
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context
from stagewise.pipeline.preflight.sources import unreachable
from stagewise.probes.harness_package import check_harness
from stagewise.probes.harness_tasks import TaskLoader

FEW = 10
"""Segments below which an interval says little."""

_NAMES = re.compile(
    r"^['\"]?(?:task|group)['\"]?:[ \t]*['\"]?([\w.-]+)|^['\"]?tag['\"]?:((?:[ \t]*\n[ \t]*-.*)+|.*)$", re.MULTILINE
)


@check("texts")
def check_text_files(context: Context):
    """Every text is here, or at an address that answers."""
    texts = context.config.probes.active_texts
    for name, text in texts.items():
        path = text_path(name, text, context.raw)
        if path.is_file():
            check_text(name, text, context.raw)
            yield Finding(f"{name}: {len(read_text(path, name).encode())} bytes")
        elif text.path:
            raise InputError(f"config: probes.texts.{name}.path: there is no file '{text.path}'; correct it")
        elif problem := unreachable(text_file(text), context.mirror):
            verdict, reason = problem
            yield Finding(f"{name}: {reason}", verdict, f"config: probes.texts.{name}.url: {reason}")
        else:
            yield Finding(f"{name}: to fetch")


@check("text segments", "model")
def check_text_segments(context: Context):
    """Every text has enough segments, and the model positions for them."""
    from stagewise.probes.texts import check_segments, text_segments

    settings = context.model_settings
    positions = settings.get("max_position_embeddings") or settings.get("n_positions")
    for name, text in context.config.probes.active_texts.items():
        path = text_path(name, text, context.raw)
        if not path.is_file():
            continue
        segments = text_segments(read_text(path, name), context.tokenizer, text.segment_tokens)
        try:
            check_segments(segments, text.segment_tokens, positions)
        except InputError as error:
            raise InputError(f"config: probes.texts.{name}: {error}") from None
        few = (
            f"config: probes.texts.{name} has {len(segments)} segments, so its intervals will be wide; lower "
            f"segment_tokens ({text.segment_tokens}), or take a longer text"
        )
        yield Finding(f"{name}: {len(segments)} segments", *(("warning", few) if len(segments) < FEW else ()))


@check("segments of several models", "model", each_model=False)
def check_shared_segments(context: Context):
    """Every base model's tokenizer cuts a text into the same segments, whose scores are compared one by one."""
    from stagewise.probes.texts import text_segments

    first, *others = context.by_model
    for name, text in context.config.probes.active_texts.items() if others else ():
        path = text_path(name, text, context.raw)
        if not path.is_file():
            continue
        content = read_text(path, name)
        ids = [[s.id for s in text_segments(content, c.tokenizer, text.segment_tokens)] for c in (first, *others)]
        if other := next((c.model for c, cut in zip(others, ids[1:], strict=True) if cut != ids[0]), None):
            raise InputError(
                f"config: probes.texts.{name}: the tokenizers of the models '{first.model}' and '{other}' cut the text "
                "at other places, so that its segments cannot be compared one by one; take the text out, or give the "
                "models experiments of their own"
            )
        yield Finding(f"{name}: the same for {len(ids)} models")


@check("harness")
def check_harness_tasks(context: Context):
    """lm-evaluation-harness is installed and has the tasks; whether their data are here, the first model shows."""
    harness = context.config.probes.harness
    if harness is None:
        return
    if harness.include and not Path(harness.include).is_dir():
        raise InputError(f"config: probes.harness.include: there is no folder '{harness.include}'; correct it")
    check_harness(harness)
    if not set(harness.tasks) <= task_names(harness):
        for name in harness.tasks:
            TaskLoader(harness).check_name(name)
    yield Finding(f"{len(harness.tasks)} tasks known")


def task_names(harness: Harness) -> set[str]:
    """Names of tasks, groups and tags in the definitions, read as text: the harness takes seconds to index them.

    Names that a definition composes are not among them.
    """
    own = Path(find_spec("lm_eval").submodule_search_locations[0]) / "tasks"
    names: set[str] = set()
    for folder in (own, *([Path(harness.include)] if harness.include else [])):
        for path in folder.rglob("*yaml*"):
            for name, tags in _NAMES.findall(path.read_text(encoding="utf-8", errors="replace")):
                names |= {name} if name else set(re.findall(r"[\w.-]*\w", tags))
    return names
