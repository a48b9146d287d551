"""Write an adapter's recipe: settings, seed and the checksums of model, data, prompts and parents."""

import argparse
import sys

from stagewise.cli import add_settings
from stagewise.config.experiment import Config
from stagewise.config.step_settings import RecipeSettings
from stagewise.config.training import Lora
from stagewise.errors import InputError, exit_on_input_error
from stagewise.models.adopted import describe_adopted_adapter, lora_settings
from stagewise.models.compute_type import resolve, with_compute_type
from stagewise.models.receipts import model_files
from stagewise.models.target_modules import with_layer_names
from stagewise.pipeline.build_recipe import build_recipe
from stagewise.pipeline.planned_model import describe_adopted_model
from stagewise.provenance.receipts import read_receipt
from stagewise.recipe import Recipe, RecipeAdopted, check_parents_numerics, describe_base_model


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.write_recipe", description=__doc__)
    parser.add_argument("--lineage", help="which adapter, if --settings names whole configuration files")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument(
        "--parents", nargs="*", default=[], help="recipes of the adapters it is made from; none for a first stage"
    )
    parser.add_argument("--taken", help="folder of the fetched adapter or model, if the stage takes it from elsewhere")
    parser.add_argument("--output", required=True, help="recipe.json to write")

    def narrow(config: Config) -> RecipeSettings:
        from stagewise.lineage import lineage_tree
        from stagewise.pipeline.build_recipe import recipe_settings

        tree = lineage_tree(config)
        if args.lineage not in tree:
            raise InputError(f"--lineage '{args.lineage}' is not one of {', '.join(tree)}")
        return recipe_settings(with_compute_type(config), tree[args.lineage])

    add_settings(parser, RecipeSettings, narrow)
    args = parser.parse_args(argv)
    settings = args.parse_settings(args.settings)
    settings = settings.model_copy(update={"dtype": resolve(settings.dtype)})
    model = describe_base_model(read_receipt(args.model, "the base model", verify=False))
    parents = [Recipe.read(path) for path in args.parents]
    check_parents_numerics(settings, parents)
    taken = None
    if settings.adopted or settings.tuned_model:
        taken = _taken(settings, args.taken)
    elif args.taken:
        raise InputError(f"--taken: the stage {settings.lineage} takes nothing from elsewhere; leave it out")
    elif not settings.lora_of_parent:
        lora = with_layer_names(settings.lora, model_files(args.model))
        settings = settings.model_copy(update={"lora": lora})
    build_recipe(settings, model, args.data, parents, taken=taken).write(args.output)
    return 0


def _taken(settings: RecipeSettings, folder: str | None) -> tuple[RecipeAdopted, Lora | None]:
    """Describe what a stage takes from elsewhere, and the LoRA of an adapter."""
    if folder is None:
        raise InputError(f"--taken: name the folder of what the stage {settings.lineage} takes from elsewhere")
    if settings.adopted:
        read_receipt(folder, "the fetched adapter")  # every file is as it was fetched
        return describe_adopted_adapter(settings.adopted, folder), lora_settings(folder)
    return describe_adopted_model(read_receipt(folder, "the fetched model", verify=False)), None


if __name__ == "__main__":
    sys.exit(main())
