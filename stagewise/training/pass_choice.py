"""Facts about a stage and its device that its passes are chosen by. Importing this module imports no torch."""

from pathlib import Path

from stagewise.training.distributed import items_of_a_process, process_count
from stagewise.training.job import AdapterJob
from stagewise.training.passes import Device, PassChoice, WishedPasses


def gather_pass_choice(
    job: AdapterJob, cached: Path, wished: WishedPasses, tokens_per_batch: int, longest: int
) -> PassChoice:
    """Gather what the passes of a stage are chosen by, before its model is loaded.

    Parameters
    ----------
    cached
        Cache folder of the job's adapter.
    tokens_per_batch
        Padded tokens in a scoring pass, if they fit.
    longest
        Tokens of the longest item.
    """
    from stagewise.models.load import resolve_device
    from stagewise.models.memory_estimate import estimate_memory
    from stagewise.models.module_tree import read_module_tree
    from stagewise.models.out_of_memory import device_memory
    from stagewise.models.receipts import model_files
    from stagewise.training.audit import device_name

    recipe, kind, processes = job.recipe, resolve_device().type, process_count()
    tree = read_module_tree(model_files(job.model_dir))

    def estimate(micro_batch: int, gradient_checkpointing: bool):
        return estimate_memory(
            tree,
            recipe.lora,
            recipe.dtype,
            recipe.quantization,
            longest,
            tokens_per_batch,
            kind,
            micro_batch,
            gradient_checkpointing,
        )

    return PassChoice(
        lineage=recipe.lineage,
        model=recipe.model.name,
        cached=cached,
        wished=wished,
        tokens_per_batch=tokens_per_batch,
        device=Device(kind, device_name(), device_memory().shared_by(processes if kind == "cpu" else 1)),
        items=items_of_a_process(recipe.training.items_per_step, processes),
        longest=longest,
        estimate=estimate,
        can_checkpoint=tree.checkpointing,
    )
