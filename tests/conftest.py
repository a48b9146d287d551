"""Environment and models of all tests: no network, no GPU, patient threads, one tiny model per session."""

import gc
import os
import sys

# Set before torch is imported: a spinning OpenMP pool starves its neighbours (see models/torch_environment.py).
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
# On any machine: a GPU's last bits differ between two runs, and the development environment's torch may know none.
os.environ.setdefault("STAGEWISE_DEVICE", "cpu")
for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
    os.environ.pop(name, None)
# Removed from the environment: a test gets the real data only from the fixture `real_data`.
# The processes that pytest-xdist starts find it under the second name, which no code of the project reads.
MIRROR = os.environ.pop("STAGEWISE_MIRROR", None) or os.environ.get("PYTEST_REAL_DATA")
if MIRROR:
    os.environ["PYTEST_REAL_DATA"] = MIRROR

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

_modules_before = 0


def pytest_runtest_setup():
    """Let the garbage collector leave alone what was imported: each training collects, through all of torch."""
    global _modules_before
    if len(sys.modules) > _modules_before + 300:
        _modules_before = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def gpus_as_before():
    """A step that hides GPUs does so for its process, which is a test's own only until the test ends."""
    names = ("STAGEWISE_DEVICE", "CUDA_VISIBLE_DEVICES")
    before = {name: os.environ[name] for name in names if name in os.environ}
    yield
    for name in names:
        os.environ.pop(name, None)
    os.environ |= before


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real PubMedQA and Dreaddit, named by STAGEWISE_MIRROR."""
    if not MIRROR or not Path(MIRROR).is_dir():
        pytest.skip("no real data: name their folder in STAGEWISE_MIRROR")
    return Path(MIRROR)


@pytest.fixture(scope="session")
def embedded_model(tmp_path_factory) -> Path:
    """Folder of the default experiment's model: the checkout's if a run has left it there, else fetched once."""
    from scripts import fetch_model
    from stagewise.config.load_config import load
    from stagewise.provenance.receipts import read_receipt

    root = Path(__file__).resolve().parent.parent
    config = load(root / "config.yaml")
    folder = root / "models" / config.model
    if (folder / "receipt.json").is_file() and read_receipt(folder, "the base model"):
        return folder
    folder = tmp_path_factory.mktemp("models") / config.model
    settings = config.base_models[config.model].model_dump_json(exclude_defaults=True)
    assert fetch_model.main(["--settings", settings, "--name", config.model, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Folder of a tiny random Llama with tokenizer, chat template and receipt. Read only: copy it to change it."""
    from tests.helpers import tiny_llama

    return tiny_llama.build(tmp_path_factory.mktemp("models") / "tiny")
