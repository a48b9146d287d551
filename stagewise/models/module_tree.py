"""Names, kinds and sizes of a model's modules, without its weights. Importing this module imports no torch."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from stagewise.errors import InputError
from stagewise.models.model_folder import check_configuration, weight_names
from stagewise.provenance.files import read_json, sha256_file
from stagewise.provenance.memory import FOLDER, read_memory, write_memory
from stagewise.provenance.packages import package_versions

_MEMORY = FOLDER / "stagewise-module-trees.json"
_VERSION = 3
_KEPT = 8
"""Model configurations that are remembered."""

_STORED_HEADS = ("embed_out", "head", "lm_head", "unembed")
"""Names of heads in checkpoints that transformers renames as it loads them, such as GPT-NeoX's."""

NO_HEAD = "a classifier or reward model has no output head: name the language model that it was made from"


@dataclass(frozen=True)
class Module:
    """A module of a model."""

    kind: str
    """Class, such as ``Linear`` or ``LlamaRMSNorm``."""
    linear: bool
    """True if it is a layer that multiplies by one weight matrix."""
    inputs: int = 0
    outputs: int = 0


@dataclass(frozen=True)
class ModuleTree:
    """The modules of a causal language model."""

    modules: dict[str, Module]
    """By dotted name, the containers too."""
    head: str | None
    """Name of the output head."""
    layers: int
    """Decoder layers."""
    hidden: int
    """Width of the hidden states."""
    parameters: int
    checkpointing: bool
    """True if activations can be computed again instead of being kept."""
    tied: bool
    """True if the head's weight is that of the embeddings, so that a checkpoint need not have it."""

    @classmethod
    def of(cls, model) -> "ModuleTree":
        """Describe a model of transformers; its weights may be on the meta device."""
        import torch
        from transformers.pytorch_utils import Conv1D

        modules = {}
        for name, module in model.named_modules():
            kind = type(module).__name__
            if isinstance(module, torch.nn.Linear):
                modules[name] = Module(kind, True, module.in_features, module.out_features)
            elif isinstance(module, Conv1D):  # GPT-2's name for a linear layer with a transposed weight
                modules[name] = Module(kind, True, module.nx, module.nf)
            elif name:
                modules[name] = Module(kind, False)
        inputs, output = model.get_input_embeddings(), model.get_output_embeddings()
        text = model.config.get_text_config()
        return cls(
            modules=modules,
            head=next((name for name, module in model.named_modules() if module is output), None),
            layers=text.num_hidden_layers,
            hidden=text.hidden_size,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            checkpointing=model.supports_gradient_checkpointing,
            tied=getattr(output, "weight", None) is getattr(inputs, "weight", None),
        )

    @property
    def linear_names(self) -> list[str]:
        """Last parts of the names of all linear layers but the head, in order."""
        names = (name.rpartition(".")[2] for name, m in self.modules.items() if m.linear and name != self.head)
        return list(dict.fromkeys(names))

    def called(self, target: str) -> dict[str, Module]:
        """Modules that a name of ``lora.target_modules`` means: its own, or those whose dotted name ends with it."""
        return {n: module for n, module in self.modules.items() if n == target or n.endswith(f".{target}")}


def read_module_tree(files: Path) -> ModuleTree:
    """Build the modules that a model's ``config.json`` describes on the meta device: no weight is read.

    The tree is remembered by the file's content and the version of transformers, so that torch is imported once.

    Raises
    ------
    InputError
        If transformers cannot build a causal language model of it without custom code, or a hub's.
    """
    _refuse_hub_kernels(Path(files))
    path = Path(files) / "config.json"
    key = f"{sha256_file(path)} {package_versions().get('transformers')}"
    trees = read_memory(_MEMORY, f"module trees {_VERSION}")
    if key not in trees:
        tree = asdict(ModuleTree.of(_on_meta(files)))
        trees = dict(list(trees.items())[1 - _KEPT :]) | {key: tree}
        if Path(_MEMORY).parent.is_dir():  # not wherever a model is asked by hand
            write_memory(_MEMORY, f"module trees {_VERSION}", trees)
    values = trees[key]
    modules = {name: Module(**module) for name, module in values["modules"].items()}
    return ModuleTree(**values | {"modules": modules})


def check_head(files: Path, tree: ModuleTree) -> None:
    """Refuse a checkpoint without the model's output head, which would be random; no weight is read.

    Raises
    ------
    InputError
        If no weight of the files is one of the head, and the head is not that of the embeddings.
    """
    if tree.head is None or tree.tied:
        return
    heads = {tree.head.rpartition(".")[2], *_STORED_HEADS}
    if not any(heads & set(name.split(".")) for name in weight_names(Path(files))):
        raise InputError(f"{files}: the weight {tree.head}.weight is missing and would be random; {NO_HEAD}")


def _refuse_hub_kernels(files: Path) -> None:
    """Refuse a configuration that names a hub repository for its attention: transformers would run code from there."""
    config = check_configuration(files)
    for key in ("attn_implementation", "_attn_implementation"):
        if "/" in str(config.get(key, "")):
            raise InputError(f"{files / 'config.json'}: {key} names code on a hub, which is not run; take it out")


def _on_meta(files: Path):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(files, trust_remote_code=False, local_files_only=True)
        _check_decoder(files, config)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (ValueError, OSError, KeyError, AttributeError, ImportError, json.JSONDecodeError) as error:
        raise InputError(
            f"{files}: the model cannot be loaded ({' '.join(str(error).split())[:200]}); get config.json again, or "
            "take a model that the installed version of transformers can build"
        ) from None


def _check_decoder(files: Path, config) -> None:
    """Refuse models that do not predict a next token from those before it.

    Encoders have a class for causal language models too, which reads in both directions unless ``is_decoder`` is set.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    kind = None
    if config.is_encoder_decoder:
        kind = "an encoder with a decoder"
    elif type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False):
        kind = "an encoder"
    elif type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        kind = "no language model of transformers"
    if kind:
        name = next(iter(config.architectures or ()), config.model_type)
        raise InputError(
            f"{files}: {name} is {kind}, and labels are scored as what follows a prompt; name a decoder, such as a "
            "Llama, Qwen or Gemma model"
        )


def text_settings(files) -> dict:
    """Read a model's ``config.json``: the settings of its text part if it has several."""
    values = read_json(Path(files) / "config.json", "the model's configuration")
    inner = values.get("text_config")
    return values | inner if isinstance(inner, dict) else values
