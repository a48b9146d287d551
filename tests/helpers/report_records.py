"""Made-up sweeps, and claims about the mean over tasks, added to a report_metrics.json as plain data."""

import copy

from tests.helpers.records import find


def add_sweep(values: dict, arm: str, settings: list[str], chosen: str, shift: float = 0.04) -> None:
    """Let an arm have tried settings; what is not chosen scores by steps of `shift` less on each task."""
    steps = [step for step in values["arms"] if step["arm"] == arm]
    last = [step for step in steps if step["stage"] == max(step["stage"] for step in steps)]
    cost = find(values["costs"], arm=arm)
    for number, setting in enumerate(settings):
        distance = number - settings.index(chosen)
        final = {}
        for task in last[0]["answers"]:
            lineages = list(dict.fromkeys(step["answers"][task] for step in last))
            scores = find(values["scores"], lineages=lineages, task=task, split="test", rule="argmax")["measures"]
            final[task] = {
                name: {key: entry[key] - shift * distance for key in ("value", "low", "high")}
                for name, entry in scores.items()
                if {"value", "low", "high"} <= set(entry)
            }
        values.setdefault("variants", []).append(
            {
                "arm": arm,
                "variant": setting,
                "chosen": setting == chosen,
                "validation": {"value": 0.6 - 0.01 * abs(distance)},
                "lineages": [step["lineage"] for step in last],
                "final": final,
                "steps": 80.0,
                "tokens": 48000.0 + number,
                "extra_tokens": 1000.0,
                "seconds": 190.0,
            }
        )
    tokens, seconds = len(settings) * 48000.0, len(settings) * 190.0
    cost |= {"tried": len(settings), "tried_tokens": tokens, "tried_seconds": seconds}


def claim_average(values: dict, verdicts: dict[str, str]) -> None:
    """Let claims be about the mean over tasks: of each arm in `verdicts` against its reference; others as they were.

    Of the reference arms what they learnt and kept stays claimed.
    """
    experiment = values["experiment"]
    experiment["primary_outcome"] = "average"
    references = {experiment["reference"], *experiment.get("references", {}).values()}
    kept = [c for c in values["claims"] if c["kind"] in ("learnt", "kept") and references & set(c["arms"])]
    kept = [c for c in kept if c["kind"] == "kept" or c["against"] == "majority"]
    model = next(c for c in values["claims"] if c["kind"] == "arms")
    measure = experiment["primary_measure"]
    for arm, verdict in verdicts.items():
        record = find(values["arm_comparisons"], arm=arm, task=None, rule="argmax", split="test")
        claim = copy.deepcopy(model) | {"task": None, "arms": [arm], "verdict": verdict}
        claim["against"] = experiment.get("references", {}).get(arm, experiment["reference"])
        claim["difference"] = record["measures"][measure]["difference"]
        kept.append(claim)
    values["claims"] = kept
