"""Compute types by name: what ``auto`` stands for, decided once per experiment. Imports no torch."""

from pathlib import Path

from stagewise.config.experiment import Config
from stagewise.errors import InputError
from stagewise.lineage import BASE, lineage_tree
from stagewise.models.gpus import gpu_capability
from stagewise.provenance.receipts import RECEIPT
from stagewise.provenance.sealed_json import read_sealed
from stagewise.recipe import Recipe

COMPUTE_TYPES = ("float32", "bfloat16")

# From this CUDA compute capability on, GPUs multiply bfloat16 in hardware.
_BFLOAT16_CAPABILITY = (8, 0)


def resolve(name: str) -> str:
    """Resolve ``auto`` by this machine's hardware; other names stay.

    It is bfloat16 on GPUs that compute in it (CUDA compute capability 8.0 and above), and float32 on older ones and on
    every CPU: many of those that have avx512_bf16, without AMX, are slower in bfloat16, and a type by the kind of CPU
    would make one experiment into two.
    """
    if name != "auto":
        return name
    capability = gpu_capability()
    return "bfloat16" if capability is not None and capability >= _BFLOAT16_CAPABILITY else "float32"


def lacks_bfloat16(capability: tuple[int, int] | None) -> bool:
    """Tell if a GPU of this compute capability does not compute in bfloat16; False if there is no GPU."""
    return capability is not None and capability < _BFLOAT16_CAPABILITY


def check_compute_type(name: str, capability: tuple[int, int] | None) -> None:
    """Refuse bfloat16 on a GPU that does not compute in it, where it would be slower than float32.

    Raises
    ------
    InputError
        If the type is bfloat16 and the GPU, of this compute capability, is older than Ampere.
    """
    if name == "bfloat16" and lacks_bfloat16(capability):
        raise InputError(
            f"dtype: this GPU has compute capability {capability[0]}.{capability[1]} and does not compute in bfloat16; "
            "take one of Ampere or newer (8.0: A100, RTX 30), or set dtype to float32 for a new experiment"
        )


def experiment_compute_type(config: Config, results, gpu_jobs: bool = False) -> str:
    """Resolve the compute type of an experiment.

    ``auto`` keeps the type of what is finished below `results`, so that planning on another machine makes nothing
    stale; only if nothing is finished does hardware decide.

    Parameters
    ----------
    config
        The experiment.
    results
        Its results folder.
    gpu_jobs
        True if the profile has trainings ask for GPUs: theirs count then, and are taken to be of Ampere or newer, not
        this machine's, which may be a login node.
    """
    if config.dtype != "auto":
        return config.dtype
    return finished_compute_type(config, results) or ("bfloat16" if gpu_jobs else resolve("auto"))


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
