"""The card beside an adapter: valid metadata, and nothing of this machine."""

import pytest
from huggingface_hub import ModelCard

from stagewise.provenance.files import write_json
from stagewise.training.model_card import format_card, table, write_card
from tests.helpers.toy_task import write_toy_recipe, write_toy_split

HUB = {"hub": "someone/tiny-llama", "revision": "0" * 40}
SUMMARY = {
    "dtype": "float32", "items": 16, "epochs": 2.0, "steps": 8, "final_loss": 0.5, "best_eval_loss": None,
    "best_eval_step": None, "shortened": 0, "seconds": 3.2, "tokens_per_second": 100.0, "peak_memory_bytes": 2**30,
    "device": "cpu", "packages": {"torch": "2"},
}  # fmt: skip


@pytest.fixture
def card(tmp_path, tiny_model):
    """A function that writes the card of a recipe with these changes, and reads it."""
    data = write_toy_split(tmp_path / "data")

    def write(model=None, summary=SUMMARY, written=(), **changes) -> ModelCard:
        recipe = write_toy_recipe(tmp_path, tiny_model, data, **changes)
        if model is not None:
            recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"origin": model})})
        config = {"r": 4, "lora_alpha": 8, "target_modules": ["v_proj", "q_proj"]} | dict(written)
        write_json(tmp_path / "adapter_config.json", config)
        write_card(tmp_path, recipe, summary)
        return ModelCard.load(tmp_path / "README.md")

    return write


def test_the_base_model_is_a_repository_or_left_out(card):
    """A key of the configuration would be looked up on the hub, where it may be somebody else's."""
    assert card().data.base_model is None and "base_model_relation" not in card().data.to_dict()
    data = card(HUB).data.to_dict()
    assert (data["base_model"], data["base_model_relation"]) == ("someone/tiny-llama", "adapter")
    assert (data["library_name"], data["pipeline_tag"]) == ("peft", "text-generation")


def test_settings_and_results_stand_in_tables(card):
    text = card().text
    assert "| LoRA | r 4, alpha 8, dropout 0.05, on q_proj, v_proj |" in text
    assert "| best validation loss | unknown at step None |" in text and "| time, speed, peak memory | 3 s, 100" in text
    assert "trained on `toy` (stress, no stress),\nstarting from the base model" in text
    assert "| LoRA | DoRA, r 4" in card(written={"use_dora": True, "target_modules": "all-linear"}).text


def test_an_adapter_from_elsewhere_was_not_merged(card):
    text = card(training=None, remedies={}).text
    assert "taken from elsewhere, where it learnt `toy`" in text and "merged" not in text


def test_metadata_of_the_hubs_own_class_and_cells_on_one_line():
    card = ModelCard(format_card("# Title\n\ntext: ---\n", tags=["a"], license=None))
    assert card.data.to_dict() == {"pipeline_tag": "text-generation", "tags": ["a"]}
    assert card.text.strip() == "# Title\n\ntext: ---"
    assert table(["a", "b"], [("x|y", "two\nlines")]).splitlines()[2] == r"| x\|y | two lines |"
