"""Weight updates of LoRA adapters in files, as NumPy arrays: read, approximated, written.

Importing this module imports no torch.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stagewise.models.adapter_settings import layer_scaling, with_layers, with_uniform_scaling
from stagewise.models.adapters import read_adapter, write_adapter


@dataclass(frozen=True)
class LoraUpdates:
    """An adapter's updates of its layers, `scaling` · b a."""

    folder: Path
    config: dict
    factors: dict[str, tuple[np.ndarray, np.ndarray]]
    """By layer: a of shape (rank, inputs) and b of shape (outputs, rank), float32."""

    @classmethod
    def read(cls, folder) -> "LoraUpdates":
        """Read an adapter's folder (`read_adapter`).

        Raises
        ------
        InputError
            As `read_adapter`.
        """
        config, factors = read_adapter(folder)
        return cls(
            Path(folder), config, {name: (a.float().numpy(), b.float().numpy()) for name, (a, b) in factors.items()}
        )

    @property
    def ranks(self) -> set[int]:
        """Ranks of its layers' updates."""
        return {len(a) for a, _ in self.factors.values()}

    @property
    def rank(self) -> int:
        """Largest rank of a layer's update."""
        return max(self.ranks)

    def scaling(self, layer: str) -> float:
        """Scaling of a layer's update, 1 if the adapter leaves the layer alone."""
        return layer_scaling(self.config, layer, len(self.factors[layer][0])) if layer in self.factors else 1.0

    def factors_of(self, layer: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Factors of a layer's update with `shape`, filled up with zeros to the adapter's `rank`."""
        outputs, inputs = shape
        a, b = self.factors.get(layer, (np.zeros((0, inputs), np.float32), np.zeros((outputs, 0), np.float32)))
        lacking = self.rank - len(a)
        return (np.pad(a, ((0, lacking), (0, 0))), np.pad(b, ((0, 0), (0, lacking)))) if lacking else (a, b)

    def update(self, layer: str, shape: tuple[int, int]) -> np.ndarray:
        """Update of a layer, of shape (outputs, inputs); zeros if the adapter leaves the layer alone."""
        a, b = self.factors_of(layer, shape)
        return np.float32(self.scaling(layer)) * (b @ a)


def layer_shapes(adapters: list[LoraUpdates]) -> dict[str, tuple[int, int]]:
    """Shape (outputs, inputs) of every layer that some adapter changes, sorted by name."""
    shapes = {name: (len(b), a.shape[1]) for adapter in adapters for name, (a, b) in adapter.factors.items()}
    return dict(sorted(shapes.items()))


def best_approximation(update: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Factor an update's best approximation of some rank (Eckart & Young 1936, doi:10.1007/BF02288367).

    The leading singular vectors of the shorter side are eigenvectors of its Gram matrix, in double precision; the
    singular value decomposition of a large layer would take several times as long.

    Parameters
    ----------
    update
        Shape (outputs, inputs).
    rank
        Rank of the factors; where it is above the update's shorter side, the last ones are zero.

    Returns
    -------
    a of shape (rank, inputs), its rows orthonormal as far as the update has that rank, and b of shape (outputs, rank),
    both float32; and the share of the update's squared norm that b a has, 1 for an update of zeros.
    """
    from scipy.linalg import eigh

    exact = update.astype(float)
    is_tall = update.shape[0] > update.shape[1]
    short = exact.T if is_tall else exact
    count = min(rank, len(short))
    _, vectors = eigh(short @ short.T, subset_by_index=(len(short) - count, len(short) - 1))
    vectors = vectors[:, ::-1]
    along = vectors.T @ short
    values = np.linalg.norm(along, axis=1)
    along /= np.where(values > 0, values, 1)[:, None]
    a, b = np.zeros((rank, update.shape[1]), np.float32), np.zeros((update.shape[0], rank), np.float32)
    a[:count], b[:, :count] = (vectors.T, along.T * values) if is_tall else (along, vectors * values)
    norm = np.square(exact).sum()
    return a, b, float(np.square(values).sum() / norm) if norm else 1.0


def write_updates(folder, adapters: list[LoraUpdates], rank: int, factors: dict) -> None:
    """Write an adapter made of `adapters`, whose updates are b a: settings are the last one's, besides rank and layers.

    Parameters
    ----------
    factors
        (a, b) by layer, as `LoraUpdates.factors`.
    """
    import torch

    config = with_uniform_scaling(adapters[-1].config, rank, 1)
    if set(factors) != set(adapters[-1].factors):
        config = with_layers(config, list(factors))
    write_adapter(folder, config, {name: tuple(map(torch.from_numpy, pair)) for name, pair in factors.items()})
