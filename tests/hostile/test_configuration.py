"""Configuration that nobody can have meant, read as the Snakefile reads it: one sentence with file, key and way out."""

import copy
import os
import re

import pytest
import yaml

from stagewise.config.load_config import load
from stagewise.config.yaml_files import MAX_BYTES, read_yaml
from stagewise.errors import exit_on_input_error
from stagewise.lineage import lineage_tree
from tests.helpers.project_copy import ROOT
from tests.helpers.refusals import check_refused_command

CONFIG = ROOT / "config.yaml"
DEFAULT = read_yaml(CONFIG)


@exit_on_input_error
def read_experiment(argv) -> int:
    """Do what rules/common.smk does: files first, then what ``--config`` says."""
    files = [argument for argument in argv if "=" not in argument]
    lineage_tree(load(*files, arguments=[argument for argument in argv if "=" in argument]))
    return 0


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

# name: (bytes of an overlay, what the sentence says)
FILES = {
    "latin-1": ("experiment: café\n".encode("latin-1"), r"line 1 is not UTF-8 text; save .* as UTF-8"),
    "latin-1 in a later line": ("seeds: [0]\n# é\n".encode("latin-1"), r"line 2 is not UTF-8 text"),
    "utf-16": ("seeds: [0]\n".encode("utf-16"), r"this is UTF-16 text; save the configuration as UTF-8"),
    "utf-16 big endian": (b"\xfe\xff" + "seeds: [0]\n".encode("utf-16-be"), r"this is UTF-16 text"),
    "utf-16 without a mark": ("seeds: [0]\n".encode("utf-16-le"), r"line 1 holds a NUL byte; save .* as UTF-8"),
    "utf-32": ("seeds: [0]\n".encode("utf-32-be"), r"holds a NUL byte"),
    "NUL": (b"seeds: [0]\nexperiment: a\0b\n", r"line 2 holds a NUL byte"),
    "control character": (b"experiment: a\x07b\n", r"not valid YAML \(unacceptable character #x0007"),
    "tab": (b"training:\n\tepochs: 1\n", r"line 2 is not valid YAML .*; indent with blanks, not tabs"),
    "open bracket": (b"seeds: [1\n", r"line 2 is not valid YAML"),
    "open quote": (b'experiment: "a\n', r"is not valid YAML"),
    "two colons": (b"experiment: a: b\n", r"line 1 is not valid YAML \(mapping values are not allowed here\)"),
    "two documents": (b"seeds: [0]\n---\nseeds: [1]\n", r"line 2 is not valid YAML \(expected a single document"),
    "a list": (b"- seeds\n", r"a configuration is a mapping of settings, not a list; write 'key: value' lines"),
    "a text": (b"seeds\n", r"mapping of settings, not a text"),
    "a number": (b"1\n", r"mapping of settings, not a number"),
    "truth": (b"yes\n", r"mapping of settings, not true or false"),
    "a list inside itself": (b"seeds: &s [*s]\n", r"line 1: an alias stands inside its own anchor; write out"),
    "a mapping inside itself": (b"arms: &a\n  x: *a\n", r"line 1: an alias stands inside its own anchor"),
    "merged into itself": (b"arms: &a\n  <<: *a\n", r"an alias stands inside its own anchor"),
    "bomb": (BOMB.encode(), r"aliases stand for more than 100000 values"),
    "nested too deeply": (b"seeds: " + b"[" * 5000, r"nested too deeply"),
    "list as key": (b"? [a, b]\n: 1\n", r"line 1: a key is a text, not a list or a mapping"),
    "mapping as key": (b"seeds: [0]\n? {a: b}\n: 1\n", r"line 2: a key is a text"),
    "key twice": (b"seeds: [1]\nseeds: [2]\n", r"line 2: the key 'seeds' is given twice; keep one"),
    "key twice in braces": (b"training: {epochs: 1, epochs: 2}\n", r"'epochs' is given twice"),
    "key twice in two ways": (b"tasks: {1: null, '1': null}\n", r"the key '1' is given twice"),
    "merge of a text": (b"training: {<<: epochs}\n", r"line 1 is not valid YAML \(.*merging"),
    "alias of nothing": (b"seeds: *nowhere\n", r"undefined alias 'nowhere'"),
    "Python object": (b"experiment: !!python/object/apply:os.system [x]\n", r"not valid YAML .*python/object"),
    "Python name": (b"experiment: !!python/name:os.system\n", r"line 1 is not valid YAML"),
    "bytes": (b"experiment: !!binary aGk=\n", r"not valid YAML .*binary"),
    "a set": (b"seeds: !!set {1}\n", r"not valid YAML .*set"),
    "a tag of another program": (b"experiment: !include other.yaml\n", r"not valid YAML .*!include"),
    "octal behind a tag": (b"seeds: [!!int 010]\n", r"'010' does not fit its tag !!int"),
    "truth behind a tag": (b"experiment: !!bool maybe\n", r"'maybe' does not fit its tag !!bool"),
    "an impossible date": (b"experiment: 2020-13-45\n", r"line 1: '2020-13-45' is no date .*; quote it"),
    "a number without end": (b"seeds: [" + b"9" * 5000 + b"]\n", r"line 1: '9+… is no date or number"),
    "a template engine": (b"__use_yte__: true\n", r"'__use_yte__' is not a setting"),
}


@pytest.mark.parametrize("case", FILES)
def test_file(tmp_path, capsys, case):
    content, pattern = FILES[case]
    overlay = tmp_path / "overlay.yaml"
    overlay.write_bytes(content)
    check_refused_command(read_experiment, [CONFIG, overlay], capsys, tmp_path, rf"^error: {overlay}: .*{pattern}")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("gone.yaml", r"gone\.yaml: no such configuration file"),
        ("", r"the configuration cannot be read \(Is a directory\); name a readable file"),
        ("loop.yaml", r"loop\.yaml: the configuration cannot be read"),
        ("large.yaml", r"large\.yaml: larger than 1 MB, so it is no configuration"),
        ("nul\0.yaml", r"nul\\x00\.yaml: the configuration cannot be read \(embedded null byte\)"),
        ("x" * 300, r"cannot be read \(File name too long\)"),
    ],
)
def test_no_readable_file(tmp_path, capsys, name, pattern):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with (tmp_path / "large.yaml").open("wb") as large:
        large.truncate(MAX_BYTES + 1)
    path = os.path.join(tmp_path, name)
    before = sorted(os.listdir(tmp_path))
    check_refused_command(read_experiment, [CONFIG, path], capsys, tmp_path / "nowhere", pattern)
    assert sorted(os.listdir(tmp_path)) == before


def changed(path: str, value) -> dict:
    """The default configuration's sequential arm with one key set (or, for ``...``, removed)."""
    values = copy.deepcopy(DEFAULT)
    values["arms"] = {"sequential": values["arms"]["sequential"]}
    *parents, last = path.split("/")
    inner = values
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
    if value is ...:
        del inner[last]
    else:
        inner[int(last) if isinstance(inner, list) else last] = value
    return values


LABELS = "tasks/pubmedqa/labels"
STAGE = "arms/sequential/stages/0"
# name: (key, value, what the sentence says)
SETTINGS = {
    "unknown key": ("sead", [1], "'sead' is not a setting; did you mean 'seeds'?"),
    "unknown nested key": ("training/epoch", 3, "did you mean 'epochs'?"),
    "unknown key in a task": ("tasks/pubmedqa/lables", [], "did you mean 'labels'?"),
    "unknown key in a union": (
        "tasks/dreaddit/splits/official/sead",
        1,
        "'tasks.dreaddit.splits.official.sead' is not a setting; did you mean 'seed'?",
    ),
    "unknown choice": ("training/loss_on", "answers", "'answer' or 'text'"),
    "unknown quantization": ("quantization", "int4", "quantization"),
    "unquoted yes": (f"{LABELS}/0/value", True, "put it in quotes"),
    "label twice": (f"{LABELS}/1/word", "Yes", "given twice"),
    "one label": (LABELS, [{"value": "a", "word": "a"}], "at least 2"),
    "unknown source": ("tasks/pubmedqa/source", "orginal", "not one of its sources"),
    "unknown split": ("tasks/pubmedqa/split", "offical", "not one of its splits"),
    "split without its file": ("tasks/dreaddit/splits/official/train", "all", "needs a file 'all'"),
    "dataset without split": (
        "tasks/pubmedqa/sources/sample",
        {"files": {"items": {"dataset": "owner/name"}}},
        "a 'dataset' needs 'split', such as train",
    ),
    "path and url": (
        "tasks/pubmedqa/sources/sample/files/items",
        {"path": "a", "url": "b", "sha256": "0" * 64},
        "exactly one of 'path', 'url' and 'dataset'",
    ),
    "short checksum": ("tasks/pubmedqa/sources/original/files/items/sha256", "abc", "sha256"),
    "shares above one": (
        "tasks/pubmedqa/splits/sample",
        {"rule": "random", "train": 0.8, "validation": 0.2, "test": 0.2},
        "above 1",
    ),
    "shorten names no field": ("tasks/pubmedqa/shorten", "contexts", "not one of the fields"),
    "unknown model": ("model", "gpt", "not one of models"),
    "blank in a revision": ("models/llama-3.2-1b-instruct/revision", "a b", "revision"),
    "two model origins": ("models/llama-3.2-1b-instruct/path", "there", "exactly one of"),
    "unknown task in a stage": ("arms/sequential/stages/1/task", "dreadit", "names the task 'dreadit'"),
    "no stages": ("arms/sequential/stages", [], "at least 1"),
    "reserved stage name": (f"{STAGE}/name", "adapter", "reserved"),
    "first stage resumes": (f"{STAGE}/training", {"optimizer_state": "parent"}, "no parent to resume"),
    "seed twice": ("seeds", [1, 1], "given twice"),
    "all arms taken out": ("arms/sequential", None, "arms is empty"),
    "unknown evaluation split": ("evaluation/splits", ["dev"], "evaluation.splits"),
    "missing model": ("model", ..., "'model' is required but missing"),
    "missing group": ("tasks/pubmedqa/label", ..., "'tasks.pubmedqa': 'label' is required but missing"),
    # What is no number, and what no training or statistic has.
    "name of two words": ("experiment", "ten arms", "'experiment': write letters, digits and . _ + - alone"),
    "text for a number": ("training/epochs", "many", "'training.epochs': write a number in plain decimals"),
    "number in quotes": (
        "training/batch_size",
        "8",
        "write a whole number in plain decimals, without quotes (got '8')",
    ),
    "truth for a number": (
        "training/batch_size",
        True,
        "'training.batch_size': input should be a valid integer (got True)",
    ),
    "truth for a share": ("lora/dropout", False, "'lora.dropout': input should be a valid number (got False)"),
    "truth in a list": ("seeds", [0, True], "'seeds[1]': input should be a valid integer (got True)"),
    "half an item": ("training/batch_size", 1.5, "valid integer (got 1.5)"),
    "list for a number": ("training/epochs", [1], "'training.epochs': input should be a valid number (got [1])"),
    "infinite epochs": ("training/epochs", ".inf", "write a number in plain decimals, without quotes (got '.inf')"),
    "no number of epochs": ("training/epochs", ".nan", "(got '.nan')"),
    "endless epochs": ("training/epochs", 1e30, "'training.epochs': input should be less than or equal to 10000"),
    "no epochs": ("training/epochs", 0, "greater than 0"),
    "negative learning rate": ("training/learning_rate", -1, "greater than 0"),
    "endless learning rate": ("training/learning_rate", 1e39, "'training.learning_rate': input should be less than"),
    "endless batch": ("training/batch_size", 10**17, "less than or equal to 65536"),
    "endless accumulation": ("training/gradient_accumulation", 10**17, "less than or equal to 65536"),
    "infinite weight decay": ("training/weight_decay", "-.inf", "(got '-.inf')"),
    "endless rank": ("lora/r", 10**11, "'lora.r': input should be less than or equal to 4096"),
    "zero rank": ("lora/r", 0, "greater than or equal to 1"),
    "endless alpha": ("lora/alpha", 10**11, "'lora.alpha': input should be less than"),
    "zero evaluation interval": ("training/eval_every", 0, "eval_every"),
    "negative seed": ("seeds", [-1], "'seeds[0]': input should be greater than or equal to 0"),
    "seed beyond NumPy": ("seeds", [2**32], "'seeds[0]': input should be less than or equal to 4294967295"),
    "negative seed of statistics": (
        "statistics/seed",
        -1,
        "'statistics.seed': input should be greater than or equal to 0",
    ),
    "endless resamples": ("statistics/bootstrap_samples", 10**11, "less than or equal to 1000000"),
    "endless bins": ("statistics/calibration_bins", 10**11, "less than or equal to 1000"),
    "certain confidence": ("statistics/confidence", 1, "less than 1"),
    "endless answers": ("evaluation/max_new_tokens", 10**9, "less than or equal to 4096"),
    "endless scoring batch": ("evaluation/tokens_per_batch", 10**12, "less than or equal to 10000000"),
    "endless split": (
        "tasks/pubmedqa/splits/sample/train",
        ".inf",
        "'tasks.pubmedqa.splits.sample.train': write a number",
    ),
    "endless fold": ("tasks/pubmedqa/splits/official/fold", 10**10, "less than or equal to 9999"),
    "negative fold": ("folds", [-1], "'folds[0]': input should be greater than or equal to 0"),
    "limit too small": ("limit", {"train": 1}, "limit.train"),
    "endless override": (
        f"{STAGE}/training",
        {"epochs": 1e30},
        "stages[0].training.epochs': input should be less than",
    ),
    "override of a remedy": (
        f"{STAGE}/remedies",
        {"anchor": {"strength": 1e30}},
        "strength': input should be less than",
    ),
    # Texts that YAML takes for something else.
    "a number as column": ("tasks/pubmedqa/id", 1.5, "'tasks.pubmedqa.id': YAML reads this as a number"),
    "truth as column": ("tasks/pubmedqa/id", True, "put the text in quotes"),
    "null as column": ("tasks/dreaddit/fields/text", {"column": None}, "a text is needed, and YAML reads this as null"),
    "a number as label": (f"{LABELS}/0/value", 1.5, "'tasks.pubmedqa.labels[0].value': YAML reads this as a number"),
    # Names and paths.
    "long task name": (f"tasks/{'x' * 300}", DEFAULT["tasks"]["pubmedqa"], "at most 100 characters"),
    "task named as a file": (
        "tasks/summary.json",
        DEFAULT["tasks"]["pubmedqa"],
        "tasks.summary.json has the name of a file or folder beside the tasks' data",
    ),
    "task named as a fold": ("tasks/fold-1", DEFAULT["tasks"]["pubmedqa"], "tasks.fold-1 has the name of a file or"),
    "long stage name": (f"{STAGE}/name", "x" * 300, "at most 100 characters"),
    "long composed folder": (
        f"{STAGE}/task",
        ["pubmedqa", "dreaddit", *("t" * 90 + str(n) for n in range(3))],
        "stages[0] names the task",
    ),
    "blank in a name": ("experiment", "my experiment", "'experiment'"),
    "line break in a name": ("experiment", "a\nb", "'experiment'"),
    "path as a name": (f"{STAGE}/name", "../x", "'arms.sequential.stages[0].name'"),
    "no results": ("results", "", "'results': a path is empty"),
    "blank results": ("results", " ", "'results': a path is empty"),
    "results here": ("results", ".", "'results': name a folder of its own"),
    "results here, in other words": ("results", "out/..", "'results': name a folder of its own"),
    "results above": ("results", "..", "'results': name a folder of its own"),
    "results further above": ("results", "../..", "'results': name a folder of its own"),
    "results beside the project": ("results", "../out", "'results': write a folder outside the project with its whole"),
    "results in data by its whole path": ("results", os.path.abspath("data/x"), "'data' is a folder of the project"),
    "results at the root": ("results", "/", "'results': name a folder of its own"),
    "results in data": ("results", "data", "'data' is a folder of the project"),
    "results in models": ("results", "./models/mine", "'models' is a folder of the project"),
    "results in the code": ("results", "stagewise", "'stagewise' is a folder of the project"),
    "wildcard in results": ("results", "out{x}", "'results': a path may hold no braces, which are wildcards"),
    "braces in results": ("results", "{}", "no braces"),
    "line break in results": ("results", "a\nb", "'results': a path holds a line break"),
    "NUL in results": ("results", "a\0b", "another invisible character"),
    "home in results": ("results", "~/out", "'~' is not replaced by the home folder; write out the path"),
    "option as results": ("results", "-rf", "begins with a hyphen"),
    "long results": ("results", "x" * 300, "more than 200 characters"),
    "endless results": ("results", "x/" * 600, "at most 1000 characters"),
    "wildcard in a prompt's path": (
        "tasks/pubmedqa/prompt",
        "prompts/{x}.txt",
        "'tasks.pubmedqa.prompt': a path may hold no",
    ),
    "NUL in a file's path": ("tasks/pubmedqa/sources/sample/files/items", {"path": "a\0"}, "invisible character"),
    "home in a model's path": ("models/mine", {"path": "~/model"}, "'models.mine.path': '~' is not replaced"),
    # Readers.
    "unknown encoding": (
        "tasks/dreaddit/sources/sample/reader",
        {"encoding": "utf-9"},
        "'utf-9' is not a known text encoding",
    ),
    "undefined encoding": (
        "tasks/dreaddit/sources/sample/reader",
        {"encoding": "undefined"},
        "not a known text encoding",
    ),
    "encoding of bytes": ("tasks/dreaddit/sources/sample/reader", {"encoding": "base64"}, "not a known text encoding"),
    "quote as delimiter": (
        "tasks/dreaddit/sources/sample/reader",
        {"format": "csv", "delimiter": '"'},
        "cannot separate fields",
    ),
    "long escape": ("tasks/dreaddit/sources/sample/reader", {"format": "csv", "escape": "\\\\"}, "at most 1 character"),
    "quote as escape": (
        "tasks/dreaddit/sources/sample/reader",
        {"format": "csv", "escape": '"'},
        "has another meaning",
    ),
    "escape in JSON": (
        "tasks/dreaddit/sources/sample/reader",
        {"format": "json", "escape": "\\"},
        "'escape' goes with format csv",
    ),
    "unknown format": ("tasks/dreaddit/sources/sample/reader", {"format": "cvs"}, "did you mean 'csv'?"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_setting(tmp_path, capsys, case):
    path, value, says = SETTINGS[case]
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(changed(path, value)), encoding="utf-8")
    check_refused_command(read_experiment, [file], capsys, tmp_path, rf"^error: {file}: .*{re.escape(says)}")


# name: (lines of an overlay, what the sentence says); numbers that YAML 1.1 reads as another number than is written
NUMBERS = {
    "octal": ("training: {batch_size: 010}", "'training.batch_size': write a whole number in plain decimals"),
    "new octal": ("training: {batch_size: 0o17}", "got '0o17'"),
    "hexadecimal": ("lora: {r: 0x10}", "got '0x10'"),
    "binary": ("lora: {r: 0b100}", "got '0b100'"),
    "sexagesimal": ("seeds: [1:30]", "'seeds[0]': write a whole number in plain decimals, without quotes (got '1:30')"),
    "sexagesimal fraction": ("training: {epochs: 1:30.5}", "got '1:30.5'"),
    "underscore": ("training: {batch_size: 1_6}", "got '1_6'"),
    "plus": ("seeds: [+1]", "got '+1'"),
    "leading zero": ("seeds: [07]", "got '07'"),
    "a date": ("seeds: [2020-01-01]", "got '2020-01-01'"),
    "infinite": ("training: {epochs: .inf}", "got '.inf'"),
    "infinite by its exponent": ("training: {epochs: 1e999}", "got '1e999'"),
    "fraction of an item": ("training: {batch_size: 1e1}", "valid integer (got 10.0)"),
    "yes": ("seeds: [yes]", "valid integer (got True)"),
    "empty": ("seeds: [ , 1]", "is not valid YAML"),
    "null": ("seeds: [~]", "'seeds[0]': input should be a valid integer (got None)"),
    "number with decimals as text": (
        "tasks: {pubmedqa: {id: 1.10}}",
        "'tasks.pubmedqa.id': YAML reads this as a number",
    ),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_number(tmp_path, capsys, case):
    lines, says = NUMBERS[case]
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(lines + "\n")
    check_refused_command(
        read_experiment, [CONFIG, overlay], capsys, tmp_path, rf"^error: {overlay}: .*{re.escape(says)}"
    )


# name: (arguments of --config, what the sentence says)
ARGUMENTS = {
    "unknown key": (["sead=1"], "error: --config: 'sead' is not a setting; did you mean 'seeds'?"),
    "unknown nested key": (["training={epocs: 2}"], "error: --config: 'training.epocs' is not a setting"),
    "one seed": (["seeds=1"], "error: --config: 'seeds': input should be a valid list (got 1)"),
    "text in a list": (["seeds=[one]"], "error: --config: 'seeds[0]': write a whole number"),
    "octal in a list": (["seeds=[010]"], "error: --config: 'seeds[0]': write a whole number"),
    "null for a text": (["quantization=null"], "error: --config: 'quantization': a text is needed"),
    "nothing for a text": (["experiment="], "error: --config: 'experiment': a text is needed"),
    "truth for a number": (["training={epochs: yes}"], "error: --config: 'training.epochs'"),
    "an unknown task": (
        ["arms={sequential: {stages: [{task: dreadit}]}}"],
        "error: --config: arms.sequential.stages[0]",
    ),
    "an unknown source": (
        ["tasks={pubmedqa: {source: orginal}}"],
        "error: --config: 'tasks.pubmedqa': source 'orginal'",
    ),
    "a model that is not there": (["model=gpt"], "error: --config: model 'gpt' is not one of models"),
    "no mapping": (["training=fast"], "error: --config: 'training': write a mapping of settings here"),
    "a key twice": (["training={epochs: 1, epochs: 2}"], "error: --config training: line 1: the key 'epochs' is given"),
    "an open bracket": (["seeds=[1"], "error: --config seeds: line 1 is not valid YAML"),
    "an alias inside itself": (
        ["seeds=&s [*s]"],
        "error: --config seeds: line 1: an alias stands inside its own anchor",
    ),
    "wildcards": (["results=out{x}"], "error: --config: 'results': a path may hold no braces"),
    "results that are nothing": (["results="], "error: --config: 'results': a text is needed"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_command_line(tmp_path, capsys, case):
    arguments, says = ARGUMENTS[case]
    check_refused_command(read_experiment, [CONFIG, *arguments], capsys, tmp_path, re.escape(says))


def test_the_sentence_names_what_is_to_blame(tmp_path, capsys):
    """The last one that says something about a setting, be it a file or the command line."""
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("training: {epochs: 0}\ntasks: {pubmedqa: {source: nowhere}}\n")
    second.write_text("training: {batch_size: 2}\n")
    check_refused_command(read_experiment, [CONFIG, first, second], capsys, tmp_path, rf"^error: {first}: ")
    argument = "training={learning_rate: 0.1}"
    check_refused_command(read_experiment, [CONFIG, first, second, argument], capsys, tmp_path, rf"^error: {first}: ")
    first.write_text("tasks: {new: {id: x}}\n")
    says = rf"^error: {first}: 'tasks\.new\.\w+' is required but missing"
    check_refused_command(read_experiment, [CONFIG, first, second], capsys, tmp_path, says)
