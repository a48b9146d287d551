"""Write ``comparisons.csv``: statements with two numbers, each with a question that is answered by comparing them.

A seeded generator, so the same code always writes the same bytes. Standard library only.

Usage: python data/sample/make_comparisons.py --output data/sample
"""

import argparse
import csv
import random
import sys
from pathlib import Path

SEED = 20261126
ITEMS = 160
# Things, what is measured, its unit, the comparative, and the range of the numbers.
FRAMES = [
    (["the oak table", "the pine table", "the cupboard", "the piano"], "weighs", "kilograms", "heavier", 20, 90),
    (
        ["the mill road", "the canal path", "the forest track", "the coast road"],
        "is",
        "kilometres long",
        "longer",
        3,
        60,
    ),
    (["the north tower", "the silo", "the lighthouse", "the poplar"], "is", "metres high", "taller", 8, 70),
    (["the red train", "the night bus", "the ferry", "the slow train"], "takes", "minutes", "slower", 15, 95),
    (["the green scarf", "the lamp", "the kettle", "the wool coat"], "costs", "euros", "more expensive", 5, 80),
    (["the chapel", "the bridge", "the granary", "the town hall"], "is", "years old", "older", 40, 400),
]


def make_items() -> list[dict[str, str]]:
    """Draw the items, half of them with each answer, in random order."""
    rng, seen, items = random.Random(SEED), set(), []
    while len(items) < ITEMS:
        things, verb, unit, comparative, low, high = rng.choice(FRAMES)
        (first, second), (one, other) = rng.sample(things, 2), rng.sample(range(low, high), 2)
        answer = ("no", "yes")[len(items) % 2]
        larger, smaller = (first, second) if one > other else (second, first)
        asked, than = (larger, smaller) if answer == "yes" else (smaller, larger)
        if (key := (asked, than, one, other)) in seen:
            continue
        seen.add(key)
        statement = f"{first.capitalize()} {verb} {one} {unit}; {second} {verb} {other}."
        items.append({"statement": statement, "question": f"Is {asked} {comparative} than {than}?", "answer": answer})
    rng.shuffle(items)
    return [{"id": f"c{number:03}"} | item for number, item in enumerate(items)]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    path = parser.parse_args(argv).output / "comparisons.csv"
    items = make_items()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(items[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(items)
    return 0


if __name__ == "__main__":
    sys.exit(main())
