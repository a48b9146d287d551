"""Tables of the documents: drawn from the records, and the documents show them as they are."""

import pytest

from benchmarks import goals, scoring, tables, training
from benchmarks.matrix_rate import EMBEDDED, stage_flops
from benchmarks.records import read_records
from tests.helpers.project_copy import ROOT

MACHINE = {"cpu": "AMD EPYC", "flags": ["avx512f"], "cores": 2, "memory_gb": 25, "gpu": None}
BASE = {"machine": MACHINE, "date": "2026-11-26", "commit": "0123456789" * 4, "uncommitted_changes": False}
BASE |= {"settings": {"threads": 2}}


def costs(seconds: float, **more) -> dict:
    return {"wall_seconds": seconds, "cpu_seconds": 2 * seconds, "peak_mb": 1500, **more}


def training_record() -> dict:
    more = {"tokens_per_second": 600.0, "tokens": 96 * 4 * 82, "steps": 96, "validation_losses": [0.5, 0.17165]}
    runs = {training.PRODUCT: [costs(20, **more), costs(22, **more)]}
    runs[training.SCRIPT] = [costs(60, **more | {"tokens_per_second": 200.0}), costs(66.3, **more)]
    return BASE | {"runs": runs, "ratios": training.compare(runs)}


def rate_record() -> dict:
    return BASE | {"shape": vars(EMBEDDED), "gflops": {"float32": {"1": 150.0, "2": 300.0}}}


def run_record() -> dict:
    jobs = {"predict": [{"job": "results/base/predict", "wall_seconds": 4.5}]}
    jobs["train_adapter"] = [{"job": "a", "wall_seconds": 30.0}, {"job": "b", "wall_seconds": 31.25}]
    cost = {"wall_seconds": 171.0, "cpu_seconds": 300.0}
    return BASE | {"run": cost, "jobs": jobs, "import_cpu_seconds": 30.0, "training_peak_mb": 1900}


@pytest.mark.parametrize("page", tables.PAGES)
def test_the_documents_show_the_records_as_they_are(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert tables.drawn(text, read_records()) == text, "python -m benchmarks.tables draws the tables anew"


def test_every_table_is_in_a_document():
    marked = {match[2] for page in tables.PAGES for match in tables.MARKED.finditer((ROOT / page).read_text("utf-8"))}
    assert marked == set(tables.TABLES)


def test_a_table_is_drawn_between_its_marks_alone():
    page = "Before.\n<!-- benchmark: default-run -->\nold\n<!-- benchmark end -->\nAfter.\n"
    new = tables.drawn(page, {"default-run": {"m": run_record()}})
    assert new.startswith("Before.\n<!-- benchmark: default-run -->\n\nAMD EPYC (avx512f), 2 cores, 25 GB, 2026-11-26")
    assert new.endswith("\n\n<!-- benchmark end -->\nAfter.\n") and "old" not in new
    assert tables.drawn(new, {"default-run": {"m": run_record()}}) == new
    assert "Not measured yet (`python -m benchmarks.run default-run`)." in tables.drawn(new, {})


def test_programs_are_listed_with_every_run_and_the_ratio_of_medians():
    lines = tables.TABLES["training"]({"training": {"m": training_record()}}).splitlines()
    assert "| stagewise | 20.0, 22.0 | 1 × | 40.0, 44.0 | 1 × | 1,500 MB | 600 | 1 × | 0.17165 |" in lines
    assert any(line.startswith("| TRL script, float32 | 60.0, 66.3 | 3.01 × |") for line in lines)


def test_jobs_of_the_default_run_are_listed_by_rule_the_longest_first():
    text = tables.default_run(run_record())
    assert text.splitlines()[2] == "| train_adapter | 2 | 30.0, 31.2 | 61.2 |"
    assert "171 s of wall and 300 s of CPU time, 30 s of it (10%) imports" in text


def test_the_share_of_the_machine_s_rate_is_that_of_the_same_machine_and_threads():
    records = {"matrix-rate": {"m": rate_record()}, "training": {"m": training_record()}}
    share = 600 * stage_flops(EMBEDDED, {"tokens": 96 * 4 * 82, "steps": 96}) / 300e9
    assert f"stagewise {share:.0%}" in tables.matrix_rate(records)
    other = training_record() | {"machine": MACHINE | {"cores": 8}}
    assert "Share" not in tables.matrix_rate(records | {"training": {"m": other}})
    other = training_record() | {"settings": {"threads": 3}}
    assert "with 3 threads, the rate was not" in tables.matrix_rate(records | {"training": {"m": other}})


def test_a_goal_that_is_missed_says_so():
    records = {"training": {"m": training_record()}, "default-run": {"m": run_record()}}
    reached = {work: cell for work, _, cell in goals.rows(records)}
    assert reached["default run, installed, idle"] == "2.9 min, AMD EPYC"
    assert reached["memory of the default training"] == "1.9 GB (missed), AMD EPYC"
    assert [cell for work, cell in reached.items() if "plain TRL script" in work] == ["3.0 ×, AMD EPYC"]
    # Without the machine's rate its share is not known.
    assert reached["share of the measured float32 matrix rate, training steps"] == goals.NOT_MEASURED
    shares = dict(records) | {"matrix-rate": {"m": rate_record()}}
    assert (
        "%, AMD EPYC"
        in {work: cell for work, _, cell in goals.rows(shares)}[
            "share of the measured float32 matrix rate, training steps"
        ]
    )


def test_scorings_are_listed_with_their_accuracy():
    runs = {scoring.COLD: [costs(10, accuracy=0.8375)], scoring.LM_EVAL: [costs(25, accuracy=0.8375)]}
    ratios = {scoring.LM_EVAL: {"wall_seconds": 2.5, "cpu_seconds": 2.5, "peak_mb": 1.0}}
    record = BASE | {"runs": runs, "ratios": ratios}
    assert "| lm-eval, first tokens | 25.0 | 2.50 × | 50.0 | 2.50 × | 1,500 MB | 0.8375 |" in tables.sides(record)
    assert goals.rows({"scoring": {"m": record}})[3][2] == "2.5 ×, AMD EPYC"


def test_a_gpu_case_that_failed_is_not_measured():
    case = {"name": "llama-1b, NF4, micro-batch 4", "note": ""}
    measured = case | {"tokens_per_second": 12345.6, "share": 0.31, "peak_gib": 12.34}
    text = tables.gpu({"tflops": 612.4, "cases": [measured, case | {"note": "out of memory"}]})
    assert "Rate of bfloat16 products: 612 TFLOP/s." in text
    assert "| llama-1b, NF4, micro-batch 4 | 12,346 | 31% | 12.3 GiB |  |" in text
    assert "| llama-1b, NF4, micro-batch 4 | not measured |  |  | out of memory |" in text


def test_growth_and_start_up_have_a_row_each():
    run = {"wall_seconds": 9.0, "cpu_seconds": 2.5, "peak_mb": 219}
    planning = {"10": {"jobs": 37, "plan_cpu_seconds": 0.016, "nothing_made": run, "all_there": run}}
    results = [
        {"items": 200, "arms": 2, "seeds": 1, "metrics": run, "report": run, "metrics_kb": 197, "report_kb": 513}
    ]
    tokens = [{"tokens_per_item": 80, "seconds": 2.0, **run}]
    text = tables.growth({"planning": planning, "results": results, "tokens": tokens})
    assert "| 10 | 37 | 0.02 s | 2.5 s | 9.0 s | 219 MB | 2.5 s | 9.0 s | 219 MB |" in text
    assert "| 200 × 2 × 1 | 2.5 s | 219 MB | 197 kB | 2.5 s | 219 MB | 513 kB |" in text
    start = {"help": {"predict": run}, "imports": {"predict": run}, "dry_run": run}
    text = tables.startup(start | {"trivial_job": {"cpu_ms": 9.2, "wall_ms": 17.1}})
    assert "| `python -m scripts.predict --help` | 2.50 s | 9.00 s |" in text and "9 ms of CPU and 17 ms" in text
