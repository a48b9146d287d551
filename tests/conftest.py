"""What every test relies on: no network, patient threads, one tiny model a session."""

import os

# Before torch is imported by anything: a spinning OpenMP pool starves its neighbours (see forgetting.numerics).
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "FORGETTING_MIRROR"):
    os.environ.pop(name, None)

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Folder of a tiny random Llama with tokenizer, chat template and receipt. Read only: copy it to change it."""
    from tests import tiny

    return tiny.build(tmp_path_factory.mktemp("models") / "tiny")
