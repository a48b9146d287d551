"""Tables of the documents, drawn from the records of benchmarks.

python -m benchmarks.tables            # write them into the documents
python -m benchmarks.tables --check    # exit code 1 if a document differs from the records

A table stands between ``<!-- benchmark: NAME -->`` and ``<!-- benchmark end -->``; what is not recorded is called "not
measured".
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import goals, study_model
from benchmarks.matrix_rate import training_shares
from benchmarks.measure import ROOT, Figures, median
from benchmarks.records import read_records
from stagewise.provenance.files import atomic

PAGES = ("docs/running/speed.md", "docs/running/scale.md", "docs/reference/remedies.md", "README.md")
MARKED = re.compile(r"(<!-- benchmark: ([\w-]+) -->\n).*?(<!-- benchmark end -->)", re.DOTALL)

LEVERS = "python -m benchmarks.levers --model models/smollm2-135m-instruct"

Records = dict[str, dict]
"""Records of a part by machine."""
Rows = list[list[str]]


def markdown(head: list[str], rows: Rows) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def caption(record: dict) -> str:
    """A sentence on where and when a record was measured."""
    machine = record["machine"]
    names = [machine["cpu"], *([machine["gpu"]["name"]] if machine["gpu"] else [])]
    flags = f" ({', '.join(machine['flags'])})" if machine["flags"] else ""
    changed = ", with changes of its own" if record["uncommitted_changes"] else ""
    return (
        f"{' and '.join(names)}{flags}, {machine['cores']} cores, {machine['memory_gb']} GB, {record['date']}, "
        f"commit {record['commit'][:9]}{changed}."
    )


def of_each_machine(part: str, draw: Callable[[dict], str]) -> Callable[[dict[str, Records]], str]:
    """Table of a part: one of each machine's record, below its caption."""

    def table(records: dict[str, Records]) -> str:
        blocks = [f"{caption(record)}\n\n{draw(record)}" for record in records.get(part, {}).values()]
        return "\n\n".join(blocks) or f"Not measured yet (`{command(part)}`)."

    return table


def command(part: str) -> str:
    """Command that measures a part."""
    commands = {"gpu": "make bench-gpu", "planning": "python -m benchmarks.growth", "levers": LEVERS}
    commands["remedy-effects"] = "python -m benchmarks.remedy_effects"
    return commands.get(part, f"python -m benchmarks.run {part}")


def seconds(values: list[float]) -> str:
    """Seconds of every run, in the order of measurement."""
    return ", ".join(f"{value:.1f}" for value in values)


def sides(record: dict) -> str:
    """Costs of programs that took turns: every run, and the ratio of medians to the first program."""
    rows = []
    for side, runs in record["runs"].items():
        ratios = record["ratios"].get(side)
        wall, cpu = (
            f"{ratios[figure]:.2f} ×" if ratios and figure in ratios else "1 ×" if ratios is None else ""
            for figure in ("wall_seconds", "cpu_seconds")
        )
        row = [side, seconds([run["wall_seconds"] for run in runs]), wall]
        row += [seconds([run["cpu_seconds"] for run in runs]), cpu, f"{median(runs, 'peak_mb'):,.0f} MB"]
        rows.append([*row, *further(runs, ratios)])
    first = next(iter(record["runs"].values()))
    return markdown(["program", "wall, s", "ratio", "CPU, s", "ratio", "memory", *further_head(first)], rows)


def further_head(runs: list[Figures]) -> list[str]:
    """Columns beyond the costs: of trainings their speed and losses, of scoring the accuracy."""
    return ["accuracy"] if "accuracy" in runs[0] else ["training steps, tokens/s", "ratio", "last validation loss"]


def further(runs: list[Figures], ratios: dict | None) -> list[str]:
    """Cells of those columns."""
    if "accuracy" in runs[0]:
        return [f"{runs[0]['accuracy']:.4f}"]
    loss = f"{runs[0]['validation_losses'][-1]:.5f}" if runs[0]["validation_losses"] else ""
    speed = f"{ratios['tokens_per_second']:.2f} ×" if ratios else "1 ×"
    return [f"{median(runs, 'tokens_per_second'):,.0f}", speed, loss]


def default_run(record: dict) -> str:
    """Jobs of the default run by rule, and the share of imports."""
    rows = []
    for rule, jobs in sorted(record["jobs"].items(), key=lambda entry: -sum(job["wall_seconds"] for job in entry[1])):
        spent = [job["wall_seconds"] for job in jobs]
        rows.append([rule, str(len(jobs)), seconds(spent), f"{sum(spent):.1f}"])
    cost, imports = record["run"], record["import_cpu_seconds"]
    text = f"The run took {cost['wall_seconds']:.0f} s of wall and {cost['cpu_seconds']:.0f} s of CPU time"
    text += f", {imports:.0f} s of it ({imports / cost['cpu_seconds']:.0%}) imports of processes that load a model; "
    text += f"the largest training took {record['training_peak_mb']:,} MB."
    return markdown(["rule", "jobs", "wall seconds of each job", "sum"], rows) + f"\n\n{text}"


def startup(record: dict) -> str:
    """CPU and wall time of every start."""
    entries = {f"`python -m scripts.{step} --help`": costs for step, costs in record["help"].items()}
    entries |= {f"imports of `{step}` at work": costs for step, costs in record["imports"].items()}
    entries["`snakemake -n`"] = record["dry_run"]
    rows = [[name, f"{c['cpu_seconds']:.2f} s", f"{c['wall_seconds']:.2f} s"] for name, c in entries.items()]
    trivial = record["trivial_job"]
    cpu, wall = trivial["cpu_ms"], trivial["wall_ms"]
    text = f"A job that does nothing costs Snakemake {cpu:.0f} ms of CPU and {wall:.0f} ms of wall time."
    return markdown(["start", "CPU", "wall"], rows) + f"\n\n{text}"


def planning(record: dict) -> str:
    """Dry runs by the number of adapters."""
    head = ["adapters", "jobs", "our plan", "nothing made: CPU", "wall", "memory", "all there: CPU", "wall", "memory"]
    rows = []
    for size, costs in record["planning"].items():
        cells = [f"{int(size):,}", f"{costs['jobs']:,}", f"{costs['plan_cpu_seconds']:.2f} s"]
        for run in (costs["nothing_made"], costs["all_there"]):
            cells += [f"{run['cpu_seconds']:.1f} s", f"{run['wall_seconds']:.1f} s", f"{run['peak_mb']:.0f} MB"]
        rows.append(cells)
    return markdown(head, rows)


def growth(record: dict) -> str:
    """Metrics and report by items, arms and seeds, scoring by tokens, planning by adapters."""
    head = ["test items × arms × seeds", "metrics, CPU", "memory", "size", "report, CPU", "memory", "size"]
    rows = [
        [f"{row['items']} × {row['arms']} × {row['seeds']}"]
        + [
            cell
            for step in ("metrics", "report")
            for cell in (f"{row[step]['cpu_seconds']:.1f} s", f"{row[step]['peak_mb']} MB", f"{row[f'{step}_kb']} kB")
        ]
        for row in record["results"]
    ]
    tokens = [
        [f"{row['tokens_per_item']}", f"{row['seconds']:.1f} s", f"{row['cpu_seconds']:.1f} s", f"{row['peak_mb']} MB"]
        for row in record["tokens"]
    ]
    scoring = markdown(["tokens an item (16 items)", "scoring, wall", "whole process, CPU", "memory"], tokens)
    return f"{markdown(head, rows)}\n\n{scoring}\n\n{planning(record)}"


def matrix_rate(records: dict[str, Records]) -> str:
    """Rates of the machine, and the share of the float32 rate that training steps reach on the same machine."""

    def draw(record: dict) -> str:
        rows = [[name, *(f"{rate:.0f} GFLOP/s" for rate in rates.values())] for name, rates in record["gflops"].items()]
        threads = next(iter(record["gflops"].values()))
        text = markdown(["type", *(f"threads: {count}" for count in threads)], rows)
        training = next((r for r in records.get("training", {}).values() if r["machine"] == record["machine"]), None)
        return text + (f"\n\n{training_share(record, training)}" if training else "")

    return of_each_machine("matrix-rate", draw)(records)


def training_share(rate: dict, training: dict) -> str:
    """Sentence on the share of the float32 rate that the steps of each program make use of."""
    shares = training_shares(rate, training)
    threads = training["settings"]["threads"]
    if not shares:
        return f"Training was measured with {threads} threads, the rate was not."
    texts = [f"{side} {share:.0%}" for side, share in shares.items()]
    return f"Share of the float32 rate with {threads} threads that training steps make use of: {'; '.join(texts)}."


def levers(record: dict) -> str:
    """Levers on a training step, each as a ratio to a step without it."""
    rows = []
    for name, figures in record["levers"].items():
        ratios = "" if figures["ratio"] is None else f"{figures['ratio']:.2f} × {figures['to']}"
        speeds = [f"{figures[figure]:.0f}" for figure in ("tokens_per_cpu_second", "tokens_per_second")]
        rows.append([name, *speeds, ratios, figures["note"]])
    return markdown(["step", "tokens per CPU second", "tokens/s", "ratio", "what it is"], rows)


def gpu(record: dict) -> str:
    """Speed, share of the measured rate and memory of every case."""
    head = ["case", "tokens/s", "share of the bfloat16 rate", "memory", "note"]
    rows = []
    for case in record["cases"]:
        cells = ["not measured", "", ""]
        if "tokens_per_second" in case:
            cells = [f"{case['tokens_per_second']:,.0f}", f"{case['share']:.0%}", f"{case['peak_gib']:.1f} GiB"]
        rows.append([case["name"], *cells, case["note"]])
    return f"Rate of bfloat16 products: {record['tflops']:.0f} TFLOP/s.\n\n{markdown(head, rows)}"


def remedy_effects(record: dict) -> str:
    """Effects of remedies on two contradicting tasks, and on a rare label."""
    first, plain, rare = (record[name] for name in ("first", "sequential", "rare_label"))
    count, confidence = record["settings"]["seeds"], record["settings"]["confidence"]
    text = f"Changes have {confidence:.0%} t intervals over {count} pairs of runs, one of each seed. Before the second "
    text += f"stage the first task stands at {first['kept']:.2f}. Without a remedy it is at {plain['kept']:.2f} after "
    text += f"the stage and the second task at {plain['learnt']:.2f}; the stage takes {plain['cpu_seconds']:.2f} s."
    rare_text = f"Without `balanced` the rare label stands at {rare['kept']:.2f}, the others at {rare['learnt']:.2f}."
    cases = record["cases"].items()
    tables = [
        markdown(
            ["remedy", "settings", *figures, *(f"change: {figure}" for figure in (*figures, "mean")), "CPU, s"],
            [_effect_row(name, case) for name, case in cases if case["rare_label"] == is_rare],
        )
        for is_rare, figures in ((False, ("first task", "second task")), (True, ("rare label", "other labels")))
    ]
    reasons = {name: case["reason"] for name, case in cases if case["reason"]}
    notes = [f"`{name}` is no clear gain for both tasks together: {reason}." for name, reason in reasons.items()]
    return "\n\n".join([text, tables[0], *notes, rare_text, tables[1]])


def _effect_row(name: str, case: dict) -> list[str]:
    settings = {
        key: value for remedy in (*case["remedies"].values(), case["training"]) for key, value in remedy.items()
    }
    changes = [
        "{:+.2f} [{:+.2f}, {:+.2f}]".format(*(round(value, 2) + 0.0 for value in case["effects"][figure]))  # no -0.00
        for figure in ("kept", "learnt", "both")
    ]
    figures = [f"{case[figure]:.2f}" for figure in ("kept", "learnt")]
    shown = [f"{key} {value}" for key, value in settings.items()] or ["defaults"]
    shown += ["first stage on texts too"] if case["writes_texts"] else []
    return [name, ", ".join(shown), *figures, *changes, f"{case['cpu_seconds']:.2f}"]


TABLES: dict[str, Callable[[dict[str, Records]], str]] = {
    "goals": lambda records: markdown(["work, two cores", "goal", "reached"], goals.rows(records)),
    "training": of_each_machine("training", sides),
    "training-real": of_each_machine("training-real", sides),
    "scoring": of_each_machine("scoring", sides),
    "scoring-real": of_each_machine("scoring-real", sides),
    "default-run": of_each_machine("default-run", default_run),
    "startup": of_each_machine("startup", startup),
    "growth": of_each_machine("growth", growth),
    "planning": of_each_machine("planning", planning),
    "matrix-rate": matrix_rate,
    "levers": of_each_machine("levers", levers),
    "gpu": of_each_machine("gpu", gpu),
    "remedy-effects": of_each_machine("remedy-effects", remedy_effects),
    "study": lambda records: study_model.table(),
}


def drawn(page: str, records: dict[str, Records]) -> str:
    """Draw every marked table of a page anew."""

    def replace(match: re.Match) -> str:
        return f"{match[1]}\n{TABLES[match[2]](records)}\n\n{match[3]}"

    return MARKED.sub(replace, page)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a document would change")
    args = parser.parse_args(argv)
    records, changed = read_records(), []
    for name in PAGES:
        path: Path = ROOT / name
        text = path.read_text(encoding="utf-8")
        if (new := drawn(text, records)) == text:
            continue
        changed.append(name)
        if not args.check:
            with atomic(path) as temporary:
                temporary.write_text(new, encoding="utf-8")
    for name in changed:
        print(f"{name}: {'differs from the records; run python -m benchmarks.tables' if args.check else 'drawn anew'}")
    return int(args.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
