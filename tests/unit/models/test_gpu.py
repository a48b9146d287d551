"""Whether torch can use the GPU."""

import pytest

from stagewise.models import gpu


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (["sm_70", "sm_80", "sm_90"], (8, 6), True),  # machine code of the same major version
        (["sm_75", "sm_80"], (7, 0), False),  # a V100 with a build from its successor on
        (["sm_80", "sm_90a"], (9, 0), True),
        (["sm_80"], (9, 0), False),
        (["sm_80", "compute_90"], (12, 0), True),  # intermediate code is compiled when it is loaded
        ([], (9, 0), True),
    ],
)
def test_a_build_runs_on_the_capabilities_it_has_code_for(architectures, capability, runs):
    assert gpu.supports(architectures, *capability) is runs


def test_a_device_that_cannot_be_opened_is_not_there(tmp_path, monkeypatch):
    """A batch job without a GPU sees the node's device files and may not open them."""
    monkeypatch.setattr(gpu, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu.accessible_gpus() == 0
    (tmp_path / "nvidia0").write_text("")
    (tmp_path / "nvidia1").symlink_to("gone")
    (tmp_path / "nvidiactl").write_text("")
    assert gpu.accessible_gpus() == 1
    monkeypatch.setenv("APPTAINER_CONTAINER", "image.sif")  # without the driver
    assert gpu.accessible_gpus() == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpu.accessible_gpus() == 1
    for hidden in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert gpu.accessible_gpus() == 0
