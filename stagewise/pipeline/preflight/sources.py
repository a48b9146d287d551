"""Checks of where raw files and the base model come from, and of their licences."""

import re
import subprocess
import sys
from pathlib import Path

from stagewise.config.adopted import short_name
from stagewise.config.base_model import Model
from stagewise.config.hub_names import MAIN
from stagewise.config.mirror import check_mirror
from stagewise.config.sources import File
from stagewise.config.tasks import IdsSplit
from stagewise.data.download import BY_HAND, base_name, redact_url
from stagewise.data.raw_files import dataset_file, raw_path
from stagewise.errors import InputError
from stagewise.models.adapters import ADAPTER_CONFIG
from stagewise.models.adopted import local_folder
from stagewise.models.from_hub import check_hub_access, list_hub_files
from stagewise.models.machine import free_disk
from stagewise.models.memory_estimate import gigabytes
from stagewise.models.model_folder import check_files
from stagewise.pipeline.planned_adapter import ADAPTERS
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context
from stagewise.provenance.hub import explained_refusals, repository_commit
from stagewise.provenance.receipts import RECEIPT

SECONDS = 5
"""Time that a server has to answer."""


@check("raw files")
def check_raw_files(context: Context):
    """Every raw file is here, in the mirror, or at an address that answers."""
    if context.has("splits"):
        yield Finding("not needed, the splits are here")
        return
    if context.mirror:
        check_mirror(context.mirror)
    here = reachable = 0
    for name, task in context.config.active_tasks.items():
        source = task.sources[task.source]
        for role, file in source.files.items():
            key = f"tasks.{name}.sources.{task.source}.files.{role}"
            if raw_path(name, role, file, context.raw).is_file():
                here += 1
            elif file.path:
                raise InputError(
                    f"config: {key}.path: there is no file '{file.path}'; put it there or correct the path"
                )
            elif problem := unreachable(file, context.mirror):
                verdict, reason = problem
                origin = "dataset" if file.dataset else "url"
                yield Finding(f"{name}: {reason}", verdict, f"config: {key}.{origin}: {reason}; {BY_HAND}")
            else:
                reachable += 1
        rule = task.splits[task.split]
        if isinstance(rule, IdsSplit) and not Path(rule.ids).is_file():
            raise InputError(f"config: tasks.{name}.splits.{task.split}.ids: there is no file '{rule.ids}'; correct it")
    yield Finding(f"{here} here" + (f", {reachable} to fetch" if reachable else ""))


def unreachable(file: File, mirror: str | None) -> tuple[str, str] | None:
    """Say why a file cannot be fetched, with a verdict; None if the mirror has it or its server answers."""
    names = {dataset_file(file)} if file.dataset else {base_name(file.url), base_name(file.url, file.member)}
    if mirror and any(path.name in names for path in Path(mirror).rglob("*")):
        return None
    if file.dataset:
        try:
            repository_commit("dataset", file.dataset, file.revision or MAIN, SECONDS)
        except InputError as error:
            return "failure", str(error)
        return None
    if not file.url.startswith(("http://", "https://")):
        return None  # a scheme whose answer costs a download

    import requests

    source = redact_url(file.url)
    try:
        with requests.get(file.url, stream=True, timeout=SECONDS) as answer:
            status = answer.status_code
    except requests.RequestException:
        return "failure", f"{source} could not be reached"
    if status >= 500 or status == 429:
        return "warning", f"{source} answers {status} at the moment"
    return ("failure", f"{source} answers {status}") if status >= 400 else None


@check("base model")
def check_base_model(context: Context):
    """Every base model, and every fully fine-tuned one, is here or can be fetched."""
    for name, model in context.config.used_models.items():
        if model.is_gguf:
            if not Path(model.path).is_file() and not (Path("models") / name / RECEIPT).is_file():
                raise InputError(f"config: models.{name}.path: there is no file '{model.path}'; correct it")
            yield Finding(f"{name}, converted from a GGUF file")
        elif model.path:
            if not Path(model.path).is_dir():
                raise InputError(f"config: models.{name}.path: there is no folder '{model.path}'; correct it")
            check_files(Path(model.path), model.path)
            yield Finding(f"{name}, used in place")
        elif context.has_fetched(name):
            yield Finding(f"{name}, here")
        elif model.hub:
            yield _at_the_hub(name, model)
        else:
            yield _package(context, name, model)


def _at_the_hub(name: str, model: Model) -> Finding:
    with explained_refusals(model.hub, model.revision):
        files = list_hub_files(model, SECONDS)
        check_hub_access(model, SECONDS)
    size, free = sum(file.size for file in files.values()), free_disk(Path("models"))
    words = f"{name}, {gigabytes(size)} to fetch"
    if size > free:
        sentence = f"models/{name}: the model takes {gigabytes(size)} and {gigabytes(free)} are free; make room"
        return Finding(words, "failure", sentence)
    return Finding(words)


@check("adapters from elsewhere")
def check_adopted_adapters(context: Context):
    """Every adapter that a stage adopts is here or can be fetched."""
    sources = {adapter.adopted.folder: adapter for adapter in context.adapters.values() if adapter.adopted}
    for name, adapter in sources.items():
        adopted, key = adapter.adopted, f"config: arms.{adapter.arms[0]}: the adapter "
        if adopted.path is None and (ADAPTERS / name / RECEIPT).is_file():
            yield Finding(f"{adopted.source}, here")
        elif adopted.path is None:
            repository, commit = adopted.hub
            model = Model(hub=repository, revision=commit)
            with explained_refusals(repository, commit):
                check_hub_access(model, SECONDS, ADAPTER_CONFIG)
            yield Finding(f"{adopted.source}, to fetch")
        elif Path(adopted.path).is_dir() or not (ADAPTERS / name / RECEIPT).is_file():
            try:
                local_folder(adopted.path)
            except InputError as error:
                raise InputError(f"{key}{error}") from None
            yield Finding(f"{short_name(adopted.source)}, to be copied")
        else:
            yield Finding(f"{short_name(adopted.source)}, copied before")
    if not sources:
        yield Finding("none")


def _package(context: Context, chosen: str, model: Model) -> Finding:
    name, version = model.package.split("==")
    prefix = f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}-"
    if context.mirror and any(p.name.lower().startswith(prefix) for p in Path(context.mirror).rglob("*.whl")):
        return Finding(f"{model.package}, in the mirror")
    command = [sys.executable, "-m", "pip", "index", "versions", name, "--disable-pip-version-check"]
    command += ["--retries", "0", "--timeout", str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0 and re.search(rf"\b{re.escape(version)}\b", done.stdout):
        return Finding(f"{model.package}, to fetch")
    # An index that pip cannot list, such as a folder of wheels, may have it all the same.
    sentence = f"config: models.{chosen}.package: pip does not find {model.package}; is the network up?"
    return Finding(f"{model.package}, not found by pip", "warning", sentence)


@check("licences")
def check_licences(context: Context):
    """Note models and texts that may not be passed on, and unknown licences."""
    config, notes = context.config, []
    for name, model in config.base_models.items():
        if model.licence == "unknown":
            notes.append(f"{name}: licence unknown")
        elif not model.redistribute:
            notes.append(f"{name}: {model.licence}; its weights stay here")
    for name, task in config.active_tasks.items():
        source = task.sources[task.source]
        if not source.redistribute:
            notes.append(f"{name}: {source.licence or 'licence unknown'}; its texts stay here")
    for note in notes:
        yield Finding(note, "note")
    if not notes:
        yield Finding("all texts and weights may be passed on")
