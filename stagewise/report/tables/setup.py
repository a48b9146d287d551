"""Setup of the experiment: arms, data, settings, training and scoring."""

from stagewise.config.shareable import LOCAL
from stagewise.metrics.schema import SplitRecord, TaskRecord, TrainingRecord
from stagewise.report.lookup import View
from stagewise.report.tables import number_format
from stagewise.report.tables.number_format import MISSING, count, listed, number, plain
from stagewise.report.tables.scores import MANY_LABELS
from stagewise.report.tables.table import Cell, Column, Table, checksum, numeric, value
from stagewise.report.task_measures import CLASSIFICATION, GENERATION, MULTI_LABEL, ORDINAL

FREQUENT_LABELS = 3
"""Labels that the table of splits names of a task with many."""


def run(view: View) -> Table:
    """The experiment in a few rows."""
    e = view.experiment
    devices = dict.fromkeys(f"{t.device}, {t.dtype}" for t in view.metrics.training if t.device)
    how = "log-likelihood of each label" if e.method == "likelihood" else f"greedy generation, read the {e.parse} way"
    if generated := view.of_tasks.of_kind(view.scored_tasks, MULTI_LABEL, GENERATION):
        labelled = len(generated) < len(view.scored_tasks)
        how = f"{how}; of sets of labels and texts greedy generation" if labelled else "greedy generation"
    table = Table("run", "The experiment. These settings apply to every interval in the report.", ["", "Value"])
    table.add("Experiment", e.name)
    table.add("Base model", Cell(e.model, _origin(e.model_origin)))
    for record in e.other_models or []:
        table.add(
            f"Base model of {view.whose(_arms_of(view, record.lineage))}", Cell(record.model, _origin(record.origin))
        )
    table.add("Quantization of the frozen weights", e.quantization)
    table.add(
        "Compute type", Cell(e.compute_type or e.dtype, "configured as auto" if e.dtype == "auto" else "as configured")
    )
    nothing = all(adapter.adopted for adapter in view.adapters.values())
    reason = "nothing was trained here" if nothing else "training recorded no device"
    table.add("Trained on", "; ".join(devices) or Cell(MISSING, reason=reason))
    if view.tasks:
        table.add("Tasks", ", ".join(map(view.of_tasks.name_kind, view.tasks)))
    if view.of_tasks.are_mixed:
        table.add("Claims are about", view.name_primary(view.scored_tasks))
    if view.probes:
        table.add("Probes, which are scored and not learnt", ", ".join(view.probes))
    for arm in view.arms:
        chosen = view.find("variants", arm=arm, chosen=True)
        setting = f"{chosen.variant}, chosen on validation out of {view.tried(arm)}" if chosen else ""
        table.add(
            f"Arm {arm}", Cell(_describe_arm(view, arm), "; ".join(filter(None, (_own_settings(view, arm), setting))))
        )
    if view.several_arms:
        each = "each arm with its reference" if len(view.references) > 1 else ""
        table.add("Compared with", Cell(view.whose(view.references), each))
    table.add("Seeds", plain(e.seeds))
    if e.folds:
        table.add("Folds", plain(e.folds))
    table.add("Answers", how)
    table.add("Scored splits", ", ".join(e.splits))
    if control_tokens := _control_tokens(view):
        table.add("Items with control tokens of the model, read as plain text", control_tokens)
    table.add("Intervals of one adapter", Cell(view.interval, f"seed {e.bootstrap_seed}"))
    limit = {split: n for split, n in (e.config.get("limit") or {}).items() if n is not None}
    if limit:
        table.add("Limited to", ", ".join(f"{n} {split} items per task" for split, n in limit.items()))
    return table


def _origin(origin: dict) -> str:
    """Package, repository or folder of a model, with its revision."""
    place = origin.get("package") or origin.get("hub") or origin.get("path") or MISSING
    return f"{place} at {origin['revision']}" if origin.get("revision") else place


def _arms_of(view: View, base: str) -> list[str]:
    """Arms that start from a base model."""
    return [arm for arm in view.arms if view.base_of(arm) == base]


def _own_settings(view: View, arm: str) -> str:
    """Base model of an arm, and its values of the LoRA settings that arms set; empty if no arm has any."""
    config = view.experiment.config
    arms = {name: values for name, values in (config.get("arms") or {}).items() if values}
    set_by = {name: {k: v for k, v in values.get("lora", {}).items() if v is not None} for name, values in arms.items()}
    names = {f"{name}-{order}": name for name in arms for order in config.get("orders") or {}}
    lora = (config.get("lora") or {}) | set_by.get(names.get(arm, arm), {})
    keys = dict.fromkeys(key for own in set_by.values() for key in own)
    shown = ", ".join(f"{key.replace('_', ' ')} {plain(lora.get(key))}" for key in keys)
    model = view.untuned[view.base_of(arm)] if len(view.untuned) > 1 else ""
    return "; ".join(filter(None, (model, shown and f"LoRA {shown}")))


def _control_tokens(view: View) -> str:
    """Numbers of items whose text held control tokens, by task and split; they are the same for every adapter."""
    items = {
        f"{record.task} {record.split}": record.control_tokens
        for record in view.metrics.predictions
        if record.control_tokens
    }
    for training in view.metrics.training:
        by_split = training.control_tokens or {}
        items |= {" ".join(name.rsplit(".", 1)): number for name, number in by_split.items() if number}
    return ", ".join(f"{name} {count(number)}" for name, number in sorted(items.items()))


def _describe_arm(view: View, arm: str) -> str:
    """Tasks of an arm stage by stage, each with its remedies."""
    stages = []
    for step in view.steps(arm)[1:]:
        adapters = [view.adapters[name] for name in dict.fromkeys((_trained(view, step.lineage), step.lineage))]
        remedies = "; ".join(filter(None, map(view.remedies, adapters)))
        elsewhere = "from elsewhere" if adapters[-1].adopted else ""
        notes = "; ".join(filter(None, (elsewhere if step.tasks else "", remedies)))
        stages.append((" + ".join(step.tasks) or elsewhere) + (f" ({notes})" if notes else ""))
    *_, last = view.steps(arm)
    newest = view.adapters[_trained(view, last.lineage)]
    if len(stages) > 1 and newest.parent in view.untuned and not newest.adopted:
        return f"{', '.join(stages)}: an adapter for each"
    return " → ".join(stages)


def settings(view: View, lineages=None) -> Table:
    """Training settings of the given adapters (all of them by default), then what is different in single stages."""
    config = view.experiment.config
    sets: list[tuple[list[str], dict]] = []
    for lineage in lineages or view.adapters:
        if view.adapters[lineage].sources or view.adapters[lineage].adopted:
            continue  # made of others without training, or trained elsewhere
        values, path = _stage_settings(view, lineage), view.stage_path(lineage)
        paths = next((names for names, others in sets if others == values), None)
        if paths is None:
            sets.append(([path], values))
        elif path not in paths:
            paths.append(path)
    # The set that most stages share comes first, and needs no list of them.
    sets.sort(key=lambda entry: -len(entry[0]))
    table = Table("settings", "Training settings.", ["Setting", "Value"])
    first, *others = [values for _, values in sets] or [{}]
    for key, entry in first.items():
        table.add(key, plain(entry))
    for key, entry in (config.get("prompting") or {}).items():
        table.add("prompt " + key.replace("_", " "), plain(entry))
    for (names, _), values in zip(sets[1:], others, strict=True):
        table.part(f"Different in {listed(names)}")
        for key in dict.fromkeys([*first, *values]):
            if values.get(key) != first.get(key):
                table.add(key, plain(values.get(key)))
    return table


def sources(view: View) -> Table:
    """Sources of each task's items, and rows set aside."""
    m, rules = view.metrics, view.experiment.config.get("duplicates") or {}
    across = _exact(m.duplicates_across_tasks, m.duplicates_across_tasks_exact)
    caption = (
        "Data of each task. Rows set aside were not used. Duplicates are texts found again, compared normalized; some "
        f"repeat to the letter. Across tasks there are {count(m.duplicates_across_tasks)}"
        f"{f' ({across})' if across else ''}. "
        + ("Rule for them: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in rules.items()) + "." if rules else "")
    ).strip()
    columns = ["Task", "Source", Column("Licence", wide=True), "May be passed on"]
    columns += [*numeric("Rows read", "Set aside"), Column("Why", wide=True)]
    columns += numeric("Within a split", "Across splits", group="Duplicates found")
    columns += numeric("Groups in two splits")
    table = Table("sources", caption, columns)
    for task in m.tasks:
        within, across = task.duplicates_within_split, task.duplicates_across_splits
        table.add(
            task.task,
            Cell("embedded sample" if task.sample else task.source, f"split {task.split}"),
            value(task.licence, str, "no licence is stated"),
            plain(task.redistribute),
            count(task.rows),
            count(sum(entry.rows for entry in task.set_aside)),
            ", ".join(f"{entry.reason} {count(entry.rows)}" for entry in task.set_aside) or "none",
            Cell(count(within), _exact(within, task.duplicates_within_split_exact)),
            Cell(count(across), _exact(across, task.duplicates_across_splits_exact)),
            value(task.groups_across_splits, count, "the task has no groups"),
        )
    return table


def _exact(duplicates: int, exact: int | None) -> str:
    """Number of duplicates that repeat to the letter."""
    return f"{count(exact)} to the letter" if duplicates and exact is not None else ""


def splits(view: View) -> Table:
    """Items and label shares of each split."""
    caption = "Items in each split and the share of each label. The majority class is the most frequent training label."
    if any(not entry.items for split in view.metrics.splits for entry in split.labels):
        caption += " Means over labels (macro-F1, balanced accuracy, AUROC) leave out a label that a split lacks."
    table = Table("splits", caption, ["Split", *numeric("Items"), Column("Labels", wide=True)])
    for task in view.metrics.tasks:
        table.part(_heading(view, task))
        for split in (split for split in view.metrics.splits if split.task == task.task):
            cut = f"of {count(split.items_before_limit)}" if split.items_before_limit != split.items else ""
            table.add(split.split, Cell(count(split.items), cut), _label_shares(split))
    return table


def _heading(view: View, task: TaskRecord) -> str:
    """A task with its most frequent training label; of texts there is none to show."""
    if view.of_tasks.kinds[task.task] == GENERATION:
        return f"{task.task}, generated texts"
    fixed = view.of_tasks.of_kind([task.task], CLASSIFICATION, ORDINAL)
    return f"{task.task}, {view.of_tasks.name_majority(task.task)}{'' if fixed else ':'} {task.majority}"


def _label_shares(split: SplitRecord) -> str:
    """Items and share of each label; of many labels, of the most frequent ones."""
    shown = split.labels
    if len(shown) > MANY_LABELS:
        shown = sorted(shown, key=lambda entry: -entry.items)[:FREQUENT_LABELS]
    shares = ", ".join(
        f"{entry.label} {count(entry.items)}" + (f" ({number_format.percent(entry.share)}%)" if entry.items else "")
        for entry in shown
    )
    rest = len(split.labels) - len(shown)
    return f"{shares}, and {rest} other labels" if rest else shares


def checksums(view: View) -> Table:
    """SHA-256 of raw files and splits."""
    table = Table("checksums", "SHA-256 of every raw file and split.", ["File", "SHA-256"])
    for task in view.metrics.tasks:
        table.part(task.task)
        for file in task.files:
            table.add(Cell(file.name, f"raw, {file.role}", style="code"), checksum(file.sha256))
        for split in (split for split in view.metrics.splits if split.task == task.task):
            table.add(Cell(f"{split.split}.jsonl", "split", style="code"), checksum(split.sha256))
    return table


def training(view: View, lineages=None) -> Table:
    """Size and cost of each adapter's training."""
    caption = "Trainings, one row per adapter. Peak memory is of the training process or its GPU."
    columns = ["Adapter", *numeric("Items", "Steps", "Epochs", "Time", "Tokens/s", "Peak memory")]
    table = Table("training", caption, [*columns, *numeric("Trainable parameters", "Prompts shortened")])
    for record in _trainings(view, lineages):
        table.add(
            Cell(view.name(record.lineage), f"stage {record.stage}"),
            value(record.items, count),
            _steps(record),
            value(record.epochs, number),
            value(record.seconds, number_format.seconds),
            value(record.tokens_per_second, lambda n: f"{n:,.0f}"),
            value(record.peak_memory_bytes, number_format.size),
            value(record.trainable_parameters, count),
            value(record.shortened, count),
        )
    return table


def losses(view: View, lineages=None) -> Table:
    """Losses of each adapter's training and the checkpoint that was kept."""
    caption = "Losses in nats per counted token; the final loss is the last one logged in training."
    columns = ["Adapter", *numeric("Final loss", "Token accuracy", "Best validation loss"), Column("Checkpoint kept")]
    table = Table("losses", caption, columns)
    for record in _trainings(view, lineages):
        table.add(
            Cell(view.name(record.lineage), f"stage {record.stage}"),
            value(record.final_loss, number),
            value(record.mean_token_accuracy, lambda n: f"{number_format.percent(n)}%"),
            _best_loss(record),
            _kept(record),
        )
    return table


def _trainings(view: View, lineages) -> list[TrainingRecord]:
    """Training records of the given adapters, of all by default; none of those that were trained elsewhere."""
    return [
        record
        for record in view.metrics.training
        if (lineages is None or record.lineage in lineages) and not view.adapters[record.lineage].adopted
    ]


def adopted(view: View, lineages=None) -> Table:
    """Origin and checksum of each adapter and model that was taken from elsewhere."""
    caption = "Taken from elsewhere as it was: what it cost to train is not known here."
    table = Table("adopted", caption, ["Adapter", "Kind", Column("Origin", wide=True), "Weights, SHA-256"])
    for adapter in view.adapters.values():
        if adapter.adopted is None or not (lineages is None or adapter.lineage in lineages):
            continue
        origin, files = adapter.adopted.origin, adapter.adopted.files
        weights = next((sha256 for name, sha256 in files.items() if name.endswith(".safetensors")), None)
        table.add(
            Cell(view.name(adapter.lineage), f"stage {adapter.stage}"),
            "LoRA adapter" if adapter.adopted.kind == "adapter" else "fully fine-tuned model",
            " at ".join(map(str, origin.values())) or LOCAL,
            checksum(weights) if weights else Cell(MISSING, reason="not recorded"),
        )
    return table


def _steps(record: TrainingRecord) -> Cell:
    notes = [f"resumed at {record.resumed_from_step}"] if record.resumed_from_step else []
    if record.planned_steps and record.steps < record.planned_steps:
        notes.append(f"of {count(record.planned_steps)} (early stopping)")
    cell = value(record.steps, count)
    return Cell(cell.text, "; ".join(notes)) if notes else cell


def _best_loss(record: TrainingRecord) -> Cell:
    cell = value(record.best_eval_loss, number)
    return Cell(cell.text, f"at step {record.best_eval_step}") if record.best_eval_step is not None else cell


def _kept(record: TrainingRecord) -> Cell:
    if record.kept_share is not None:
        return Cell("merged", f"its rank keeps {number_format.percent(record.kept_share)}% of the squared norm")
    if record.best_metric is None:
        return Cell(MISSING, reason="not recorded")
    if record.best_step is None:
        return Cell("the last one")
    detail = f"best {record.best_metric.replace('_', '-')} {number(record.best_value)}"
    if record.start_value is not None:
        detail += f", at the start {number(record.start_value)}"
    return Cell(f"step {record.best_step}", detail)


def scoring(view: View) -> Table:
    """Method and cost of the predictions."""
    caption = (
        "Scoring: all tasks and splits together, one row per model. Shortened: prompts cut to fit. Changed: validation "
        "answers that differ from those scored in training with the same weights, for example on another device."
    )
    columns = ["Model", "Method", *numeric("Items", "Prompt tokens", "Time", "Shortened", "Changed"), Column("Device")]
    table = Table("scoring", caption, columns)
    for record in view.metrics.scoring:
        answers = view.select("predictions", lineage=record.lineage)
        cut = [entry.shortened for entry in answers if entry.shortened is not None]
        table.add(
            view.title(record.lineage),
            record.method,
            value(record.items, count),
            value(record.tokens, count),
            value(record.seconds, number_format.seconds),
            value(sum(cut) if cut else None, count),
            value(sum(changed.values()) if (changed := record.changed_answers) else None, count, "nothing to compare"),
            Cell(record.device, record.dtype or "") if record.device else Cell(MISSING, reason="not recorded"),
        )
    return table


def _trained(view: View, lineage: str) -> str:
    """The adapter that an arm's stage trained: of one that is made of others, the newest of those."""
    adapter = view.adapters.get(lineage)
    return _trained(view, adapter.sources[-1]) if adapter and adapter.sources else lineage


def _stage_settings(view: View, lineage: str) -> dict:
    """Settings of one adapter by heading: the experiment's with what is different in its stage."""
    config, stage = view.experiment.config, view.adapters[lineage].settings
    settings = {}
    if len(view.untuned) > 1:
        settings["base model"] = view.untuned[view.base_of(view.adapters[lineage].arms[0])]
    for group, prefix in (("training", ""), ("lora", "LoRA ")):
        values = (config.get(group) or {}) | stage.get(group, {})
        settings |= {prefix + key.replace("_", " "): value for key, value in values.items()}
    if view.adapters[lineage].tasks and "max length" in settings:
        settings["max length"] = _length_limit(view, lineage, settings["max length"])
    return settings


def _length_limit(view: View, lineage: str, of_stage: int) -> int | str:
    """Most tokens of an item of an adapter's stage: a task's own limit takes the place of the stage's."""
    tasks = view.experiment.config.get("tasks") or {}
    limits = {task: tasks.get(task, {}).get("max_length") or of_stage for task in view.adapters[lineage].tasks}
    if len(set(limits.values())) == 1:
        return next(iter(limits.values()))
    return ", ".join(f"{limit} ({task})" for task, limit in limits.items())
