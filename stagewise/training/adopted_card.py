"""The card beside an adapter, or a model, that was taken from elsewhere."""

from pathlib import Path

from stagewise.models.adapter_settings import describe_adapter
from stagewise.provenance.files import read_json
from stagewise.recipe import Recipe


def write_adopted_card(folder: Path, recipe: Recipe) -> None:
    """Write ``README.md``: where it comes from, by name and checksum, and what is known of it."""
    adopted, lora = recipe.adopted, recipe.lora
    origin = ", ".join(f"{key} `{value}`" for key, value in adopted.origin.items())
    rows = [("origin", origin or "a local folder")]
    rows += [(f"SHA-256 of {name}", f"`{sha256}`") for name, sha256 in adopted.files.items()]
    if adopted.kind == "adapter":
        kind = describe_adapter(read_json(folder / "adapter_config.json", "the adapter's configuration"))
        rows.append(("LoRA", f"{kind}, dropout {lora.dropout:g}, on {', '.join(lora.target_modules)}"))
    rows.append(("tasks that it learnt elsewhere", ", ".join(f"`{name}`" for name in recipe.learns) or "not said"))
    what = "A LoRA adapter" if adopted.kind == "adapter" else "A fully fine-tuned model, named in `model.json`,"
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    text = f"""---
library_name: peft
base_model: {recipe.model.name}
tags: [lora]
---

# {recipe.lineage}

{what} from elsewhere, beside the base model `{recipe.model.name}`; nothing was trained here. Its own licence holds.
Fingerprint `{recipe.fingerprint}`.

| fact | value |
|---|---|
{table}
"""
    (folder / "README.md").write_text(text, encoding="utf-8")
