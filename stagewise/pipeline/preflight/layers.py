"""Checks of the layers that adapters are put on."""

from stagewise.config.training import Lora
from stagewise.models.module_tree import ModuleTree, check_head
from stagewise.models.target_modules import adapted_modules
from stagewise.pipeline.planned_adapter import ADAPTERS
from stagewise.pipeline.preflight.check import Finding, check
from stagewise.pipeline.preflight.context import Context
from stagewise.provenance.receipts import RECEIPT
from stagewise.training.adopt import check_fits

_RECURRENT = ("mamba", "rwkv", "recurrent", "linear_attention", "ssm", "gated_delta")


@check("adapted layers", "model", step="training")
def check_layers(context: Context):
    """Target modules are linear layers of this model, and the rank is one that they can use."""
    for lora in context.loras:
        yield from _check_lora(context.tree, lora)


def _check_lora(tree: ModuleTree, lora: Lora):
    adapted = adapted_modules(tree, lora)
    yield Finding(f"{len(adapted)} linear layers, rank {lora.r}")
    narrow = min(adapted.values(), key=lambda module: min(module.inputs, module.outputs))
    if lora.r > (rank := min(narrow.inputs, narrow.outputs)):
        yield Finding(
            f"a layer of {narrow.inputs} by {narrow.outputs}",
            "warning",
            f"config: lora.r is {lora.r}, and the smallest of the adapted layers has rank {rank}: the adapter there "
            "has more weights than the layer; lower lora.r or take that layer out of lora.target_modules",
        )


@check("adopted layers", "model")
def check_adopted_layers(context: Context):
    """Adapters from elsewhere are for layers that this model has, of their sizes."""
    folders = {ADAPTERS / adapter.adopted.folder for adapter in context.adapters.values() if adapter.adopted}
    fetched = sorted(folder for folder in folders if (folder / RECEIPT).is_file())
    for folder in fetched:
        check_fits(folder, context.tree, context.model)
    if folders:
        yield Finding(f"{len(fetched)} adapters fit")


@check("model", "model")
def check_model(context: Context):
    """The model is complete and one that can be trained as set, and what is known about its kind."""
    check_head(context.model_files, context.tree)
    settings = context.model_settings
    wanted = [adapter for adapter in context.trainings if adapter.training.gradient_checkpointing]
    if wanted and not context.tree.checkpointing:
        kind = settings.get("model_type", "this kind")
        yield Finding(
            "no gradient checkpointing",
            "failure",
            f"config: training.gradient_checkpointing is true, and models of type '{kind}' do not have it; set it to "
            "false, and lower training.batch_size if memory is short",
        )
    kinds = {module.kind.lower() for module in context.tree.modules.values()} | set(settings.get("layer_types") or ())
    if any(name in kind for kind in kinds for name in _RECURRENT):
        yield Finding("recurrent layers: each label's answer reads the prompt again", "note")
    yield Finding(f"{settings.get('model_type', 'unknown')}, {context.tree.parameters / 1e6:,.0f} million weights")
