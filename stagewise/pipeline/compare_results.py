"""Differences of two finished results, and which of them could matter.

Every fact that differs could matter unless a rule below says otherwise: a rule that is forgotten costs a reader's time
and hides nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from stagewise.config import identity
from stagewise.errors import InputError
from stagewise.pipeline.finished_results import METRICS, RESULTS_FOLDER, Result
from stagewise.provenance.differences import differences
from stagewise.provenance.sealed_json import CHECKSUM, is_sealed

Effect = Literal["cause", "outcome", "none", "consequence"]
"""`cause`: could change the result; `outcome`: part of the result; `none`: changes nothing; `consequence`: follows from
another difference and is not shown."""

Rule = tuple[str, str, Effect, str]
"""Type of record, pattern of a key, effect, and the reason if it changes nothing."""

CLOCK_KEYS = r"(.*\.)?((tried_)?seconds\w*|tokens_per_second|peak_memory_bytes)(\..*)?"
"""Pattern of the keys that measure time or memory, which no two runs share."""

_CLOCK = "a measurement of time or memory"
_NAME = "a name"
_PLACE = "where files lie; their content is compared"
_ORDER = "the same sums in another order, equal up to rounding"

# Settings of a whole experiment, by path; the other entries of the lists in `identity` hold for one step alone.
_SETTINGS = identity.EVERYWHERE | {
    "experiment": _NAME,
    "results": _PLACE,
    "published": _PLACE,
    "probes.texts.*.path": _PLACE,
    "probes.texts.*.url": identity.PROBES["texts.*.url"],
    "probes.harness.include": _PLACE,
    "logging": "how progress is shown",
    "tasks.*.prompt": identity.PREDICTIONS["tasks.*.prompt"],
    "tasks.*.sources.*.files.*.path": _PLACE,
    "tasks.*.sources.*.files.*.url": identity.SPLITS["tasks.*.sources.*.files.*.url"],
    "evaluation.tokens_per_batch": identity.PREDICTIONS["evaluation.tokens_per_batch"],
}


def _pattern(path: str) -> str:
    """Pattern of the keys of a setting and of those below it."""
    return r"settings\." + re.escape(path).replace(r"\*", r"[^.]+") + r"([.\[].*)?"


# The first rule that fits counts.
_RULES: list[Rule] = [
    ("*", r"checksum|fingerprint", "consequence", ""),
    ("*", CLOCK_KEYS, "none", _CLOCK),
    ("*", r"(.*\.)?packages\..*|image|(.*\.)?dtype", "cause", ""),
    ("*", r"(.*\.)?device", "none", "the same computation, equal up to rounding"),
    *(("*", _pattern(path), "none", reason) for path, reason in _SETTINGS.items()),
    ("recipe", r"lineage|stage|parents\[\d+\]\.lineage", "none", _NAME),
    ("recipe", r"model\.name|model\.origin(\..*)?", "none", "a name; the model's files are compared"),
    ("recipe", r"adopted\.origin(\..*)?", "none", "a name; the adopted files are compared"),
    ("recipe", r"tasks\.[^.]+\.prompt\.file", "none", "a name; the prompt's text is compared"),
    ("recipe", r"tasks\.[^.]+\.fields(\[.*)?", "none", "names of columns; the items are compared"),
    ("training", r"lineage|task", "none", _NAME),
    ("training", r"processes|tokens_per_batch", "none", _ORDER),
    ("training", r"resumed_from_step", "none", "training goes on from the very state in which it was interrupted"),
    ("training", r".*", "outcome", ""),
    ("adapter", r"(inputs\.)?(model|recipe).*", "consequence", ""),
    # Logs and cards hold times; their other figures are in training.json, which is compared.
    ("adapter", r"files\.(README\.md|recipe\.json|training\.json|training_log\.csv)", "consequence", ""),
    ("adapter", r"files\..*", "outcome", ""),
    ("predictions", r"(scoring\..*\.)?tokens_per_batch", "none", _ORDER),
    (
        "predictions",
        r"(files|content_free|shortened|control_tokens|changed_answers|scoring)[.\[].*|tokens|items",
        "outcome",
        "",
    ),
    ("probes", r"files\..*|probes\..*|scoring\..*tokens", "outcome", ""),
    ("summary", r"(settings|inputs)\..*", "cause", ""),
    ("summary", r".*", "outcome", ""),
    ("metrics", r"inputs\.files\..*(receipt|training|summary)\.json|files\..*", "consequence", ""),  # these hold times
    ("metrics", r"adapters\[\d+\]\.fingerprint", "consequence", ""),
    ("metrics", r"(settings|inputs)\..*|schema_version", "cause", ""),
    ("metrics", r"experiment\.(name|model_origin\..*)", "none", _NAME),
    ("metrics", r"experiment\..*", "cause", ""),
    ("metrics", r".*", "outcome", ""),
]
# In a results folder, adapters, predictions and splits have records of their own.
_RULES_IN_RESULTS: list[Rule] = [
    ("recipe", r"parents\[\d+\]\.fingerprint|tasks\.[^.]+\.data\..*", "consequence", ""),
    ("adapter", r"(inputs\.)?parents.*", "consequence", ""),
    ("predictions", r"(inputs\.)?(adapter(_weights)?|data)([.\[].*)?|inputs\.files\..*", "consequence", ""),
    ("probes", r"inputs\.adapter([.\[].*)?", "consequence", ""),
    ("metrics", r"inputs\.files\.(base|data)/.*|(adapters|training|scoring|splits)\[.*", "consequence", ""),
]


@dataclass(frozen=True)
class ResultDifference:
    """A difference of two results, as a reader is told of it."""

    text: str
    effect: Effect
    reason: str = ""
    """Why it changes nothing."""
    group: str = ""
    """Of a group of outcomes or of differences that change nothing, one is shown and the others are counted."""
    places: tuple[str, ...] = ()
    """Lineages and folders of splits that have it."""
    others: int = 0
    """Further differences of the group."""

    @property
    def line(self) -> str:
        """One line that begins with what the difference means."""
        head = {"cause": "could matter", "outcome": "differs", "none": "changes nothing"}[self.effect]
        where = f" ({self.places[0]}{_and_more(len(self.places) - 1)})" if self.places else ""
        return f"{head}: {self.text}{where}{_and_more(self.others)}" + (f": {self.reason}" if self.reason else "")


def compare_results(first: Result, second: Result) -> list[ResultDifference]:
    """List what differs: causes first, then outcomes, then what changes nothing.

    If outcomes differ and nothing that could matter does, that is a difference of its own.

    Raises
    ------
    InputError
        If the results are of different kinds.
    """
    if first.kind != second.kind:
        raise InputError(f"{first.kind} and {second.kind} cannot be compared; name two of one kind")
    merged: dict[str, ResultDifference] = {}
    for difference in _all_differences(first, second):
        seen = merged.setdefault(difference.text, difference)
        merged[difference.text] = replace(seen, places=tuple(dict.fromkeys([*seen.places, *difference.places])))
    causes, outcomes, harmless = (
        [difference for difference in merged.values() if difference.effect == effect]
        for effect in ("cause", "outcome", "none")
    )
    if outcomes and not causes:
        text = "the results differ, and nothing that is recorded explains it"
        causes = [ResultDifference(text, "cause", "training on a GPU is not reproducible to the bit")]
    return causes + _one_a_group(outcomes) + _one_a_group(harmless)


def could_matter(listed: list[ResultDifference]) -> bool:
    """Tell if any difference could change a result."""
    return any(difference.effect == "cause" for difference in listed)


def _all_differences(first: Result, second: Result) -> Iterator[ResultDifference]:
    in_results = first.kind == RESULTS_FOLDER
    for place, record in dict.fromkeys([*first.records, *second.records]):
        places = (place,) if place else ()
        pair = [result.records.get((place, record)) for result in (first, second)]
        if None in pair:
            which = "second" if pair[0] is None else "first"
            yield ResultDifference(f"{_NAMES_OF_RECORDS[record]} only in the {which}", "cause", places=places)
            continue
        yield from _edited(pair, record, places)
        for difference in differences(*pair):
            key = re.sub(r"^(inputs\.settings|experiment\.config)\.", "settings.", difference.key)
            effect, reason = _judge(record, key, in_results)
            if effect != "consequence":
                text = replace(difference, key=_phrase(record, key)).text
                yield ResultDifference(text, effect, reason, _group(record, effect, reason, key), places)


def _edited(pair: list[dict], record: str, places: tuple[str, ...]) -> Iterator[ResultDifference]:
    for which, values in zip(("first", "second"), pair, strict=True):
        if CHECKSUM in values and not is_sealed(values):
            text = f"{_NAMES_OF_RECORDS[record]} of the {which} edited after it was written"
            yield ResultDifference(text, "cause", places=places)


def _judge(record: str, key: str, in_results: bool) -> tuple[Effect, str]:
    for kind, pattern, effect, reason in (_RULES_IN_RESULTS if in_results else []) + _RULES:
        if kind in ("*", record) and re.fullmatch(pattern, key):
            return effect, reason
    return "cause", ""


_NAMES_OF_RECORDS = {
    "recipe": "recipe",
    "adapter": "adapter",
    "training": "training.json",
    "predictions": "predictions",
    "probes": "probes",
    "summary": "splits",
    "metrics": METRICS,
}


def _phrase(record: str, key: str) -> str:
    """Name a key as a reader knows it."""
    if match := re.search(r"(?:^|\.)packages\.(.+)", key):
        return match[1]
    if match := re.fullmatch(r"inputs\.files\.(.+)/recipe\.json", key):
        return f"recipe of {match[1]}"
    if match := re.fullmatch(r"inputs\.code\.(?:stagewise\.)?(.+)", key):
        return f"code of {match[1]}"
    if match := re.fullmatch(r"inputs\.prompts\.(.+)|tasks\.(.+)\.prompt\.text", key):
        return f"prompt of {match[1] or match[2]}"
    if match := re.fullmatch(r"(?:inputs\.)?behaviour\.(.+)", key):
        return f"behaviour of {match[1]}"
    if re.fullmatch(r"(inputs\.)?model(\.fingerprint)?", key):
        return "base model"
    if match := re.fullmatch(r"inputs\.adapter\.(recipe|weights)", key):
        return f"{match[1]} of the adapter"
    if record == "adapter" and re.match(r"(inputs\.)?parents", key):
        return f"weights of {key.removeprefix('inputs.')}"
    if record == "metrics" and re.match(r"\w+\[", key):
        return f"{METRICS} {key}"
    return re.sub(r"^(settings|inputs|experiment|files)\.", "", key)


def _group(record: str, effect: Effect, reason: str, key: str) -> str:
    if effect == "none":
        return reason + re.split(r"[.\]]", key)[-1] if reason == _CLOCK else reason + key
    return record if record == "metrics" else key if key.startswith("files.") else re.split(r"[.\[]", key)[0]


def _one_a_group(listed: list[ResultDifference]) -> list[ResultDifference]:
    groups: dict[str, list[ResultDifference]] = {}
    for difference in listed:
        groups.setdefault(difference.group, []).append(difference)
    return [replace(members[0], others=len(members) - 1) for members in groups.values()]


def _and_more(count: int) -> str:
    return f" and {count} more" if count else ""
