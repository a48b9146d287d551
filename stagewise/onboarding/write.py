"""Write the overlay and the prompt file of a user's data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stagewise.config.inheritance import DEFAULT_FILE
from stagewise.config.load_config import load
from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError
from stagewise.inference.prompts import Template
from stagewise.onboarding.doubts import doubts
from stagewise.onboarding.files import Table, read_table
from stagewise.onboarding.hub import is_hub_name, read_hub
from stagewise.onboarding.lengths import Lengths, measure
from stagewise.onboarding.overlay import Overlay, count_options
from stagewise.onboarding.parts import Roles, assign_roles, task_name
from stagewise.onboarding.prompt_file import prompt_file
from stagewise.onboarding.survey import Choices, Survey, survey
from stagewise.provenance.files import atomic

MODEL = "smollm2-135m-instruct"
"""The model of config.yaml that is installed from a package."""


@dataclass(frozen=True)
class Request:
    """A command line of `scripts.init`."""

    files: Sequence[str]
    """Paths, or one name of a data set of the hub."""
    choices: Choices = field(default_factory=Choices)
    name: str | None = None
    output: str | None = None
    """Path of the overlay."""
    after: str | None = None
    force: bool = False


def write_overlay(request: Request) -> Overlay:
    """Look at the data and write both files below the working directory, or neither.

    Raises
    ------
    InputError
        If the data are of no kind that is supported, a file is there already, or the settings do not hold.
    """
    if not Path(DEFAULT_FILE).is_file():
        raise InputError(f"{DEFAULT_FILE} is not here; call this from the project's folder, as the workflow")
    declared = read_yaml(DEFAULT_FILE).get("tasks", {})
    name = _name(request, declared)
    path = request.output or f"experiments/{name}.yaml"
    prompt = f"prompts/{name}.txt"
    for written in (path, prompt):
        if Path(written).exists() and not request.force:
            raise InputError(f"{written}: the file is there already; choose another --name, or --force to replace it")
    table, roles = _read(request.files)
    task = survey(table, request.choices)
    _check_parts(task)
    text = prompt_file(task)
    overlay = Overlay(
        name, path, MODEL, task, measure(task, text, Path("models") / MODEL), roles, prompt, **_after(request, declared)
    )
    with atomic(path) as new_overlay, atomic(prompt) as new_prompt:
        new_prompt.write_text(text, encoding="utf-8")
        new_overlay.write_text(overlay.text(), encoding="utf-8")
        try:
            config = load(DEFAULT_FILE, new_overlay)
            Template.read(new_prompt, config.tasks[name].variables)
        except InputError as error:
            message = str(error).replace(str(new_overlay), path).replace(str(new_prompt), prompt)
            raise InputError(f"{message} (nothing was written)") from None
    return overlay


def summary_lines(overlay: Overlay) -> list[str]:
    """Say what was seen, what was written, and how to run it."""
    task, items = overlay.task, overlay.items
    files = ", ".join(f"{part.name} ({len(part.rows):,} rows)" for part in task.table.parts.values())
    counts = [label.rows for label in task.labels]
    answer = f"{task.kind}: {', '.join(task.fields.values())} -> {task.answer.title}"
    spread = f"{min(counts):,} to {max(counts):,}" if len(set(counts)) > 1 else f"{counts[0]:,}" if counts else ""
    answer += f", {len(counts)} labels of {spread} rows" if counts else ""
    answer += f", {count_options(task.options)}" if task.options else ""
    answer += f" (or {' or '.join(task.other_answers[:3])}: --label)" if task.other_answers else ""
    unsaid = "" if task.answer.is_named else f"; no name says that '{task.answer.title}' is the answer: check it"
    unused = len(task.columns[task.answer.column].values) - len(task.rows)
    facts = [f"id {task.id}" if task.id else "no id column", f"{task.repeats} repeated texts"]
    facts += [f"{unused} rows without text or answer"] if unused else []
    scored = items["validation"] + items["test"]
    return [
        f"saw    {files}; {answer}; {', '.join(facts)}{unsaid}",
        *(f"check  {doubt}" for doubt in [*doubts(task), *_too_long(overlay.lengths)]),
        f"wrote  {overlay.path} and {overlay.prompt}; read both, then",
        f"run    snakemake --cores all --configfile {overlay.path}",
        f"       which trains on {items['train']:,} items, {overlay.epochs} times over, and scores {scored:,} items "
        f"with the base model and {'each of 2 adapters' if overlay.after else 'the adapter'}; "
        f"`snakemake -n --configfile {overlay.path}` shows the plan",
    ]


def _too_long(lengths: Lengths) -> list[str]:
    if not lengths.too_long:
        return []
    return [
        f"{lengths.too_long} items do not fit into {lengths.max_length} tokens even if a text is cut; raise max_length "
        "if the model reads more, or shorten answers and texts"
    ]


def _name(request: Request, declared: dict) -> str:
    """Name the task; one that is guessed steps aside for a task of config.yaml."""
    if request.name:
        if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", request.name, re.ASCII):
            raise InputError(f"--name {request.name!r}: take letters, digits, and . _ + - between them")
        if request.name in declared:
            raise InputError(f"--name {request.name}: {DEFAULT_FILE} has a task of this name; choose another")
        return request.name
    first = request.files[0]
    name = (
        first.split("@")[0].split(":")[0].split("/")[1].lower()
        if is_hub_name(first)
        else task_name(first.split("=")[-1])
    )
    return f"my-{name}" if name in declared else name


def _read(files: Sequence[str]) -> tuple[Table, Roles]:
    if is_hub_name(files[0]) and not Path(files[0]).exists():
        if len(files) > 1:
            raise InputError(f"{files[0]}: name a data set of the hub alone; its splits are all looked at")
        return read_hub(files[0])
    roles = assign_roles(files)
    paths = {role: Path(name) for role, name in roles.files.items()}
    return read_table(paths, {role: {"path": _place(path)} for role, path in paths.items()}), roles


def _place(path: Path) -> str:
    """A path as the workflow finds it: below the project's folder, or from the root."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def _check_parts(task: Survey) -> None:
    """Refuse a file whose rows have no answers, such as the test file of a competition."""
    usable, start = set(task.rows), 0
    for part in task.table.parts.values():
        if usable.isdisjoint(range(start, start + len(part.rows))):
            raise InputError(
                f"{part.name}: no row has an answer in '{task.answer.title}'; leave the file out, so that a share of "
                "the others is for test"
            )
        start += len(part.rows)


def _after(request: Request, declared: dict) -> dict:
    """Find the task that is learnt before: one of config.yaml, or of another overlay by name or path."""
    after = request.after
    if after is None:
        return {}
    if declared.get(after):
        return {"after": after, "after_sources": list(declared[after].get("sources", {}))}
    path = Path(after if after.endswith((".yaml", ".yml")) else f"experiments/{after}.yaml")
    tasks = {n: s for n, s in (read_yaml(path).get("tasks") or {}).items() if s} if path.is_file() else {}
    names = [name for name in tasks if name not in declared]
    if len(names) != 1:
        there = f"{path} declares {', '.join(names) or 'none'}" if path.is_file() else f"there is no {path}"
        raise InputError(
            f"--after {after}: name a task of {DEFAULT_FILE} ({', '.join(declared)}) or an overlay with one; {there}"
        )
    return {"after": names[0], "after_settings": tasks[names[0]]}
