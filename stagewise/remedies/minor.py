"""Minor: learn in the directions that the weights use least."""

from pathlib import Path
from typing import ClassVar

from stagewise.remedies.base import Remedy, StartContext


class Minor(Remedy):
    """MiLoRA (Wang et al. 2024): a new LoRA that starts as the minor singular components of the weights.

    With U S V^T the parent's weight (the base model's and its LoRA's), B starts as U_m sqrt(S_m) and A as sqrt(S_m)
    V_m^T, where m are the components with the `lora.r` smallest singular values. The base model's files do not change,
    so a frozen part of the adapter takes them off again: its rank grows by twice `lora.r`.
    """

    paper: ClassVar[str] = "Wang et al. 2024 (MiLoRA), arXiv:2406.09044"
    new_lora: ClassVar[bool] = True

    def start(self, context: StartContext) -> Path | None:
        import torch

        from stagewise.models.adapters import read_adapter, write_adapter

        config, factors = read_adapter(context.adapter)
        new_rank, scaling = context.lora.r, config["lora_alpha"] / config["r"]
        for name, (a, b) in factors.items():
            is_trained = bool(a[-new_rank:].any())
            a, b = a[:-new_rank], b[:, :-new_rank]
            minor_a, minor_b = torch.zeros(new_rank, a.shape[1]), torch.zeros(len(b), new_rank)
            if is_trained:
                weight = layer_weight(context.base.get_submodule(name))
                update = scaling * (b.to(weight.device, weight.dtype) @ a.to(weight.device, weight.dtype))
                left, right = minor_components(weight + update, new_rank)
                minor_a[: len(right)] = right / scaling**0.5
                minor_b[:, : len(right)] = left / scaling**0.5
            factors[name] = torch.cat([a, minor_a, minor_a]), torch.cat([b, -minor_b, minor_b], 1)
        rank = config["r"] + new_rank
        write_adapter(context.folder, config | {"r": rank, "lora_alpha": scaling * rank}, factors)
        return context.folder


def layer_weight(layer):
    """Read a linear layer's weight, dequantized, as float64 of shape (outputs, inputs)."""
    weight = layer.weight.data
    if state := getattr(layer.weight, "quant_state", None):
        from bitsandbytes.functional import dequantize_4bit

        weight = dequantize_4bit(weight, state)
    # GPT-2's linear layers have theirs transposed.
    return (weight.T if type(layer).__name__ == "Conv1D" else weight).double()


def minor_components(weight, rank: int):
    """Split the part of a matrix with the smallest singular values: U_m sqrt(S_m) and sqrt(S_m) V_m^T.

    The singular vectors of the shorter side are the eigenvectors of the product of the matrix with its transpose, which
    takes a fraction of the time of a singular value decomposition.

    Parameters
    ----------
    weight
        Shape (outputs, inputs), float64.
    rank
        Number of components; fewer are returned if the matrix has no more.

    Returns
    -------
    left, right
        Shapes (outputs, components) and (components, inputs), the smallest first.
    """
    import torch

    if weight.shape[0] > weight.shape[1]:
        left, right = minor_components(weight.T, rank)
        return right.T, left.T
    _, vectors = torch.linalg.eigh(weight @ weight.T)  # in ascending order
    left = vectors[:, :rank]
    right = left.T @ weight
    root = right.norm(dim=1).sqrt()
    return left * root, right / root.clamp(min=torch.finfo(root.dtype).tiny)[:, None]
