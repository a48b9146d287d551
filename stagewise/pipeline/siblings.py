"""The trainings of a run that start from the same parent: one process may do several of them.

Each training's command names a file with its family, which `stagewise.training.siblings` reads. The path says which
family it is, so that a job's own process names the same one; the run writes the content when it starts.
"""

from collections.abc import Iterable
from pathlib import Path

from stagewise.lineage import Adapter
from stagewise.provenance.files import write_json
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.memory import FOLDER

SIBLINGS = FOLDER / "stagewise-siblings"


def siblings_file(results, adapter: Adapter) -> Path:
    """Path of the file with an adapter's family: those that are trained from the same parent."""
    return SIBLINGS / f"{fingerprint([str(results), adapter.parent or adapter.base])[:16]}.json"


def write_siblings(results, adapters: Iterable[Adapter]) -> None:
    """Write the families of the adapters that a run trains."""
    families: dict[Path, list[dict]] = {}
    for adapter in adapters:
        entry = {
            "recipe": str(Path(results) / adapter.lineage / "recipe.json"),
            "data": str(Path(results) / adapter.data),
        }
        families.setdefault(siblings_file(results, adapter), []).append(entry)
    for path, family in families.items():
        write_json(path, {"adapters": family})
