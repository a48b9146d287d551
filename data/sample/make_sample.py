"""Write the embedded sample: fictional data in the raw formats of PubMedQA (PQA-L) and Dreaddit.

The sentences are put together from the vocabularies in ``pubmedqa_words.py`` and
``dreaddit_words.py`` by a seeded generator, so the same Python code always writes the same bytes.

Usage: python data/sample/make_sample.py --output data/sample
"""

import argparse
import csv
import io
import json
import random
import re
import sys
from pathlib import Path

import dreaddit_words as dw
import pubmedqa_words as pw

SEED = 20240607
PUBMEDQA_COUNTS = {"yes": 220, "no": 136, "maybe": 44}  # the shares of PQA-L: 55, 34 and 11 %
PUBMEDQA_WORDS = (35, 45)  # question and contexts together
OPPOSITE_SHARE = 0.08  # "no" items in which the effect points the other way
PUBMEDQA_BORDERLINE = 20  # items whose wording allows two labels
DREADDIT_COUNTS = {"train": {1: 146, 0: 134}, "test": {1: 62, 0: 58}}  # 52 % stress
DREADDIT_WORDS = (25, 40)
DREADDIT_BORDERLINE = 5  # weight among the plans, in per cent
TRAIN_COLUMNS = ["subreddit", "post_id", "sentence_range", "text", "id", "label", "confidence", "social_timestamp"]
TEST_COLUMNS = ["id", "subreddit", "post_id", "sentence_range", "text", "label", "confidence", "social_timestamp"]


# --- shared helpers ------------------------------------------------------------------------------
def capital(text):
    return text[:1].upper() + text[1:]


def normalise(text):
    """The form in which two texts count as the same."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def count_words(*texts):
    return sum(len(text.split()) for text in texts)


def fill(frame, slots):
    """Fill a frame; slots may hold frames themselves, and {Noun} is {noun} with a capital."""
    while match := re.search(r"\{(\w+)\}", frame):
        key = match[1]
        value = slots[key] if key in slots else capital(slots[key[0].lower() + key[1:]])
        frame = frame[: match.start()] + str(value) + frame[match.end() :]
    return frame


# --- PubMedQA-like -------------------------------------------------------------------------------
def past(verb):
    return verb if verb == "cut" else verb + ("d" if verb.endswith("e") else "ed")


def grammar(phrase):
    """A noun phrase without its marks, and the words that agree with it."""
    plural, article = phrase.startswith("*"), phrase.startswith("~")
    words = {"is": "are", "was": "were", "does": "do", "it": "them", "they": "they"} if plural else {"is": "is", "was": "was", "does": "does", "it": "it", "they": "it"}
    return phrase.lstrip("*~"), words, "a " if article else ""


def numbers(rng):
    """Slots that any frame may use: sizes, durations, percentages, p values."""
    n = rng.choice([60, 80, 96, 120, 144, 150, 180, 200, 240, 260, 300, 360])
    high, low = rng.randint(81, 96), rng.randint(21, 43)
    late = rng.choice([9, 12, 15, 18, 24])
    m = rng.randint(28, 46)
    return {
        "n": n, "m": m, "d": rng.choice(["six", "eight", "nine", "eleven", "twelve"]), "k": rng.choice(["two", "three", "four", "five", "six"]), "w": rng.choice([6, 8, 10, 12, 16]),
        "high": high, "high2": rng.randint(80, 95), "low": low, "mid": rng.randint(38, 57), "half": rng.randint(44, 57), "few": rng.randint(4, 12),
        "most": m - rng.randint(2, 5), "less": rng.randint(6, 13), "tiny": rng.choice(["two", "three", "four"]), "tiny_total": rng.choice(["five", "six"]),
        "t": rng.choice([m for m in (3, 6, 9, 12) if m < late]), "late": late,
        "sig": rng.choice(["p<0.001", "p<0.001", "p=0.002", "p=0.01"]),
        "ns": rng.choice(["p=0.38", "p=0.52", "p=0.64", "p=0.81"]),
        "trend": rng.choice(pw.TREND_P), "control": rng.choice(pw.CONTROL),
        "pct": f"{rng.randint(4, 7)}%", "pct2": f"{rng.randint(4, 7)}%", "pct_high": f"{rng.randint(13, 22)}%",
    }  # fmt: skip


def measure(rng, outcome, rising, null):
    """Values of an outcome with (a) and without (b) the exposure, as text."""
    _, _, _, unit, low, high = outcome
    span, digits = high - low, 1 if high <= 20 else 0
    glue = "" if unit.startswith("%") else " "
    size = span * (rng.uniform(0.0, 0.04) if null else rng.uniform(0.22, 0.4))
    b = rng.uniform(low, high - 0.45 * span) if rising else rng.uniform(low + 0.45 * span, high)
    a = b + size if rising else b - size
    gap = span * rng.uniform(0.05, 0.12) if null else abs(a - b)
    if not digits:
        gap = max(gap, 2)  # "1 points" would not agree
    gap_unit = unit.replace("%", "percentage points", 1)
    return {
        "a": f"{a:.{digits}f}{glue}{unit}", "b": f"{b:.{digits}f}{glue}{unit}", "gap": f"{gap:.{digits}f} {gap_unit}",
        "pair": f"{a:.{digits}f}{'%' if unit == '%' else ''} versus {b:.{digits}f}{glue}{unit}",
        "ci": f"{gap * rng.uniform(0.3, 0.6):.{digits}f} to {gap * rng.uniform(1.4, 1.7):.{digits}f}",
    }  # fmt: skip


def outcome_slots(rng, topic, outcome, asked_up, found_up, null):
    phrase, kind, better, *_ = outcome
    noun, agree, article = grammar(phrase)
    down, up, after, before = pw.KINDS[kind]
    if better == "+" and kind == "level":
        up += ("improve",)
    verb, done = rng.choice(up if asked_up else down), past(rng.choice(up if found_up else down))
    return {
        "noun": noun, "verb": verb, "verbed": past(verb), "done": done, "is": agree["is"], "was": agree["was"], "it": agree["it"], "they": agree["they"],
        "pred": after[found_up], "opposite": after[not found_up], "asked": after[asked_up], "attr": article + before[found_up], "clear_attr": f"{article}significantly {before[found_up]}",
        "asked_attr": article + before[asked_up], "worse": after[better == "-"], "went": "rose" if found_up else "fell",
        "people": rng.choice(topic["people"]), **measure(rng, outcome, found_up, null),
    }  # fmt: skip


def exposure_slots(name, phrase):
    text, agree, _ = grammar(phrase)
    return {name: text, "does": agree["does"], "is_x": agree["is"]}


def outcome_item(rng, kind, label, border):
    """A question about the change of an outcome: effect, link, match (as good as) or last."""
    topics = [t for t in pw.TOPICS if not (kind == "last" and t.get("acute")) and not (kind == "link" and not t["factors"])]
    topic = rng.choice(topics)
    outcome = rng.choice(topic["outcomes"])
    good_up = outcome[2] == "+"
    exposure = rng.choice(topic["factors"]) if kind == "link" else "+" + rng.choice(topic["x"])
    # What is found mostly follows the plausible direction; the question asks for the same or, in some "no" items, the other.
    found_up = good_up == (exposure[0] == "+")
    if kind in ("effect", "link") and rng.random() < 0.12:
        found_up = not found_up
    opposite = label == "no" and border is None and kind in ("effect", "link") and rng.random() < OPPOSITE_SHARE
    asked_up = found_up != opposite
    null = border is None and ((label == "no" and not opposite and kind in ("effect", "link", "last")) or (kind == "match" and label != "no"))
    slots = numbers(rng) | outcome_slots(rng, topic, outcome, asked_up, found_up, null)
    y = rng.choice([x for x in topic["x"] if x != exposure[1:]])
    slots |= exposure_slots("x", exposure[1:]) | {"y": y.lstrip("*")}
    slots["tail"] = rng.choice(pw.TAILS)
    slots["verdict"] = rng.choice(pw.MIXED_VERDICTS if label == "maybe" else pw.NULL_VERDICTS if null else pw.FOUND_VERDICTS)
    if topic.get("acute") and slots["control"] == "a waiting list":
        slots["control"] = "standard advice"
    prefix = kind.upper() + "_"
    if border is not None:
        result = border
    elif kind in ("effect", "link"):
        result = rng.choice(getattr(pw, prefix + ("MIXED" if label == "maybe" else "FOUND" if label == "yes" or opposite else "NULL")))
    else:
        result = rng.choice(getattr(pw, prefix + label.upper()))
    claim = {
        "effect": "{x} can {verb} {noun} in {people}", "link": "{x} {is_x} associated with {asked_attr} {noun} in {people}",
        "match": "{x} {is_x} as effective as {y} for {noun}", "last": "the effect of {x} on {noun} lasts beyond {t} months",
    }[kind]  # fmt: skip
    frames = rng.choice(getattr(pw, prefix + "QUESTIONS")), rng.choice(getattr(pw, prefix + "METHODS")), result
    if topic.get("acute") and any("{w}" in f or "{late}" in f or "week" in f or "crossover" in f for f in frames):
        return None
    return *frames, claim, slots, topic["mesh"]


def fact_item(rng, kind, label):
    """A question with its own facts: test, need, safe or know."""
    prefix = kind.upper() + "_"
    first, second, third = (*rng.choice(getattr(pw, prefix + "SETS")), None)[:3]
    slots = numbers(rng) | {"tail": rng.choice(pw.FACT_TAILS)}
    if kind == "test":
        slots |= {"x": rng.choice(first), "target": second, "people": rng.choice(third)}
        claim, mesh = "{x} can identify {target} in {people}", ["Diagnosis", "Sensitivity and Specificity", capital(second)]
    elif kind == "need":
        slots |= {"x": rng.choice(first), "when": rng.choice(second)}
        claim, mesh = "{x} is necessary {when}", ["Diagnostic Tests, Routine", "Unnecessary Procedures"]
    elif kind == "safe":
        harm, agree, _ = grammar(rng.choice(third))
        slots |= {"x": rng.choice(first), "when": rng.choice(second), "harm": harm, "was": agree["was"]}
        claim, mesh = "{x} is safe {when}", ["Risk Assessment", "Safety"]
    else:
        slots |= {"people": rng.choice(first), "know": rng.choice(second)}
        claim, mesh = "{people} {know}", ["Health Knowledge, Attitudes, Practice", "Clinical Competence"]
    frames = [rng.choice(getattr(pw, prefix + part)) for part in ("QUESTIONS", "METHODS", label.upper())]
    return *frames, claim, slots, mesh


def pubmedqa_item(rng, kind, label, border):
    item = fact_item(rng, kind, label) if kind in ("test", "need", "safe", "know") else outcome_item(rng, kind, label, border)
    if item is None:
        return None
    *frames, claim, slots, mesh = item
    question, methods, result = (capital(fill(frame, slots)) for frame in frames)
    if not PUBMEDQA_WORDS[0] <= count_words(question, methods, result) <= PUBMEDQA_WORDS[1]:
        return None
    return {
        "QUESTION": question,
        "CONTEXTS": [methods, result],
        "LABELS": ["METHODS", "RESULTS"],
        "MESHES": ["Humans", *mesh],
        "YEAR": str(rng.randint(1998, 2018)),
        "final_decision": label,
        "LONG_ANSWER": fill(rng.choice(pw.CONCLUSIONS[label]), slots | {"claim": claim}),
    }


def make_pubmedqa(rng):
    labels = [label for label, count in PUBMEDQA_COUNTS.items() for _ in range(count)]
    rng.shuffle(labels)
    borderline = set(rng.sample(range(len(labels)), PUBMEDQA_BORDERLINE))
    items, seen = {}, set()
    for position, label in enumerate(labels):
        item = None
        kind, border = rng.choices(list(pw.KIND_SHARES), list(pw.KIND_SHARES.values()))[0], None
        if position in borderline:
            kind = rng.choice(["effect", "link"])
            border = rng.choice([frame for options, frame in getattr(pw, kind.upper() + "_BORDER") if label in options])
        while item is None or normalise(item["QUESTION"]) in seen:
            item = pubmedqa_item(rng, kind, label, border)
        seen.add(normalise(item["QUESTION"]))
        items[str(90000001 + position)] = item
    return items


# --- Dreaddit-like -------------------------------------------------------------------------------
def form(phrase, index, speaker):
    """One form of a verb phrase (0 present, 1 past, 2 third person) with the speaker's pronouns."""
    phrase = re.sub(r"\[([^]]*)\]", lambda match: match[1].split("|")[index], phrase)
    for key, word in zip(("i", "my", "me"), speaker):
        phrase = phrase.replace("{" + key + "}", word)
    return phrase


def feeling_slots(rng, name, plain, quiet, other):
    """The verb phrases of one text: {strain}, {quiet_strain}, {any_strain}, {strain_past}, {strain_other}, …; likewise for calm."""
    me = ("I", "my", "me")
    pools = {name: plain, f"{name}2": plain, f"quiet_{name}": quiet, f"any_{name}": plain + quiet, f"any_{name}2": plain + quiet}
    slots, used = {}, set()
    for key, pool in pools.items():  # no phrase twice in one text
        phrase = rng.choice([phrase for phrase in pool if phrase not in used])
        used.add(phrase)
        slots[key] = form(phrase, 0, me)
    first, second, third = rng.sample([phrase for phrase in plain + quiet if phrase not in used], 3)
    return slots | {f"{name}_past": form(first, 1, me), f"{name}_past2": form(second, 1, me), f"{name}_other": form(third, 2, other)}


def dreaddit_text(rng, label, plan, theme):
    """One segment, or None if it is too short or too long."""
    thing, _, facts = theme
    slots = {name: rng.choice(values) for name, values in dw.SLOTS.items()}
    other, *speaker = rng.choice(dw.OTHERS)
    slots |= feeling_slots(rng, "strain", dw.STRAIN, dw.STRAIN_QUIET, speaker) | feeling_slots(rng, "calm", dw.CALM, dw.CALM_QUIET, speaker)
    slots |= {"fact": rng.choice(facts), "good": rng.choice(dw.GOOD), "bad": rng.choice(dw.BAD), "info": rng.choice(dw.INFO)}
    slots |= {"other": other, "he": speaker[0], "him": speaker[2], "thing": "@"}
    frame = rng.choice(dw.BORDER if plan == "border" else dw.PLANS[label][plan][1])
    text = fill(f"{frame} {rng.choice(dw.TAILS)}".strip(), slots)
    named = thing.removeprefix("the ") in text.split("@")[0].casefold()
    text = text.replace("@", "it" if named else thing, 1).replace("@", "it")  # named once, then a pronoun
    return text if DREADDIT_WORDS[0] <= count_words(text) <= DREADDIT_WORDS[1] else None


def make_segments(rng, counts, seen):
    """Rows of one split: posts of one to three segments that mostly share a label."""
    left, posts = dict(counts), []
    while sum(left.values()):
        label, theme = rng.choices(list(left), list(left.values()))[0], rng.choice(dw.THEMES)
        post = {"subreddit": rng.choice(theme[1].split()), "social_timestamp": rng.randint(1483228800, 1546300799)}
        start, segments = rng.choice([0, 5, 10]), []
        for _ in range(rng.choices([1, 2, 3], [82, 14, 4])[0]):
            if rng.random() < 0.25 or not left[label]:
                label = 1 - label
            if not left[label]:
                break
            weights = {plan: weight for plan, (weight, _) in dw.PLANS[label].items()} | {"border": DREADDIT_BORDERLINE}
            plan, text = rng.choices(list(weights), list(weights.values()))[0], None
            while text is None or normalise(text) in seen:
                text = dreaddit_text(rng, label, plan, theme)
            seen.add(normalise(text))
            left[label] -= 1
            agreement = rng.choice({"plain": [0.8, 1.0], "border": [4 / 7, 0.6]}.get(plan, [0.6, 0.8, 1.0]))
            segments.append(post | {"text": text, "label": label, "sentence_range": f"({start}, {start + 5})", "confidence": agreement})
            start += 5
        posts.append(segments)
    return posts


def make_dreaddit(rng):
    seen, splits, number = set(), {}, 0
    for split, counts in DREADDIT_COUNTS.items():
        splits[split] = []
        for segments in make_segments(rng, counts, seen):
            number += 1
            splits[split] += [segment | {"post_id": f"smp{number:03d}"} for segment in segments]
        rng.shuffle(splits[split])
    for row_id, row in enumerate((row for rows in splits.values() for row in rows), start=1):
        row["id"] = row_id
    return splits
