"""Compute types by name: what ``auto`` stands for, decided once per experiment. Imports no torch."""

from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.errors import InputError
from stagewise.lineage import BASE, lineage_tree
from stagewise.models.gpus import gpu_capability
from stagewise.models.torch_environment import cpu_has_bfloat16
from stagewise.provenance.receipts import RECEIPT
from stagewise.provenance.sealed_json import read_sealed
from stagewise.recipe import Recipe

COMPUTE_TYPES = ("float32", "bfloat16")

# From this CUDA compute capability on, GPUs multiply bfloat16 in hardware.
_BFLOAT16_CAPABILITY = (8, 0)


def resolve(name: str) -> str:
    """Resolve ``auto`` by this machine's hardware; other names stay.

    It is bfloat16 if the hardware computes in it (CUDA compute capability 8.0 and above, CPUs with avx512_bf16 or
    amx_bf16), else float32.
    """
    if name != "auto":
        return name
    capability = gpu_capability()
    native = cpu_has_bfloat16() if capability is None else capability >= _BFLOAT16_CAPABILITY
    return "bfloat16" if native else "float32"


def experiment_compute_type(config: Config, results) -> str:
    """Resolve the compute type of an experiment.

    ``auto`` keeps the type of what is finished below `results`, so that planning on another machine makes nothing
    stale; only if nothing is finished does this machine's hardware decide.
    """
    if config.dtype != "auto":
        return config.dtype
    return finished_compute_type(config, results) or resolve("auto")


def with_compute_type(config: Config) -> Config:
    """Replace ``auto`` in a configuration by the experiment's compute type."""
    return config.model_copy(update={"dtype": experiment_compute_type(config, config.results)})


def finished_compute_type(config: Config, results) -> str | None:
    """Compute type that the experiment's recipes or the base model's predictions name; None if there are none."""
    results = Path(results)
    files = [results / lineage / "recipe.json" for lineage in lineage_tree(config)]
    for path in [*files, results / BASE / "predictions" / RECEIPT]:
        try:
            name = Recipe.read(path).dtype if path.name == "recipe.json" else _read_dtype(path)
        except (InputError, OSError):
            continue  # missing, edited or damaged: it is made again
        if name in COMPUTE_TYPES:
            return name
    return None


def _read_dtype(receipt: Path) -> str | None:
    return read_sealed(receipt, "the predictions' receipt").get("dtype")
