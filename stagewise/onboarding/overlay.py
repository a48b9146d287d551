"""The text of an overlay: every setting that matters for one's own data, each with its reason."""

import re
from dataclasses import dataclass, field

import yaml

from stagewise.onboarding.columns import SUMMARIES, Column, named
from stagewise.onboarding.doubts import doubts
from stagewise.onboarding.lengths import Lengths
from stagewise.onboarding.options import OptionColumns
from stagewise.onboarding.parts import ITEMS, Roles
from stagewise.onboarding.survey import Survey, label_shares
from stagewise.onboarding.yaml_text import comment, flow, scalar

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}

VALIDATION_SHARE = 0.1
"""Share of the training file that is kept for validation if there is no file of its own."""

_LARGE, _SMALL = 30_000, 500
"""Training items from which on one pass is enough, and up to which a step takes fewer of them."""


def _end_in_numbers(references: Column) -> bool:
    """True for worked solutions that end in their result, as those of GSM8K do: `#### 72`."""
    texts = references.counts
    return bool(texts) and all(re.search(r"####\s*-?[\d.,]+\s*$", text) for text in texts)


def count_options(options: OptionColumns) -> str:
    """Say how many options an item has."""
    if options.fewest == options.most:
        return f"{options.most} options an item"
    return f"{options.fewest} to {options.most} options an item"


@dataclass(frozen=True)
class Overlay:
    """Facts that an overlay is written from."""

    name: str
    path: str
    model: str
    task: Survey
    lengths: Lengths
    roles: Roles
    prompt: str
    """Path of the prompt file."""
    after: str | None = None
    """Task that is learnt before."""
    after_settings: dict | None = None
    """Its settings, if config.yaml does not have it."""
    after_sources: list[str] = field(default_factory=list)

    @property
    def items(self) -> dict[str, int]:
        """Items of each split, about: before repeated texts are dropped."""
        usable = set(self.task.rows)
        sizes, start = {}, 0
        for role, part in self.task.table.parts.items():
            sizes[role] = sum(row in usable for row in range(start, start + len(part.rows)))
            start += len(part.rows)
        if self.roles.is_random:
            return {split: round(share * sizes[ITEMS]) for split, share in SHARES.items()}
        if "validation" not in sizes:
            sizes["validation"] = round(VALIDATION_SHARE * sizes["train"])
            sizes["train"] -= sizes["validation"]
        return sizes

    @property
    def epochs(self) -> int:
        return 1 if self.items["train"] > _LARGE else 3

    def text(self) -> str:
        """The whole file."""
        parts = [self._head(), self._experiment(), self._arms(), self._tasks(), self._training()]
        return "\n".join("\n".join(lines) + "\n" for lines in parts)

    def _head(self) -> list[str]:
        items = sum(self.items.values())
        return [
            f"# {self.name}: {items:,} items, kind {self.task.kind}. Written by `python -m scripts.init` from what the",
            "# data show; everything may be changed. Keys are described in docs/reference/configuration.md.",
            "#",
            f"#   snakemake -n --configfile {self.path}             # check the settings and show the plan",
            f"#   snakemake --cores all --configfile {self.path}   # run it",
            "#",
            "# Of config.yaml it inherits models, tasks and the form of prompts, and nothing else of the sample.",
            *(f"# Check: {doubt}." for doubt in doubts(self.task)),
        ]

    def _experiment(self) -> list[str]:
        repeats, conflicts = self.task.repeats, self.task.conflicts
        rule = "drop" if repeats else "stop"
        count = f"{repeats} texts come again" if repeats else "no text comes again"
        count += f", {conflicts} of them with another answer" if conflicts else ""
        return [
            f"experiment: {scalar(self.name)}",
            f"results: results-{self.name}",
            f"model: {scalar(self.model)} # embedded, so it needs no account; or another of `models`",
            "seeds: [0] # with one, claims are about these adapters alone; take three or more, such as [0, 1, 2]",
            "",
            "# All items. To try it in minutes: {train: 48, validation: 24, test: 48}",
            "limit: {train: null, validation: null, test: null}",
            "",
            f"# {count} (compared without case and punctuation).",
            "duplicates:",
            f"  within_split: {rule} # drop keeps the first of a split, or none if the answers disagree",
            f"  across_splits: {rule} # drop keeps one: test before validation before train",
            "  across_tasks: stop",
        ]

    def _arms(self) -> list[str]:
        stage = {"task": self.name}
        if self.after is None:
            lines = [
                "# One stage: what it teaches. A second one, before or after it, shows what is forgotten; as the first,"
            ]
            lines += ["# a task of config.yaml: [{task: pubmedqa}, " + flow(stage) + "]"]
            return [*lines, "arms:", "  sequential:", f"    stages: {flow([stage])}"]
        before = {"task": self.after}
        repeated = stage | {"remedies": {"rehearsal": {"share": 0.1}}}
        return [
            "# The second stage may make the model forget the first; an arm with a remedy is compared with this one",
            "# (docs/reference/remedies.md).",
            "arms:",
            "  sequential:",
            f"    stages: {flow([before, stage])}",
            f"  # rehearsal: {flow({'stages': [before, repeated]})}",
        ]

    def _tasks(self) -> list[str]:
        lines = ["tasks:"]
        if self.after_settings:
            content = yaml.safe_dump({self.after: self.after_settings}, sort_keys=False, allow_unicode=True, width=110)
            lines += [f"  {line}" for line in content.splitlines()]
        elif len(self.after_sources) > 1:
            lines.append(
                f"  # {self.after} is learnt as config.yaml has it; its sources are {', '.join(self.after_sources)}."
            )
        lines.append(f"  {scalar(self.name)}:")
        for block in (self._answer(), self._labels(), self._fields(), self._lengths(), self._source(), self._split()):
            lines += [f"    {line}" for line in block]
        return lines

    def _answer(self) -> list[str]:
        task, answer = self.task, self.task.answer
        lines = [f"kind: {task.kind}"] if task.kind != "classification" else []
        if task.may_be_ordinal:
            lines.append("# kind: ordinal # if the labels are an order, the lowest first: adds rank measures")
        lines += [f"prompt: {scalar(self.prompt)} # the words that ask; yours will be better"]
        if task.id is None:
            lines.append("id: null # no column is an id; a checksum of the content is, which reveals no text")
        else:
            lines.append(f"id: {scalar(task.id)}")
        also = f" # or another: {', '.join(map(comment, task.other_answers[:4]))}" if task.other_answers else ""
        if answer.flags:
            lines.append("label: null # each label has a column of its own, which holds 0 or 1")
        else:
            lines.append(f"label: {scalar(answer.column)}{also}")
        if answer.separator:
            lines.append(f"separator: {scalar(answer.separator)}")
        if task.kind == "generation":
            lines += self._generation()
        if task.options:
            chosen = task.options
            lines += [
                f"# {count_options(chosen)}"
                + (
                    "; no item has gold 0, so places are taken to count from 1 (else: gold: index)"
                    if chosen.is_doubtful
                    else ""
                ),
                f"options: {flow({'columns': chosen.columns, 'most': chosen.most, 'gold': chosen.gold})}",
            ]
        return lines

    def _generation(self) -> list[str]:
        task = self.task
        column = task.columns[task.answer.column]
        if column.is_numeric:
            measure, why = "numeric_match", "the references are numbers"
        elif _end_in_numbers(column):
            measure, why = (
                "numeric_match",
                "the references end in a number, and the last number of an answer counts",
            )
        elif column.median_length > 100 or named(column.name, SUMMARIES):
            measure, why = (
                "rouge_l",
                "the references are long texts or summaries; exact_match, numeric_match and token_f1 are reported, too",
            )
        else:
            measure, why = (
                "token_f1",
                "the references are short; exact_match, numeric_match and rouge_l are reported, too",
            )
        return [
            f"measure: {measure} # {why}",
            f"max_new_tokens: {self.lengths.max_new_tokens} # as many as the longest reference has{self._about}",
        ]

    def _labels(self) -> list[str]:
        if not self.task.labels:
            return []
        lines = ["# Value in the file, word that the model answers, rows. A label that is not listed stops the run."]
        if all(label.word.replace(".", "").isdigit() for label in self.task.labels):
            lines.append("# The words are numbers: say what they mean, here and in the prompt file.")
        rare = sum(label.rows < 3 for label in self.task.labels)
        if rare:
            lines.append(f"# {rare} of the labels have fewer than three rows, so a split may have none of them.")
        lines.append("labels:")
        lines += [
            f"  - {flow({'value': label.value, 'word': label.word})} # {label.rows:,}" for label in self.task.labels
        ]
        if self.task.kind == "multi_label":
            without, most = label_shares(self.task)
            about = f"{without} rows have no label, none has more than {most}"
            lines.append(f"no_label: {scalar(self.task.no_label)} # the answer without a label; {about}")
        return lines

    def _fields(self) -> list[str]:
        task = self.task
        lines = ["fields:"]
        lines += [f"  {scalar(name)}: {scalar(column)}" for name, column in task.fields.items()]
        if task.left_out:
            shown = ", ".join(map(self._left_out, task.left_out[:6])) + (", …" if len(task.left_out) > 6 else "")
            lines.insert(0, f"# Left out: {shown}. Add a column only if it is known before the answer is.")
        for name in task.groups[:3]:
            distinct = len(task.columns[name].counts)
            lines.append(
                f"# group: {scalar(name)} # {distinct:,} values: if they belong together, keep them in one split"
            )
        return lines

    def _left_out(self, name: str) -> str:
        empty = self.task.columns[name].share_empty
        return comment(name, 40) + (f" (empty in {empty:.0%} of the rows, which would go)" if empty >= 0.005 else "")

    @property
    def _about(self) -> str:
        return "" if self.lengths.is_counted else ", estimated (the model's tokenizer is not here yet)"

    def _lengths(self) -> list[str]:
        length = self.lengths
        cut = (
            f"{length.cut} items are longer, up to {length.longest}"
            if length.cut
            else f"the longest has {length.longest}"
        )
        lines = [
            f"shorten: {scalar(self.task.longest_field)} # cut at its end if an item is too long",
            f"max_length: {length.max_length} # tokens with the answer; median {length.median}; {cut}{self._about}",
        ]
        if length.too_long:
            lines.append(f"# {length.too_long} items do not fit even so: shorten other texts, or raise max_length.")
        return lines

    def _source(self) -> list[str]:
        table = self.task.table
        lines = [
            "source: original",
            "sources:",
            "  original:",
            "    licence: unknown # what the text may be used for, as far as you know",
            "    redistribute: false # texts stay on this machine; true lets `dvc push` copy them",
        ]
        lines += [f"    reader: {flow(table.reader)}"] if table.reader else []
        lines.append("    files:")
        lines += [f"      {role}: {flow(part.entry)} # {len(part.rows):,} rows" for role, part in table.parts.items()]
        return lines

    def _split(self) -> list[str]:
        lines = [f"# {comment(self.roles.note, 300)}"] if self.roles.note else []
        if self.task.split_column:
            lines += [
                f"# The column '{comment(self.task.split_column)}' is not read. To keep its splits, save a file",
                "# for each of its values, and name them all to `python -m scripts.init`.",
            ]
        if self.roles.is_random:
            rule: dict = {"rule": "random", "file": ITEMS, **SHARES}
            chosen = "random"
        else:
            rule = {"rule": "files", "train": "train", "test": "test"}
            has_file = "validation" in self.task.table.parts
            rule |= {"validation": "validation"} if has_file else {"validation_share": VALIDATION_SHARE}
            chosen = "files"
        return [*lines, f"split: {chosen}", "splits:", f"  {chosen}: {flow(rule)}"]

    def _training(self) -> list[str]:
        items, epochs = self.items["train"], self.epochs
        accumulation = 2 if items <= _SMALL else 4
        steps = -(-items // (4 * accumulation)) * epochs
        lines = [
            "lora:",
            "  r: 16",
            "  alpha: 32",
            "  dropout: 0.05",
            "  last_layers: null # all layers; a number adapts the last ones alone, which is faster on a CPU",
            "",
            "training:",
            f"  epochs: {epochs} # {items:,} items, so about {steps:,} steps",
            f"  batch_size: 4 # times {accumulation}: {4 * accumulation} items a step",
            f"  gradient_accumulation: {accumulation}",
            "  learning_rate: 2.0e-4 # usual for LoRA; sweep it before comparing arms (docs/reference/remedies.md)",
            "  scheduler: cosine",
            "  loss_on: answer",
            "  eval_every: epoch",
            "  best_metric: loss # on validation: the epoch that is kept",
        ]
        lines += ["  max_length: 1024 # of the other task"] if self.after else []
        return [
            *lines,
            "",
            "evaluation:",
            "  splits: [validation, test] # decision rules are fitted on validation",
        ]
