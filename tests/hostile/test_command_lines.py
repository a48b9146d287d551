"""Command lines of every script that cannot be meant: files that are missing or no data, values out of range."""

import importlib
import json
from pathlib import Path

import pytest

from tests.helpers.refusals import check_refused_command

DIGEST = "0" * 64
# Bad files by name: bytes, or None for a folder; `gone` is not there at all.
BAD_FILES = {
    "folder.json": None,
    "cut.json": b'{"a": ',
    "list.json": b"[1]",
    "binary.json": b"\xff\xfe\x00",
    "endless.json": b'{"a": ' + b"9" * 5000 + b"}",
    "deep.json": b"[" * 5_000,
    "empty.json": b"",
    "gone.json": ...,
}
# Arguments of each script that reads a file; {file} is the bad one, and {out} a path in the folder of outputs.
READING = {
    "make_splits": "--settings {file} --output {out}",
    "fetch_model": "--settings {file} --output {out}",
    "write_recipe": "--settings config.yaml --lineage base/seed-0/pubmedqa --model {model} --data {data} --output {out}"
    " --parents {file}",
    "train_adapter": "--recipe {file} --model {model} --data {data} --checkpoints {out} --output {out}",
    "merge_adapters": "--recipe {file} --model {model} --data {data} --parents {out} --checkpoints {out}"
    " --output {out}",
    "predict": "--settings {file} --model {model} --data {data} --output {out}",
    "probe": "--settings {file} --model {model} --output {out}",
    "fetch_harness": "--settings {file}",
    "metrics": "--settings {file} --results {data} --output {out}",
    "report": "--metrics {file} --results {data} --html {out} --markdown {out}",
    "explain": "{file} {file}",
    "design": "--configfile {file} --picture {out}",
    "write_dvc": "--overlays {file} --output {out}",
    "infer": "--settings {file} --task toy --model {model} --item {{}}",
}
SAYS = {
    "folder.json": r"folder\.json: .*(Is a directory|no finished result)",
    "cut.json": r"cut\.json: .*not valid (JSON|YAML) \(",
    "list.json": r"list\.json: .*(is not an object with keys|a mapping of settings, not a list|does not match)",
    "binary.json": r"binary\.json: .*(not valid JSON|this is UTF-16 text)",
    "endless.json": r"endless\.json: .*(a number has thousands of digits|no date or number)",
    "deep.json": r"deep\.json: .*nested too deeply",
    "empty.json": r"empty\.json: .*(not valid JSON|is required but missing)",
    "gone.json": r"gone\.json: .*(missing|no such|no finished result)",
}


@pytest.mark.parametrize(
    ("script", "name"),
    # An empty overlay changes nothing.
    [
        (s, n)
        for s in READING
        for n in BAD_FILES
        if (s, n) not in {("design", "empty.json"), ("write_dvc", "empty.json")}
    ],
)
def test_file(tmp_path, capsys, monkeypatch, tiny_model, toy_data, script, name):
    if script == "write_dvc":  # reads overlays of the project alone
        (tmp_path / "config.yaml").write_bytes(Path("config.yaml").read_bytes())
        monkeypatch.chdir(tmp_path)
    file = tmp_path / name
    if BAD_FILES[name] is None:
        file.mkdir()
    elif BAD_FILES[name] is not ...:
        file.write_bytes(BAD_FILES[name])
    arguments = READING[script].format(file=file, out=tmp_path / "out", model=tiny_model, data=toy_data).split()
    main = importlib.import_module(f"scripts.{script}").main
    check_refused_command(main, arguments, capsys, tmp_path, SAYS[name])


# name: (script, arguments, what the sentence says)
ARGUMENTS = {
    "no arguments": ("make_splits", "", "the following arguments are required: --settings, --output"),
    "unknown argument": ("design", "--picture {out} --wat", "unrecognized arguments: --wat"),
    "settings that are no JSON": ("make_splits", "--settings {{ --output {out}", r"--settings: not valid JSON"),
    "unknown setting": (
        "make_splits",
        '--settings {{"task":{{}}}} --output {out}',
        r"'task' is not a setting; did you mean 'tasks'",
    ),
    "no lineage": (
        "write_recipe",
        "--settings config.yaml --lineage base --model m --data d --output {out}",
        "--lineage 'base' is not one of",
    ),
    "no model of that name": (
        "fetch_model",
        "--settings config.yaml --name gpt --output {out}",
        "--name 'gpt' is not one of models",
    ),
    "no such adapter": (
        "predict",
        "--settings config.yaml --model {model} --adapter {out} --data {data} --output {out}",
        "out: no adapter here",
    ),
    "a file as output": (
        "make_splits",
        "--settings config.yaml --output {file}",
        r"file/pubmedqa: Not a directory; name another folder",
    ),
    "a folder as output": ("write_dvc", "--output {folder}", r"folder: Is a directory; name a file"),
    "no splits": (
        "write_recipe",
        "--settings config.yaml --lineage base/seed-0/pubmedqa --model {model} --data {out} --output {out}",
        r"out/pubmedqa/train\.jsonl: the split is missing",
    ),
    "no recipe's parents": (
        "train_adapter",
        "--recipe {recipe} --model {model} --data {data} --parent {out} --checkpoints {out} --output {out}",
        "made from 0 parent adapters, but 1 are given",
    ),
    "no log steps": (
        "train_adapter",
        "--recipe {recipe} --model {model} --data {data} --checkpoints {out} --output {out} --log-steps 0",
        "argument --log-steps: '0' is no whole number of 1 or more",
    ),
    "negative tokens": (
        "train_adapter",
        "--recipe {recipe} --model {model} --data {data} --checkpoints {out} --output {out} --tokens-per-batch -1",
        "argument --tokens-per-batch: '-1' is no whole number of 1 or more",
    ),
    "no processes": (
        "train_adapter",
        "--recipe {recipe} --model {model} --data {data} --checkpoints {out} --output {out} --processes 0",
        "--processes must be at least 1",
    ),
    "noise that is no number": (
        "design",
        "--noise abc --picture {out}",
        "argument --noise: 'abc' is no number of points",
    ),
    "noise beyond all points": (
        "design",
        "--noise 1e400 --picture {out}",
        "'1e400' is no number of points from 0 to 100",
    ),
    "no effect": ("design", "--effect nan --picture {out}", "'nan' is no number of points"),
    "more than all": ("design", "--accuracy 101 --picture {out}", "'101' is no percentage between 0 and 100"),
    "one item": ("design", "--items pubmedqa=1 --picture {out}", "is not TASK=NUMBER with 2 to 999999999 items"),
    "items without end": ("design", f"--items pubmedqa={'9' * 5000} --picture {{out}}", "is not TASK=NUMBER"),
    "items in superscript": ("design", "--items pubmedqa=\u00b2 --picture {out}", "is not TASK=NUMBER"),
    "items of no task": (
        "design",
        "--items gone=10 --picture {out}",
        "--items: 'gone' is no task of an arm or probe",
    ),
    "no checksum": ("fetch_data", "--url x --sha256 zz --output {out}", "--sha256: 'zz' is not a SHA-256"),
    "no mirror": (
        "fetch_data",
        f"--url http://127.0.0.1:9/x --sha256 {DIGEST} --mirror {{out}} --output {{out}}",
        "the mirror is not a folder",
    ),
    "no server": (
        "fetch_data",
        f"--url http://127.0.0.1:9/x --sha256 {DIGEST} --output {{out}}",
        "the server could not be reached",
    ),
    "an address that is none": (
        "fetch_data",
        f"--url http://[ --sha256 {DIGEST} --output {{out}}",
        "command line: 'url': this is no address",
    ),
    "fetch into a folder": (
        "fetch_data",
        f"--url http://x.example/x --sha256 {DIGEST} --output {{folder}}",
        "this is a folder",
    ),
    "a question that is no JSON": ("infer", "--task pubmedqa --model {model} --item {{", "--item: not valid JSON"),
    "a question that is a list": ("infer", "--task pubmedqa --model {model} --item []", "an item is a JSON object"),
    "a question without end": (
        "infer",
        f'--task pubmedqa --model {{model}} --item {{{{"a":{"9" * 5000}}}}}',
        "--item: not valid JSON .a number has thousands of digits",
    ),
    "a question too deep": (
        "infer",
        f"--task pubmedqa --model {{model}} --item {'[' * 100_000}",
        "--item: not valid JSON .nested",
    ),
    "half a question": (
        "infer",
        "--task pubmedqa --model {model} --field question=a",
        "the field 'context' is missing",
    ),
    "a field without a value": ("infer", "--task pubmedqa --model {model} --field question", "write NAME=TEXT"),
    "a field twice": ("infer", "--task pubmedqa --model {model} --field question=a --field question=b", "given twice"),
    "an unknown field": ("infer", "--task pubmedqa --model {model} --field a=b", "'a' is not a field of pubmedqa"),
    "no question": (
        "infer",
        "--task pubmedqa --model {model}",
        "one of the arguments --item --field --input is required",
    ),
    "no file of questions": (
        "infer",
        "--task pubmedqa --model {model} --input {out}",
        "out: No such file or directory",
    ),
    "a folder of questions": ("infer", "--task pubmedqa --model {model} --input {folder}", "folder: Is a directory"),
    "an unknown task": ("infer", "--task gone --model {model} --item {{}}", "--task 'gone' is not one of"),
    "no tokens": (
        "infer",
        "--task pubmedqa --model {model} --field question=a --field context=b --tokens-per-batch 0",
        "'0' is no whole number of 1 or more",
    ),
    "nothing to compare": ("explain", "{out} {out}", "out: no finished result"),
    "no project": ("write_schemas", "--root {folder}", "not the top of the project"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(tmp_path, capsys, tiny_model, toy_data, toy_recipe, case):
    script, arguments, says = ARGUMENTS[case]
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    paths = {name: tmp_path / name for name in ("out", "file", "folder")}
    paths |= {"model": tiny_model, "data": toy_data, "recipe": toy_recipe / "recipe.json"}
    main = importlib.import_module(f"scripts.{script}").main
    check_refused_command(main, arguments.format(**paths).split(), capsys, tmp_path, says)


# name: (file's name, its content, what the sentence says)
QUESTIONS = {
    "empty": ("q.csv", b"", "no items in this file"),
    "header alone": ("q.csv", b"question,context\n", "no items in this file"),
    "another encoding": ("q.csv", b"question,context\n\xff,b\n", "not UTF-8 text"),
    "field missing": ("q.csv", b"question,context\na\n", r"item 1 \(line 2\) has 1 fields but the header has 2"),
    "field too many": ("q.csv", b"question,context\na,b,c\n", r"item 1 \(line 2\) has 3 fields"),
    "empty field": ("q.csv", b"question,context\na,\n", "item 1: the field 'context' holds no text"),
    "quote never closed": ("q.csv", b'question,context\n"a,b\n', "not readable as CSV near line 2"),
    "column twice": ("q.csv", b"question,question\na,b\n", "the column 'question' is there twice"),
    "no JSON": ("q.jsonl", b"{\n", "line 1: not valid JSON"),
    "a list": ("q.jsonl", b"[1]\n", "line 1: an item is a JSON object"),
    "a number without end": ("q.jsonl", b'{"question":' + b"9" * 5000 + b"}\n", "line 1: not valid JSON .a number has"),
    "too deep": ("q.jsonl", b"[" * 100_000, "line 1: not valid JSON .nested too deeply"),
    "a number as text": ("q.jsonl", json.dumps({"question": 1}).encode(), "item 1: the field"),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_questions(tmp_path, capsys, tiny_model, case):
    from scripts import infer

    name, content, says = QUESTIONS[case]
    (tmp_path / name).write_bytes(content)
    arguments = ["--task", "pubmedqa", "--model", tiny_model, "--input", tmp_path / name, "--output", tmp_path / "out"]
    check_refused_command(infer.main, arguments, capsys, tmp_path, f"{name}: {says}")
