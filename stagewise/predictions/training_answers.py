"""Comparison of validation answers with those that the training scored with the same weights.

Training and prediction score with the same weights, type and batches, so that an adapter has one accuracy. On another
device or with other batches sums are rounded otherwise, and items whose labels are nearly equally likely change.
"""

import sys

from stagewise.config.step_settings import ScoringSettings
from stagewise.inference.prompts import Template
from stagewise.models.adapters import adapter_folder
from stagewise.provenance.files import read_json
from stagewise.recipe import Recipe


class TrainingAnswers:
    """Validation answers that the training of an adapter recorded for the checkpoint that was kept."""

    def __init__(self, adapter_dir, settings: ScoringSettings, templates: dict[str, Template], data: dict):
        """`data` has the SHA-256 of the splits that are scored, by task and split."""
        self.settings, self.summary = settings, {}
        self.codes: dict[str, list[int]] = {}
        """Codes of labels in item order, by task; only tasks that the training asked about in the same way."""
        folder = adapter_folder(adapter_dir) if adapter_dir else None
        if folder is None or not (folder / "training.json").is_file() or settings.evaluation.method != "likelihood":
            return
        self.summary = read_json(folder / "training.json", "the training summary")
        recorded = self.summary.get("validation_answers")
        if not recorded:
            return  # merged without training
        recipe = Recipe.read(folder / "recipe.json")
        for task, answers in recorded.items():
            spec, checksums = recipe.tasks[task], data.get(task, {})
            asked = task in templates and spec.prompt.text == templates[task].text
            same_form = asked and self._same_form(recipe, task)
            same_items = spec.data["validation"] == checksums.get("validation")
            if same_form and same_items and spec.words == settings.tasks[task].words:
                self.codes[task] = [int(code) for code in answers.split()]

    def _same_form(self, recipe: Recipe, task: str) -> bool:
        """Tell if training filled and cut the task's prompts in the same way."""
        there, here = recipe.tasks[task].max_length, self.settings.tasks[task].max_length
        lengths = there or recipe.max_length, here or self.settings.max_length
        return recipe.prompting == self.settings.prompting and lengths[0] == lengths[1]

    def count_changes(self, task: str, predictions: list[str], device: str) -> int:
        """Count validation answers of one of the tasks in `codes` that differ, and print the number.

        Parameters
        ----------
        predictions
            Predicted labels of the task's validation items, in order.
        device
            Type of the device that predicted them.
        """
        words = self.settings.tasks[task].words
        changed = sum(words[code] != word for code, word in zip(self.codes[task], predictions, strict=True))
        print(
            f"{changed} of {len(predictions)} validation answers of {task} differ from those scored in training "
            f"({self._describe(device)})",
            file=sys.stderr,
        )
        return changed

    def _describe(self, device: str) -> str:
        """Describe how training and prediction scored."""
        there, batch = self.summary, self.settings.evaluation.tokens_per_batch
        return (
            f"there: {there['device']}, {there['dtype']}, {there['tokens_per_batch']} tokens per batch; "
            f"here: {device}, {self.settings.dtype}, {batch}"
        )
