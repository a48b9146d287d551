"""Say what a fine-tuning cost: score an adapter from elsewhere and its base model, in one command, without training.

    python -m scripts.forgot --base MODEL --adapter DIR --task medical.yaml --learnt medical --harness arc_easy
    python -m scripts.forgot --base owner/name@COMMIT --adapter run/checkpoint-100 run/checkpoint-200 --task dreaddit
    python -m scripts.forgot --base MODEL --model TUNED --task dreaddit    # a fully fine-tuned model

The question is written down as an experiment, and the workflow runs it: the same command again computes nothing.
"""

import argparse
import os
import subprocess
import sys
from codecs import getincrementaldecoder
from pathlib import Path

from stagewise.cli import positive
from stagewise.errors import InputError, exit_on_input_error
from stagewise.pipeline.forgot_experiment import Question, check_experiment, experiment_values, write_experiment

PROJECT = Path(__file__).resolve().parents[1]

_REASON = "error: "
"""Beginning of a line in which the workflow says why it stopped."""

_KEPT = 100_000  # characters of its output that are searched for that


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.forgot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--base", required=True, metavar="MODEL", help="folder or GGUF file, owner/name@REVISION, or one of `models`"
    )
    tuned = parser.add_mutually_exclusive_group(required=True)
    tuned.add_argument(
        "--adapter", nargs="+", default=[], metavar="DIR", help="PEFT adapters, or owner/name@REVISION, as trained"
    )
    tuned.add_argument("--model", nargs="+", default=[], help="fully fine-tuned models, as --base, in their place")
    parser.add_argument("--task", nargs="+", default=[], metavar="NAME|FILE.yaml", help="tasks to be scored on")
    parser.add_argument("--learnt", nargs="+", default=[], metavar="NAME", help="tasks among them that were learnt")
    parser.add_argument("--text", nargs="+", default=[], metavar="FILE", help="held-out texts, in place of our own")
    parser.add_argument("--harness", default="", metavar="TASK,...", help="tasks of lm-evaluation-harness")
    parser.add_argument("--limit", type=positive, metavar="N", help="items per task or probe, at most")
    parser.add_argument("--results", metavar="DIR", help="folder of the results (results-forgot/NAME in the project)")
    parser.add_argument("--configfile", nargs="+", default=[], help="configuration files with tasks, models, settings")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as Snakemake's --config")
    parser.add_argument("--cores", default="all", help="cores to use (%(default)s)")
    return parser


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    args = build_parser().parse_args(argv)
    question = Question(
        project=PROJECT,
        base=args.base,
        adapters=args.adapter,
        models=args.model,
        tasks=args.task,
        learnt=args.learnt,
        texts=args.text,
        harness=[name for name in args.harness.split(",") if name],
        limit=args.limit,
        results=args.results,
        config_files=args.configfile,
        settings=args.set,
    )
    values = experiment_values(question)
    check_experiment(question, values)
    files = write_experiment(question, values)
    run_workflow(files, args.cores)
    results = PROJECT / values["results"]
    for line in answer_lines(results):
        print(line)
    print(f"\nThe page is {results / 'report.html'}; the experiment is {files[0]}")
    return 0


def run_workflow(files: list[Path], cores: str) -> None:
    """Run the workflow on these configuration files alone; what it says goes to standard error.

    Raises
    ------
    InputError
        If a step failed, with the last reason that was given.
    """
    command = [sys.executable, "-m", "snakemake", "--cores", cores, "--replace-workflow-config", "--configfile"]
    # The steps are started by name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    said, decoder = "", getincrementaldecoder("utf-8")("replace")
    with subprocess.Popen(
        [*command, *map(str, files)],
        cwd=PROJECT,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        while part := process.stdout.read1():  # not line by line: a progress bar ends none
            text = decoder.decode(part)
            print(text, end="", file=sys.stderr, flush=True)
            said = (said + text)[-_KEPT:]
    if process.returncode:
        reasons = [line for line in said.splitlines() if line.startswith(_REASON)]
        reason = reasons[-1].removeprefix(_REASON) if reasons else "the workflow stopped, for the reason above"
        raise InputError(f"{reason}; then ask again")


def answer_lines(results: Path) -> list[str]:
    """The result in words: one sentence first, then every task and probe before and after, as the report has it."""
    from stagewise.metrics.schema import read_metrics
    from stagewise.report.lookup import View
    from stagewise.report.text import verdicts

    view = View(read_metrics(results / "report_metrics.json"), {})
    sentences = [sentence.text for paragraph in verdicts.lead(view) for sentence in paragraph.sentences]
    return [verdicts.headline(view).text, "", *(f"- {sentence}" for sentence in sentences)]


if __name__ == "__main__":
    sys.exit(main())
