"""Settings as facts of a result: everything counts, apart from a short list of what is known to change nothing.

A new setting is part of every fingerprint until it is put on a list here. Forgetting it costs a rerun and never a
result that is believed although something changed.
"""

from stagewise.config.base import Settings
from stagewise.config.shareable import shareable
from stagewise.config.training import WAYS_TO_RUN

# By path, `*` for any key or index; the reason stands beside each entry.
EVERYWHERE = {
    "mirror": "where files come from; each is checked against its checksum",
    **{
        f"{where}.{name}": "a way to run; the items of a step are in every recipe"
        for where in ("training", "arms.*.stages.*.training")
        for name in WAYS_TO_RUN
    },
}
SPLITS = {
    "tasks.*.prompt": "read when a prompt is rendered, after the splits are made",
    "tasks.*.shorten": "applied when a prompt is rendered, after the splits are made",
    "tasks.*.max_length": "applied when a prompt is rendered, after the splits are made",
    "tasks.*.measure": "names the measure that claims are about",
    "tasks.*.max_new_tokens": "read when answers are generated, after the splits are made",
    "tasks.*.stop": "read when answers are generated, after the splits are made",
    "tasks.*.sources.*.files.*.url": "where a file comes from; its sha256 says what it is",
}
PREDICTIONS = {
    "tasks.*.prompt": "a path; the text counts as a fact of its own",
    "tasks.*.id": "in the items, whose checksums count",
    "tasks.*.label": "in the items, whose checksums count",
    "tasks.*.labels.*.value": "in the items, whose checksums count; the word is what is scored",
    "tasks.*.fields": "in the items, whose checksums count",
    "tasks.*.options.columns": "in the items, whose checksums count",
    "tasks.*.options.gold": "in the items, whose checksums count",
    "tasks.*.separator": "in the items, whose checksums count",
    "tasks.*.unknown_labels": "in the items, whose checksums count",
    "tasks.*.measure": "names the measure that claims are about",
    "tasks.*.group": "in the items, whose checksums count",
    "tasks.*.identity": "in the items, whose checksums count",
    "tasks.*.source": "in the items, whose checksums count",
    "tasks.*.sources": "in the items, whose checksums count",
    "tasks.*.split": "in the items, whose checksums count",
    "tasks.*.splits": "in the items, whose checksums count",
    "evaluation.splits": "which files are scored; each counts by its checksum",
    "evaluation.tokens_per_batch": "items per forward pass; log-probabilities agree to rounding",
}
PROBES = {
    "texts.*.path": "a path; the text's checksum counts",
    "texts.*.url": "where a text comes from; its checksum counts",
    "texts.*.sha256": "the text's checksum counts, given or not",
    "harness.include": "a path; each file's checksum counts",
}
# Read by harness tasks in the model's chat template alone.
UNREAD_PROMPTING = {"prompting": "read when harness tasks are put into the chat template"}
# Read by `evaluation.method: generation` alone.
GENERATION_ALONE = {
    "evaluation.parse": "read when answers are generated",
    "evaluation.max_new_tokens": "read when answers are generated",
}


def facts(settings: Settings, ignored: dict[str, str] = EVERYWHERE) -> dict:
    """Dump settings as plain data, without the paths in `ignored`, and otherwise as they may be passed on.

    What a file of this machine holds is a fact of its own, by its checksum. Subclasses are dumped with the fields of
    their own, so that a setting cannot hide behind a declared type.
    """
    values = shareable(settings.model_dump(mode="json", serialize_as_any=True))
    return _without(values, [path.split(".") for path in ignored])


def _without(value, paths: list[list[str]]):
    if isinstance(value, list):
        value = dict(enumerate(value))
        return list(_without(value, paths).values())
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, inner in value.items():
        below = [rest for first, *rest in paths if first in ("*", str(key))]
        if [] not in below:
            kept[key] = _without(inner, below)
    return kept
