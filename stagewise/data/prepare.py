"""Make train, validation and test items of raw files, for every task of an experiment."""

import csv
import hashlib
import io
import sys
from collections import Counter
from pathlib import Path

from stagewise.config.shareable import redact_text
from stagewise.config.step_settings import DataSettings
from stagewise.config.tasks import SPLITS, Task
from stagewise.data.duplicates import RepeatCounts, resolve
from stagewise.data.items import Item, SetAside, group_numbers, write_line
from stagewise.data.raw_files import RAW
from stagewise.data.raw_items import Pool, read_items
from stagewise.data.set_aside import Losses, Problem, check_labels
from stagewise.data.splits import Splits, check_splits, count_groups_across, limit_items, split_items
from stagewise.provenance.csv_cells import inert
from stagewise.provenance.files import atomic
from stagewise.provenance.sealed_json import write_sealed


def make_splits(settings: DataSettings, raw_dir=RAW) -> tuple[dict[str, bytes], dict]:
    """Read the raw files, split, resolve duplicates and apply the limit, without writing anything.

    Returns
    -------
    Contents of the files to write, by path below the output folder, and the summary.

    Raises
    ------
    InputError
        For raw files, splits or duplicates that cannot be used.
    """
    pools, splits, unused = {}, {}, {}
    for name, task in settings.tasks.items():
        print(f"{name}: reading", file=sys.stderr)
        pools[name] = read_items(name, task, raw_dir)
        splits[name], unused[name] = split_items(name, task, pools[name])
    resolved = resolve(settings.tasks, splits, settings.duplicates)
    files, tasks = {}, {}
    for name, task in settings.tasks.items():
        _check_what_is_left(name, task, pools[name], [*unused[name], *resolved.dropped[name]], resolved.splits[name])
        pool, before_limit = pools[name], resolved.splits[name]
        set_aside = pool.sorted(pool.set_aside + unused[name] + resolved.dropped[name])
        final = {split: limit_items(before_limit[split], getattr(settings.limit, split)) for split in SPLITS}
        contents = {split: _write_split(items) for split, items in final.items()}
        files |= {f"{name}/{split}.jsonl": content for split, content in contents.items()}
        files[f"{name}/set_aside.csv"] = _set_aside_table(set_aside)
        tasks[name] = _task_summary(task, pool, set_aside, before_limit, final, resolved.counts[name])
        for split, content in contents.items():
            tasks[name]["splits"][split]["sha256"] = hashlib.sha256(content).hexdigest()
    return files, {
        "tasks": tasks,
        "duplicates_across_tasks": resolved.across_tasks.normalized,
        "duplicates_across_tasks_exact": resolved.across_tasks.exact,
        "limit": settings.limit.model_dump(),
    }


def _write_split(items: list[Item]) -> bytes:
    """Write a split; groups are numbered within it, so that test items are the same bytes in every fold and limit."""
    numbers = group_numbers(items)
    return "".join(write_line(item, numbers) for item in items).encode()


def write_splits(output, files: dict[str, bytes], summary: dict) -> None:
    """Write the files of `make_splits` below the folder `output`; last the summary, which vouches for all of them."""
    output = Path(output)
    for name, content in files.items():
        with atomic(output / name) as temporary:
            temporary.write_bytes(content)
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    write_sealed(output / "summary.json", summary | {"files": checksums})


def log_lines(summary: dict) -> list[str]:
    """Describe each task's splits in a line, with the reasons why rows were set aside."""
    lines = []
    for name, task in summary["tasks"].items():
        counts = ", ".join(f"{split} {task['splits'][split]['items']}" for split in SPLITS)
        reasons = ", ".join(f"{reason} {count}" for reason, count in task["set_aside"].items())
        set_aside = f"{sum(task['set_aside'].values())} set aside{f' ({reasons})' if reasons else ''}"
        lines.append(f"{name}: {task['rows']} rows, {set_aside}; {counts}")
    return lines


def _check_what_is_left(name: str, task: Task, pool: Pool, dropped: list[SetAside], splits: Splits) -> None:
    """Refuse a split or a label that dropping duplicates, or the split's rule, has emptied."""
    reasons = {(row.file, row.row): Problem(row.reason) for row in dropped}
    losses = Losses()
    for item in pool.items:
        if problem := reasons.get((item.file, item.row)):
            losses.add(item, problem)
    check_splits(name, splits, Counter(reasons.values()))
    check_labels(name, task, [item for items in splits.values() for item in items], losses)


def _task_summary(
    task: Task,
    pool: Pool,
    set_aside: list[SetAside],
    before_limit: Splits,
    final: Splits,
    repeats: dict[str, RepeatCounts],
) -> dict:
    """Summarize one task for ``summary.json``."""
    source = task.sources[task.source]
    return {
        "source": task.source,
        "licence": source.licence and redact_text(source.licence),
        "redistribute": source.redistribute,
        "files": pool.files,
        "rows": pool.rows,
        "set_aside": dict(sorted(Counter(row.reason for row in set_aside).items())),
        "split": task.split,
        "splits": {split: _split_counts(task, final[split], len(before_limit[split])) for split in SPLITS},
        "duplicates": {
            **{rule: counts.normalized for rule, counts in repeats.items()},
            **{f"{rule}_exact": counts.exact for rule, counts in repeats.items()},
        },
        "groups_across_splits": count_groups_across(before_limit) if task.group else None,
    }


def _split_counts(task: Task, items: list[Item], items_before_limit: int) -> dict:
    labels = Counter(word for item in items for word in (item.labels if item.labels is not None else [item.label]))
    return {
        "items": len(items),
        "labels": {word: labels[word] for word in task.words},
        "items_before_limit": items_before_limit,
    }


def _set_aside_table(rows: list[SetAside]) -> bytes:
    """Write ``set_aside.csv``."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(SetAside._fields)
    table.writerows([inert(cell) for cell in row] for row in rows)
    return text.getvalue().encode(errors="backslashreplace")
