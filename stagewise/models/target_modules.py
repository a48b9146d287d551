"""Layers that LoRA adapters are put on: what `lora` names, found in a model."""

import re

from stagewise.config.training import Lora
from stagewise.errors import InputError
from stagewise.models.module_tree import Module, ModuleTree


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
    for target in lora.target_modules:
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
        raise InputError(f"config: lora.target_modules names '{target}', {why}; {choice}")
    if tree.head in named:
        raise InputError(
            f"config: lora.target_modules names '{target}', the output head, which stays as it is: labels are scored "
            f"with the base model's; {choice}"
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
