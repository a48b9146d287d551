"""What every test relies on: no network, patient threads, one tiny model a session."""

import os

# Before torch is imported by anything: a spinning OpenMP pool starves its neighbours (see forgetting.numerics).
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
    os.environ.pop(name, None)
# Out of the environment too: a test finds the real data only by asking for `real_data`.
MIRROR = os.environ.pop("FORGETTING_MIRROR", None)

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Mirror folder with the real PubMedQA and Dreaddit: FORGETTING_MIRROR, or ../shared/data beside the checkout."""
    folder = Path(MIRROR) if MIRROR else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is missing; name its folder with FORGETTING_MIRROR")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Folder of a tiny random Llama with tokenizer, chat template and receipt. Read only: copy it to change it."""
    from tests import tiny

    return tiny.build(tmp_path_factory.mktemp("models") / "tiny")
