"""Layers that LoRA adapters are put on: what `lora` names, found in a model."""

import re
from pathlib import Path

from stagewise.config.training import ALL_LINEAR, Lora
from stagewise.errors import InputError
from stagewise.models.module_tree import Module, ModuleTree, read_module_tree, text_settings

LLAMA_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""Names of all linear layers of Llama and of `LLAMA_LIKE`, in order."""

LLAMA_LIKE = (
    *("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"),
    *("olmo2", "smollm3", "granite"),
)
"""Values of ``model_type`` whose layers are known without building the model, so that a plan imports no torch."""

_ROUTERS = {"gate", "router", "shared_expert_gate"}
"""Parts of the names of layers that choose or weigh experts; a feed-forward layer of such a name is wider."""

_READ_AS_WEIGHTS = ("dt_proj", "out_proj")
"""Layers of which Mamba's mixers read the weights, past their adapter; PEFT refuses some."""


def with_layer_names(lora: Lora, files: Path) -> Lora:
    """Replace ``all-linear`` by the names of the layers of the model whose files these are.

    Raises
    ------
    InputError
        If the model cannot be built from its configuration, or has no such layer.
    """
    if lora.target_modules != ALL_LINEAR:
        return lora
    if text_settings(files).get("model_type") in LLAMA_LIKE:
        names = list(LLAMA_LAYERS)
    else:
        names = all_linear_names(read_module_tree(files), lora.last_layers)
    return lora.model_copy(update={"target_modules": names})


def target_names(tree: ModuleTree, lora: Lora) -> list[str]:
    """List the names of the layers that `lora` asks for, unchecked."""
    if lora.target_modules == ALL_LINEAR:
        return all_linear_names(tree, lora.last_layers)
    return lora.target_modules


def all_linear_names(tree: ModuleTree, last_layers: int | None = None) -> list[str]:
    """List what ``all-linear`` stands for: the shortest names by which PEFT finds these layers and no others.

    Routers are left out, and so is the output head, as PEFT does it. Experts whose weights are one tensor are no linear
    layers.

    Raises
    ------
    InputError
        If there is none.
    """
    skipped = _skipped_layers(tree)
    layers = [name for name, module in tree.modules.items() if module.linear and name not in skipped]
    names: dict[str, None] = {}
    for layer in layers:
        if _is_among_last(layer, tree, last_layers):
            parts = layer.split(".")
            suffixes = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
            names[next(suffix for suffix in suffixes if tree.called(suffix).keys() <= set(layers))] = None
    if not names:
        raise InputError("config: lora.target_modules is 'all-linear', and the base model has no linear layer there")
    return list(names)


def _skipped_layers(tree: ModuleTree) -> set[str]:
    routers = {
        name
        for name, module in tree.modules.items()
        if module.linear and module.outputs < module.inputs and _ROUTERS & set(name.split("."))
    }
    return routers | {name for name in tree.modules if name == tree.head or _is_read_as_weights(tree, name)}


def _is_read_as_weights(tree: ModuleTree, name: str) -> bool:
    """Tell if a layer is one of `_READ_AS_WEIGHTS` in a mixer of Mamba's kind."""
    parent, _, last = name.rpartition(".")
    mixer = tree.modules.get(parent)
    return (
        last in _READ_AS_WEIGHTS
        and mixer is not None
        and ("Mamba" in mixer.kind or mixer.kind.endswith("Mixer"))
        and f"{parent}.conv1d" in tree.modules
    )


def adapted_modules(tree: ModuleTree, lora: Lora) -> dict[str, Module]:
    """Find the layers that get an adapter, by name, as PEFT does.

    Raises
    ------
    InputError
        For a name that is no linear layer of the model, the output head, more layers than there are, or a rank that
        no layer can use.
    """
    if lora.last_layers is not None and lora.last_layers > tree.layers:
        raise InputError(f"config: lora.last_layers is {lora.last_layers}, but the base model has {tree.layers} layers")
    adapted = {}
    for target in target_names(tree, lora):
        named = _linear_layers(tree, target)
        chosen = {name: module for name, module in named.items() if _is_among_last(name, tree, lora.last_layers)}
        if not chosen:
            raise InputError(
                f"config: lora.target_modules names '{target}', which is in none of the last {lora.last_layers} "
                "decoder layers; raise lora.last_layers or take the name out"
            )
        adapted |= chosen
    largest = max(min(module.inputs, module.outputs) for module in adapted.values())
    if lora.r > largest:
        raise InputError(
            f"config: lora.r is {lora.r}, but the widest layer of lora.target_modules has rank {largest}; lower it"
        )
    return adapted


def _linear_layers(tree: ModuleTree, target: str) -> dict[str, Module]:
    named = tree.called(target)
    choice = f"linear layers are {', '.join(tree.linear_names)}"
    if not named:
        why = "which no layer of the base model is called"
        if target == ALL_LINEAR:
            why = "which is text and no list: write lora.target_modules: all-linear"
        raise InputError(f"config: lora.target_modules names '{target}', {why}; {choice}")
    if tree.head in named:
        raise InputError(
            f"config: lora.target_modules names '{target}', the output head, which stays as it is: labels are scored "
            f"with the base model's; {choice}"
        )
    if any(_is_read_as_weights(tree, name) for name in named):
        raise InputError(
            f"config: lora.target_modules names '{target}', whose weights Mamba's kernels read without an adapter; "
            f"take it out, or set 'all-linear', which is {', '.join(all_linear_names(tree))}"
        )
    other = next((module for module in named.values() if not module.linear), None)
    if other:
        raise InputError(
            f"config: lora.target_modules names '{target}', which is a {other.kind} and no linear layer; {choice}"
        )
    return named


def _is_among_last(name: str, tree: ModuleTree, last: int | None) -> bool:
    """Tell if a module is in one of the last decoder layers; numbers are read as PEFT reads them."""
    if last is None:
        return True
    number = re.match(r".*\.[^.]*\.(\d+)\.", name)
    return number is not None and int(number[1]) >= tree.layers - last


def adapter_parameters(adapted: dict[str, Module], r: int) -> int:
    """Number of an adapter's weights: r · (inputs + outputs) summed over its layers (arXiv:2106.09685, section 4.1)."""
    return sum(r * (module.inputs + module.outputs) for module in adapted.values())
