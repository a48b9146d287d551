"""Write the embedded sample: fictional data in the raw formats of PubMedQA (PQA-L) and Dreaddit.

A seeded generator fills the sentence frames of ``pubmedqa_words.py`` and ``dreaddit_words.py``, so the same code
always writes the same bytes. Standard library only.

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
PUBMEDQA_LENGTH = (32, 40)  # words of question and contexts together
PUBMEDQA_BORDERLINE = 14  # items whose wording allows two labels
DREADDIT_COUNTS = {"train": {1: 146, 0: 134}, "test": {1: 62, 0: 58}}  # 52 % stress
DREADDIT_LENGTH = (25, 40)
DREADDIT_BORDERLINE = 5  # weight beside the plans' weights, which add up to 100
# The real files have many more columns, whose order differs, too.
TRAIN_COLUMNS = ["subreddit", "post_id", "sentence_range", "text", "id", "label", "confidence", "social_timestamp"]
TEST_COLUMNS = ["id", "subreddit", "post_id", "sentence_range", "text", "label", "confidence", "social_timestamp"]


# --- Shared ---------------------------------------------------------------------------------------
def capitalize(text):
    """Make the first letter a capital, and leave the others."""
    return text[:1].upper() + text[1:]


def normalize(text):
    """Reduce a text to the form in which repeated texts are compared."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def fill(frame, slots):
    """Fill a frame with slots, which may hold frames; {Noun} is {noun} with a capital."""
    while match := re.search(r"\{(\w+)\}", frame):
        key = match[1]
        value = slots[key] if key in slots else capitalize(slots[key[0].lower() + key[1:]])
        frame = f"{frame[: match.start()]}{value}{frame[match.end() :]}"
    return frame


def fits(length, *texts):
    """Check that texts have a number of words between two bounds."""
    return length[0] <= sum(len(text.split()) for text in texts) <= length[1]


def draw(rng, weights):
    """Draw a key by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


# --- PubMedQA-like --------------------------------------------------------------------------------
SINGULAR = {"is": "is", "was": "was", "does": "does", "it": "it", "they": "it"}
PLURAL = {"is": "are", "was": "were", "does": "do", "it": "them", "they": "they"}


def agree(phrase):
    """Remove a noun phrase's marks; return it with the words that agree with it."""
    return phrase.lstrip("*~"), PLURAL if phrase.startswith("*") else SINGULAR


def past(verb):
    """Form the past tense."""
    return verb if verb == "cut" else verb + ("d" if verb.endswith("e") else "ed")


def numbers(rng):
    """Draw slots for all frames: sizes, durations, percentages, p values."""
    cases, late = rng.randint(28, 46), rng.choice([9, 12, 15, 18, 24])
    return {
        "n": rng.choice([60, 80, 96, 120, 144, 150, 180, 200, 240, 260, 300, 360]),
        "m": cases,
        "most": cases - rng.randint(2, 5),
        "less": rng.randint(6, 13),
        "tiny": rng.choice(["two", "three", "four"]),
        "tiny_total": rng.choice(["five", "six"]),
        "d": rng.choice(["six", "eight", "nine", "eleven", "twelve"]),
        "k": rng.choice(["two", "three", "four", "five", "six"]),
        "w": rng.choice([6, 8, 10, 12, 16]),
        "late": late,
        "t": rng.choice([months for months in (3, 6, 9, 12) if months < late]),
        "high": rng.randint(81, 96),
        "high2": rng.randint(80, 95),
        "half": rng.randint(44, 57),
        "mid": rng.randint(38, 57),
        "low": rng.randint(21, 43),
        "few": rng.randint(4, 12),
        "pct": f"{rng.randint(4, 7)}%",
        "pct2": f"{rng.randint(4, 7)}%",
        "pct_high": f"{rng.randint(13, 22)}%",
        "sig": rng.choice(["p<0.001", "p<0.001", "p=0.002", "p=0.01"]),
        "ns": rng.choice(["p=0.38", "p=0.52", "p=0.64", "p=0.81"]),
        "trend": rng.choice(["p=0.06", "p=0.07", "p=0.09"]),
        "control": rng.choice(pw.CONTROL),
        "tail": rng.choice(pw.TAILS),
    }


def measure(rng, unit, low, high, rising, null):
    """Draw an outcome's values with (a) and without (b) the exposure, as text."""
    span, digits = high - low, 1 if high <= 20 else 0
    size = span * (rng.uniform(0, 0.04) if null else rng.uniform(0.22, 0.4))
    b = rng.uniform(low, high - 0.45 * span) if rising else rng.uniform(low + 0.45 * span, high)
    a = b + size if rising else b - size
    gap = span * rng.uniform(0.05, 0.12) if null else size
    gap = gap if digits else max(gap, 2)  # "1 points" would not agree
    sign = "%" if unit == "%" else ""
    unit = unit if unit.startswith("%") else f" {unit}"
    return {
        "a": f"{a:.{digits}f}{unit}",
        "b": f"{b:.{digits}f}{unit}",
        "pair": f"{a:.{digits}f}{sign} versus {b:.{digits}f}{unit}",
        "gap": f"{gap:.{digits}f}{unit.replace('%', ' percentage points', 1)}",
    }


def outcome_slots(rng, outcome, asked_up, observed_up, null):
    """Draw slots for an outcome, by the direction that is asked about and the one that is observed."""
    phrase, kind, better, unit, low, high = outcome
    noun, forms = agree(phrase)
    article = "a " if phrase.startswith("~") else ""
    down, up, after, before = pw.KINDS[kind]
    if better == "+" and kind == "level":
        up += ("improve",)
    verb = rng.choice(up if asked_up else down)
    return measure(rng, unit, low, high, observed_up, null) | {
        "noun": noun,
        "is": forms["is"],
        "was": forms["was"],
        "it": forms["it"],
        "they": forms["they"],
        "verb": verb,
        "verbed": past(verb),
        "done": past(rng.choice(up if observed_up else down)),
        "went": "rose" if observed_up else "fell",
        "pred": after[observed_up],
        "opposite": after[not observed_up],
        "asked": after[asked_up],
        "worse": after[better == "-"],
        "attr": article + before[observed_up],
        "clear_attr": f"{article}significantly {before[observed_up]}",
        "asked_attr": article + before[asked_up],
    }


def outcome_item(rng, kind, label, border):
    """Draw frames and slots of a question about an outcome: effect, link, match or last."""
    topic = rng.choice([topic for topic in pw.TOPICS if kind in topic.get("kinds", pw.OUTCOME_KINDS)])
    outcome = rng.choice(topic["outcomes"])
    exposure = rng.choice(topic["factors"]) if kind == "link" else "+" + rng.choice(topic["x"])
    # Most observations follow the plausible direction. A question may ask for the opposite; then the answer is no.
    observed_up = (outcome[2] == "+") == (exposure[0] == "+")
    directional = kind in ("effect", "link")
    if directional and rng.random() < pw.UNEXPECTED_SHARE:
        observed_up = not observed_up
    opposite = directional and label == "no" and not border and rng.random() < pw.OPPOSITE_SHARE
    # If two treatments are compared, a missing difference means yes.
    null = not border and (label != "no" if kind == "match" else label == "no" and not opposite)
    x, forms = agree(exposure[1:])
    slots = numbers(rng) | outcome_slots(rng, outcome, observed_up != opposite, observed_up, null)
    slots |= {"x": x, "does": forms["does"], "is_x": forms["is"], "people": rng.choice(topic["people"])}
    slots["y"] = rng.choice([y for y in topic["x"] if y != exposure[1:]]).lstrip("*")
    verdicts = pw.MIXED_VERDICTS if label == "maybe" else pw.NULL_VERDICTS if null else pw.FOUND_VERDICTS
    slots["verdict"] = rng.choice(verdicts)
    results = border or pw.FRAMES[kind]["yes" if opposite else label]
    frames = [rng.choice(options) for options in (pw.FRAMES[kind]["question"], pw.FRAMES[kind]["methods"], results)]
    if topic.get("acute"):
        if any(word in frame for frame in frames for word in ("{w}", "week")):
            return None
        slots["control"] = slots["control"].replace("a waiting list", "standard advice")
    return frames, slots, topic["mesh"]


def fact_item(rng, kind, label):
    """Draw frames and slots of a question with its own facts: test, need, safe or know."""
    names, mesh, sets = pw.FACTS[kind]
    slots = numbers(rng) | {"tail": rng.choice(pw.FACT_TAILS)}
    slots |= {name: rng.choice(options) for name, options in zip(names, rng.choice(sets), strict=True)}
    if kind == "safe":
        slots["harm"], forms = agree(slots["harm"])
        slots["was"] = forms["was"]
    return [rng.choice(pw.FRAMES[kind][part]) for part in ("question", "methods", label)], slots, mesh


def pubmedqa_item(rng, kind, label, border):
    """Draw an item; None if its parts do not fit together or it has the wrong length."""
    item = fact_item(rng, kind, label) if kind in pw.FACTS else outcome_item(rng, kind, label, border)
    if item is None:
        return None
    frames, slots, mesh = item
    question, methods, result = (capitalize(fill(frame, slots)) for frame in frames)
    if not fits(PUBMEDQA_LENGTH, question, methods, result):
        return None
    return {
        "QUESTION": question,
        "CONTEXTS": [methods, result],
        "LABELS": ["METHODS", "RESULTS"],
        "MESHES": ["Humans", *mesh],
        "YEAR": str(rng.randint(1998, 2018)),
        "final_decision": label,
        "LONG_ANSWER": fill(rng.choice(pw.CONCLUSIONS[label]), slots | {"claim": pw.FRAMES[kind]["claim"]}),
    }


def make_pubmedqa(rng):
    """Make the PubMedQA-like items by id."""
    labels = [label for label, count in PUBMEDQA_COUNTS.items() for _ in range(count)]
    rng.shuffle(labels)
    borderline = set(rng.sample(range(len(labels)), PUBMEDQA_BORDERLINE))
    items, seen = {}, set()
    for position, label in enumerate(labels):
        item = None
        while item is None or normalize(item["QUESTION"]) in seen:
            kind, border = draw(rng, pw.KIND_SHARES), None
            if position in borderline:
                kind = rng.choice(list(pw.BORDER))
                border = [frame for options, frame in pw.BORDER[kind] if label in options]
            item = pubmedqa_item(rng, kind, label, border)
        seen.add(normalize(item["QUESTION"]))
        items[str(90000001 + position)] = item
    return items


# --- Dreaddit-like --------------------------------------------------------------------------------
ME = ("I", "my", "me")


def form(phrase, index, speaker=ME):
    """Choose a form of a verb phrase (0 present, 1 past, 2 third person) and fill in the speaker's pronouns."""
    phrase = re.sub(r"\[([^]]*)\]", lambda match: match[1].split("|")[index], phrase)
    for key, word in zip(("{i}", "{my}", "{me}"), speaker, strict=True):
        phrase = phrase.replace(key, word)
    return phrase


def feeling_slots(rng, name, plain, quiet, other):
    """Draw a text's verb phrases: {strain}, {quiet_strain}, {any_strain}, {strain_past}, {strain_other}; calm, too."""
    pools = {name: plain, f"{name}2": plain, f"quiet_{name}": quiet}
    pools |= dict.fromkeys(
        [f"any_{name}", f"any_{name}2", f"{name}_past", f"{name}_past2", f"{name}_other"], plain + quiet
    )
    chosen = {}
    for key, pool in pools.items():  # no phrase twice in one text
        chosen[key] = rng.choice([phrase for phrase in pool if phrase not in chosen.values()])
    forms = {"past": (1, ME), "past2": (1, ME), "other": (2, other)}
    return {key: form(phrase, *forms.get(key.rpartition("_")[2], (0, ME))) for key, phrase in chosen.items()}


def dreaddit_text(rng, label, plan, thing, facts):
    """Draw a segment; None if it has the wrong length."""
    other, *speaker = rng.choice(dw.OTHERS)
    slots = {name: rng.choice(values) for name, values in dw.SLOTS.items()}
    slots |= feeling_slots(rng, "strain", dw.STRAIN, dw.STRAIN_QUIET, speaker)
    slots |= feeling_slots(rng, "calm", dw.CALM, dw.CALM_QUIET, speaker)
    slots |= {"good": rng.choice(dw.GOOD), "bad": rng.choice(dw.BAD), "info": rng.choice(dw.INFO)}
    slots |= {"other": other, "he": speaker[0], "him": speaker[2], "fact": rng.choice(facts), "thing": "@"}
    frame = rng.choice(dw.BORDER if plan == "border" else dw.PLANS[label][plan][1])
    text = fill(f"{frame} {rng.choice(dw.TAILS)}".strip(), slots)
    # The first mention names the thing, unless the fact has named it already; later ones are pronouns.
    if thing.removeprefix("the ") not in text.partition("@")[0].casefold():
        text = text.replace("@", thing, 1)
    return text.replace("@", "it") if fits(DREADDIT_LENGTH, text) else None


def make_posts(rng, counts, seen):
    """Yield a split's posts, each with one to three segments, most of which share a label."""
    remaining = dict(counts)
    while sum(remaining.values()):
        label, (thing, subreddits, facts) = draw(rng, remaining), rng.choice(dw.THEMES)
        post = {"subreddit": rng.choice(subreddits.split()), "social_timestamp": rng.randint(1483228800, 1546300799)}
        start, segments = rng.choice([0, 5, 10]), []
        for _ in range(draw(rng, {1: 82, 2: 14, 3: 4})):
            if segments and rng.random() < 0.25:
                label = 1 - label
            if not remaining[label]:
                break
            weights = {plan: weight for plan, (weight, _) in dw.PLANS[label].items()} | {"border": DREADDIT_BORDERLINE}
            plan, text = draw(rng, weights), None
            while text is None or normalize(text) in seen:
                text = dreaddit_text(rng, label, plan, thing, facts)
            seen.add(normalize(text))
            remaining[label] -= 1
            # Annotators agree less on the harder texts.
            confidence = rng.choice({"plain": [0.8, 1.0], "border": [4 / 7, 0.6]}.get(plan, [0.6, 0.8, 1.0]))
            sentences = f"({start}, {start + 5})" if start else "[0, 5]"
            segment = {"text": text, "label": label, "sentence_range": sentences, "confidence": confidence}
            segments.append(post | segment)
            start += 5
        yield segments


def make_dreaddit(rng):
    """Make the Dreaddit-like rows by split. Post ids continue from train to test, so that no post is in both."""
    seen, splits, post_number, row_number = set(), {}, 0, 0
    for split, counts in DREADDIT_COUNTS.items():
        splits[split] = []
        for segments in make_posts(rng, counts, seen):
            post_number += 1
            splits[split] += [segment | {"post_id": f"smp{post_number:03d}"} for segment in segments]
        rng.shuffle(splits[split])
        for row in splits[split]:
            row_number += 1
            row["id"] = row_number
    return splits


# --- Files ----------------------------------------------------------------------------------------
def csv_bytes(rows, columns):
    """Write rows as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def build():
    """Make the content of the three files, by name."""
    pubmedqa, dreaddit = make_pubmedqa(random.Random(SEED)), make_dreaddit(random.Random(SEED))
    # The real train file has whole numbers and nine digits, the real test file has floats.
    train = [row | {"confidence": f"{row['confidence']:.9g}"} for row in dreaddit["train"]]
    test = [row | {"social_timestamp": float(row["social_timestamp"])} for row in dreaddit["test"]]
    return {
        "pubmedqa.json": (json.dumps(pubmedqa, indent=4, ensure_ascii=False) + "\n").encode(),
        "dreaddit-sample-train.csv": csv_bytes(train, TRAIN_COLUMNS),
        "dreaddit-sample-test.csv": csv_bytes(test, TEST_COLUMNS),
    }


def main(argv=None) -> int:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the three files")
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    for name, content in build().items():
        (args.output / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
