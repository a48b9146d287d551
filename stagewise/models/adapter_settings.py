"""Settings of a LoRA adapter that may be somebody else's: which are read, what is refused, and how a layer is scaled.

Importing this module imports no torch.
"""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

from stagewise.errors import InputError
from stagewise.provenance.files import read_json

ADAPTER_CONFIG = "adapter_config.json"

# Settings of PEFT that say which weights an adapter has and how they are scaled, or that change no loaded weight.
_READ = (
    "peft_type",
    "task_type",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "peft_version",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "exclude_modules",
    "target_parameters",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "fan_in_fan_out",
    "use_rslora",
    "use_dora",
    "bias",
    "lora_bias",
    "modules_to_save",
    "trainable_token_indices",
    "ensure_weight_tying",
    "init_lora_weights",
    "eva_config",  # how the factors were drawn
    "megatron_core",  # read with megatron_config alone
    "qalora_group_size",  # read with use_qalora alone
    "auto_mapping",
)

# What the others would do; one that is not here is of another version of PEFT.
_REFUSED = {
    "megatron_config": "imports a module that the file names",
    "layer_replication": "repeats layers of the base model",
    "loftq_config": "changes the base model's weights",
    "corda_config": "changes the base model's weights",
    "lora_ga_config": "changes the base model's weights",
    "kasa_config": "changes the base model's weights",
    "alora_invocation_tokens": "acts after some tokens only, so that a prompt cannot be read once for all labels",
    "use_qalora": "needs a base model quantized by GPTQ",
    "velora_config": "trains in another way than from its weights alone",
    "monteclora_config": "draws its weights anew in every pass",
    "use_bdlora": "keeps blocks of its factors alone",
    "arrow_config": "chooses among several adapters",
}

# Ways to draw the first factors that leave the base model as it is.
_DRAWN = (True, False, "gaussian", "orthogonal", "eva", "mica")

_SOURCE_LIBRARY = re.compile(r"transformers(\.\w+)*")

_LARGEST_RANK = 1024
"""Ranks that a configuration may name without a factor of that size: what it says is allocated before it is checked."""

_SECONDS = 20
"""Longest time that an adapter's patterns may take on the names of a model; usual ones take milliseconds."""

# PEFT's ways to match a pattern: targets, ranks and alphas, numbers of layers, modules to save.
_MATCHES = """
import json, re, sys
patterns, names = json.load(sys.stdin)
for p in patterns:
    for form in ("{}", r"(.*\\.)?({})$", r"(?:^|.*?\\.){}\\.(?P<idx>\\d+)\\.", r"(^|.*\\.){}($|\\..*)"):
        form = re.compile(form.replace("{}", p))
        for name in names:
            form.match(name), form.fullmatch(name)
"""


def read_adapter_settings(folder) -> dict:
    """Read an adapter's ``adapter_config.json``, and refuse one that is more than weights on the base model.

    PEFT imports modules that some settings name, and changes base weights, or the model's layers, for others.

    Raises
    ------
    InputError
        Naming the setting that is refused.
    """
    path = Path(folder) / ADAPTER_CONFIG
    config = read_json(path, "the adapter's configuration")
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        peft_type = config.get("peft_type") if isinstance(config, dict) else config
        raise InputError(f"{path}: peft_type is {str(peft_type)[:40]!r}, but only LORA adapters are read")
    if (task_type := config.get("task_type")) not in (None, "CAUSAL_LM"):
        raise InputError(f"{path}: task_type is {str(task_type)[:40]!r}, but only adapters of CAUSAL_LM are read")
    for key, value in config.items():
        if key not in _READ and value and value != "none":
            why = _REFUSED.get(key, "is unknown to the version of PEFT that is installed")
            raise InputError(f"{path}: '{key[:40]}' {why}, and such an adapter is not read")
    if config.get("init_lora_weights", True) not in _DRAWN:
        raise InputError(
            f"{path}: init_lora_weights {str(config['init_lora_weights'])[:40]!r} changes the base model's weights, "
            "which every adapter shares; save it as plain LoRA with PEFT's path_initial_model_for_weight_conversion"
        )
    mapping = config.get("auto_mapping")
    if mapping and not (
        isinstance(mapping, dict) and _SOURCE_LIBRARY.fullmatch(str(mapping.get("parent_library", "transformers")))
    ):
        raise InputError(f"{path}: auto_mapping names a library other than transformers, which would be imported")
    _check_types(path, config)
    return config


def _check_types(path: Path, config: dict) -> None:
    """Refuse values of types with which no scaling and no layer can be computed."""
    ranks = [config.get("r", 8), *_patterns(config, "rank_pattern").values()]
    if not all(type(rank) is int and rank > 0 for rank in ranks):
        raise InputError(f"{path}: r and the values of rank_pattern must be whole numbers above 0 (got {ranks[:5]})")
    alphas = [config.get("lora_alpha", 8), *_patterns(config, "alpha_pattern").values()]
    if not all(isinstance(alpha, int | float) and math.isfinite(alpha) for alpha in alphas):
        raise InputError(f"{path}: lora_alpha and the values of alpha_pattern must be numbers (got {alphas[:5]})")
    for key in ("target_modules", "exclude_modules", "modules_to_save", "target_parameters", "layers_pattern"):
        value = config.get(key) or []
        if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
            raise InputError(f"{path}: '{key}' must be a name or a list of names")


def _patterns(config: dict, key: str) -> dict:
    value = config.get(key) or {}
    return value if isinstance(value, dict) else {"": value}


def check_ranks(path, config: dict, largest: int) -> None:
    """Refuse ranks far above those of the factors in a file, whose largest rank is given."""
    named = max(config.get("r", 8), *_patterns(config, "rank_pattern").values(), 0)
    if named > max(largest, _LARGEST_RANK):
        raise InputError(f"{path}: its configuration names rank {named}, and its factors have rank {largest} at most")


def check_patterns(path, config: dict, names: list[str]) -> None:
    """Refuse regular expressions that are none, or that take for ever on the names of a model's modules.

    They are tried in a process of its own, which can be stopped.
    """
    lists = [config.get(key) or [] for key in ("modules_to_save", "layers_pattern")]
    texts = [config.get(key) or [] for key in ("target_modules", "exclude_modules")]
    patterns = [text for text in texts if isinstance(text, str)]
    for values in (*lists, _patterns(config, "rank_pattern"), _patterns(config, "alpha_pattern")):
        patterns += [values] if isinstance(values, str) else list(values)
    patterns = [pattern for pattern in patterns if not re.fullmatch(r"[\w.-]+", pattern)]
    if not patterns:
        return
    command = [sys.executable, "-I", "-c", _MATCHES]
    try:
        done = subprocess.run(
            command, input=json.dumps([patterns, names]), capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode:
        problem = "take too long on the names of the model's layers" if done is None else "are no regular expressions"
        raise InputError(f"{path}: its patterns {problem} ({', '.join(patterns)[:200]})")


def layer_scaling(config: dict, layer: str, rank: int) -> float:
    """Scaling of a layer's update: alpha / r, or alpha / sqrt(r) for rsLoRA (Kalajdzievski 2023, arXiv:2312.03732).

    Parameters
    ----------
    layer
        The layer's name in the base model; a pattern of ``alpha_pattern`` may give it another alpha.
    rank
        Rank of its factors.
    """
    alpha = config["lora_alpha"]
    for pattern, value in _patterns(config, "alpha_pattern").items():
        if re.match(rf"(.*\.)?({pattern})$", layer):  # as PEFT matches it
            alpha = value
            break
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def base_model_settings(name: str, origin: dict) -> dict:
    """Name the base model as PEFT and servers look it up: a hub repository at a commit, or the folder ``models/NAME``.

    Parameters
    ----------
    name
        Name of the base model in `models`.
    origin
        Where it comes from, as its receipt and recipes have it.
    """
    if origin.get("hub"):
        return {"base_model_name_or_path": origin["hub"], "revision": origin["revision"]}
    return {"base_model_name_or_path": f"models/{name}", "revision": None}


def name_base_model(folder, name: str, origin: dict) -> None:
    """Write an adapter's base model (`base_model_settings`) into its configuration."""
    path = Path(folder) / ADAPTER_CONFIG
    config = read_json(path, "the adapter's configuration")
    named = config | base_model_settings(name, origin)
    if named != config:
        path.write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")


def with_uniform_scaling(config: dict, rank: int, scaling: float) -> dict:
    """Copy settings for factors of one rank and one scaling in all layers."""
    uniform = {"r": rank, "lora_alpha": scaling * rank, "use_rslora": False}
    return config | uniform | {key: {} for key in ("rank_pattern", "alpha_pattern") if config.get(key)}


def with_layers(config: dict, layers: list[str]) -> dict:
    """Copy settings for layers of these whole names: names with numbers of layers cannot say every set of layers."""
    others = ("exclude_modules", "layers_to_transform", "layers_pattern")
    return config | {"target_modules": layers} | dict.fromkeys(others)


def describe_adapter(config: dict) -> str:
    """Describe an adapter's kind, rank and alpha in words."""
    kind = "".join(name for key, name in (("use_dora", "DoRA, "), ("use_rslora", "rsLoRA, ")) if config.get(key))
    varied = (
        " (other ranks or alphas in some layers)" if config.get("rank_pattern") or config.get("alpha_pattern") else ""
    )
    return f"{kind}r {config['r']}, alpha {config['lora_alpha']:g}{varied}"
