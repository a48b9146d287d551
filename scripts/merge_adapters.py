"""Make one adapter of finished ones, without any training, from its recipe."""

import argparse
import sys
from functools import partial
from pathlib import Path

from stagewise.cli import add_image
from stagewise.errors import InputError, exit_on_input_error
from stagewise.recipe import Recipe
from stagewise.training.save_adapter import check_inputs, finished_or


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.merge_adapters", description=__doc__)
    parser.add_argument("--recipe", required=True, help="the adapter's recipe.json")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument("--parents", required=True, nargs="+", help="folders of the adapters, in the recipe's order")
    parser.add_argument("--checkpoints", required=True, help="folder for finished adapters, kept by fingerprint")
    parser.add_argument("--output", required=True, help="folder to write the adapter to")
    add_image(parser)
    args = parser.parse_args(argv)

    recipe = Recipe.read(args.recipe)
    if recipe.training:
        raise InputError(f"{args.recipe}: this adapter is trained; see scripts.train_adapter")
    parents = check_inputs(args.recipe, recipe, args.model, args.data, args.parents)
    make = partial(merge, recipe, args, parents)
    finished_or(recipe, parents, args.checkpoints, args.output, make, args.image)
    return 0


def merge(recipe: Recipe, args, parents: list[dict], store: Path) -> None:
    """Leave the merged adapter in ``store/adapter``."""
    from stagewise.models.torch_environment import before_torch

    before_torch()
    import shutil
    import tempfile
    import time

    from stagewise.models.adapters import adapter_folder
    from stagewise.models.load import load_base, load_tokenizer, resolve_device
    from stagewise.training.save_adapter import package_versions, save

    _, remedy = recipe.remedies.afterwards
    store.mkdir(parents=True, exist_ok=True)
    started, device = time.monotonic(), resolve_device()
    with tempfile.TemporaryDirectory(dir=store, prefix=".merged-") as made:
        remedy.merge(
            [adapter_folder(path) for path in args.parents],
            Path(made),
            lambda: load_base(args.model, recipe.quantization, recipe.dtype),
            recipe.seed,
        )
        summary = {
            "fingerprint": recipe.fingerprint,
            "lineage": recipe.lineage,
            "task": recipe.task_name,
            "steps": 0,
            "seconds": round(time.monotonic() - started, 3),
            "tokens": 0,
            "extra_tokens": 0,
            "device": device.type,
            "dtype": recipe.dtype,
            "packages": package_versions(),
        }
        save(
            store,
            args.recipe,
            recipe,
            summary,
            parents,
            load_tokenizer(args.model),
            lambda folder: shutil.copytree(made, folder, dirs_exist_ok=True),
            [],
            args.image,
        )


if __name__ == "__main__":
    sys.exit(main())
