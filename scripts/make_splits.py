"""Turn raw files into train, validation and test items, every task at once.

    python -m scripts.make_splits --settings config.yaml --output results/data

Writes {output}/{task}/{train,validation,test}.jsonl and set_aside.csv (the rows not used, and why), and
{output}/summary.json (counts and checksums). Everything is worked out before the first file is written.
"""

import argparse
import csv
import hashlib
import io
import sys
from collections import Counter
from pathlib import Path

from stagewise.cli import add_image, add_settings
from stagewise.config.step_settings import DataSettings
from stagewise.config.tasks import SPLITS, Task
from stagewise.data.duplicates import Found, resolve
from stagewise.data.items import Pool, SetAside, check_labels, read_items
from stagewise.data.raw_files import RAW
from stagewise.data.splits import Splits, check_splits, groups_across, limited, split_items
from stagewise.errors import exit_on_input_error
from stagewise.pipeline import inputs
from stagewise.provenance.files import atomic
from stagewise.provenance.sealed_json import write_sealed


@exit_on_input_error
def main(argv=None) -> int:
    """Make every task's splits; 0 where all files are written, 2 with a sentence and no file otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.make_splits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_settings(parser, DataSettings, lambda config: config.data_settings())
    parser.add_argument("--raw", default=RAW, help="folder of the fetched raw files (default: %(default)s)")
    parser.add_argument("--output", required=True, help="folder for the splits")
    add_image(parser)
    args = parser.parse_args(argv)
    settings = args.parse_settings(args.settings)
    files, summary = make_splits(settings, args.raw)
    summary |= {
        "inputs": inputs.splits_inputs(settings, args.raw),
        "image": args.image,
        "files": {name: hashlib.sha256(text).hexdigest() for name, text in files.items()},
    }
    for name, text in files.items():
        with atomic(Path(args.output) / name) as temporary:
            temporary.write_bytes(text)
    write_sealed(Path(args.output) / "summary.json", summary)
    for name, facts in summary["tasks"].items():
        counts = ", ".join(f"{split} {facts['splits'][split]['items']}" for split in SPLITS)
        print(f"{name}: {facts['rows']} rows, {sum(facts['set_aside'].values())} set aside; {counts}", file=sys.stderr)
    return 0


def make_splits(settings: DataSettings, raw_dir=RAW) -> tuple[dict[str, bytes], dict]:
    """Read, split, drop duplicates and limit.

    Returns
    -------
    Contents of the files to write, by path below the output folder, and the summary.

    Raises
    ------
    InputError
        For raw files, splits or duplicates that cannot be used.
    """
    pools, splits, left = {}, {}, {}
    for name, task in settings.tasks.items():
        print(f"{name}: reading", file=sys.stderr)
        pools[name] = read_items(name, task, raw_dir)
        splits[name], left[name] = split_items(name, task, pools[name])
    splits, dropped, found, between = resolve(settings.tasks, splits, settings.duplicates)
    files, tasks = {}, {}
    for name, task in settings.tasks.items():
        pool = pools[name]
        check_splits(name, splits[name])
        check_labels(name, task, [item for items in splits[name].values() for item in items])
        aside = pool.sorted(pool.set_aside + left[name] + dropped[name])
        files[f"{name}/set_aside.csv"] = _table(aside)
        final = {split: limited(splits[name][split], getattr(settings.limit, split)) for split in SPLITS}
        for split, items in final.items():
            files[f"{name}/{split}.jsonl"] = "".join(item.line() for item in items).encode()
        tasks[name] = _facts(task, pool, aside, splits[name], final, found[name])
        for split, facts in tasks[name]["splits"].items():
            facts["sha256"] = hashlib.sha256(files[f"{name}/{split}.jsonl"]).hexdigest()
    return files, {
        "tasks": tasks,
        "duplicates_across_tasks": between.normalized,
        "duplicates_across_tasks_exact": between.exact,
        "limit": settings.limit.model_dump(),
    }


def _facts(
    task: Task, pool: Pool, aside: list[SetAside], before: Splits, final: Splits, found: dict[str, Found]
) -> dict:
    """What the summary says of one task; `before` are the splits before the limit, `final` after it."""
    source = task.sources[task.source]
    return {
        "source": task.source,
        "licence": source.licence,
        "redistribute": source.redistribute,
        "files": pool.files,
        "rows": pool.rows,
        "set_aside": dict(sorted(Counter(row.reason for row in aside).items())),
        "split": task.split,
        "splits": {split: _counts(task, final[split], len(before[split])) for split in SPLITS},
        "duplicates": {
            **{kind: counts.normalized for kind, counts in found.items()},
            **{f"{kind}_exact": counts.exact for kind, counts in found.items()},
        },
        "groups_across_splits": groups_across(before) if task.group else None,
    }


def _counts(task: Task, items: list, before: int) -> dict:
    labels = Counter(item.label for item in items)
    return {
        "items": len(items),
        "labels": {word: labels[word] for word in task.words},
        "items_before_limit": before,
    }


def _table(rows: list[SetAside]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(SetAside._fields)
    table.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
