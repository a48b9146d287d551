"""Items of a stage as the other programs read them: token ids for training, texts for scoring."""

import json
from pathlib import Path

from stagewise.config.training import Training
from stagewise.data.items import read_split
from stagewise.errors import InputError
from stagewise.inference.prompts import Encoder, Template
from stagewise.models.load import load_tokenizer
from stagewise.recipe import Recipe


class PeerItems:
    """Splits of a recipe's task, encoded as the workflow encodes them."""

    def __init__(self, recipe: Path, model_dir: Path, data_dir: Path):
        self.recipe = Recipe.read(recipe)
        (self.task,) = self.recipe.learns
        self.data_dir, spec = Path(data_dir), self.recipe.tasks[self.task]
        self.words, self.tokenizer = spec.words, load_tokenizer(model_dir)
        template = Template(spec.prompt.file, spec.prompt.text)
        recipe = self.recipe
        max_length = spec.max_length or recipe.max_length
        self.encoder = Encoder(
            self.tokenizer, template, recipe.prompting, spec.words, max_length, spec.shorten, self.task
        )

    def training_rows(self, split: str) -> list[dict]:
        """Token ids of prompt and answer of each item, and labels that are -100 on the prompt."""
        items = read_split(self.data_dir / self.task / f"{split}.jsonl", self.words)
        rows = []
        for item, prompt in zip(items, self.encoder.encode_prompts(items).ids, strict=True):
            answer = self.encoder.encode_answer(item["label"])
            rows.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
        return rows

    def rows_in_order(self, training: Training) -> list[dict]:
        """Training rows of all epochs in the order in which the workflow trains on them.

        Raises
        ------
        InputError
            If an epoch ends with an incomplete step, which a run over all epochs at once would fill up.
        """
        from stagewise.training.sampling import GroupedByLength

        rows, step = self.training_rows("train"), training.batch_size * training.gradient_accumulation
        if len(rows) % step or not training.group_by_length:
            raise InputError(f"{len(rows)} training items: a multiple of {step} is needed, grouped by length")
        sampler = GroupedByLength([len(row["input_ids"]) for row in rows], step, self.recipe.seed)
        ordered = []
        for epoch in range(int(training.epochs)):
            sampler.set_epoch(epoch)
            ordered += [rows[number] for number in sampler]
        return ordered

    def scoring_items(self, split: str, whole_answers: bool) -> list[dict]:
        """Prompt, answers and the number of the right one of each item, as texts.

        Raises
        ------
        InputError
            If a text would be read as other tokens than the workflow's.
        """
        items = read_split(self.data_dir / self.task / f"{split}.jsonl", self.words)
        ids = [answer if whole_answers else answer[:-1] for answer in self.encoder.label_token_ids]
        answers = [self.tokenizer.decode(answer) for answer in ids]
        scored = []
        for item, prompt in zip(items, self.encoder.encode_prompts(items).ids, strict=True):
            text = self.tokenizer.decode(prompt)
            for answer, answer_ids in zip(answers, ids, strict=True):
                if self.tokenizer(text + answer, add_special_tokens=False).input_ids != prompt + answer_ids:
                    raise InputError(f"{self.task} {item['id']}: prompt and answer as text give other tokens")
            scored.append({"prompt": text, "answers": answers, "gold": self.words.index(item["label"])})
        return scored


def write_lines(path: Path, rows: list[dict]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
