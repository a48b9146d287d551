"""Records of benchmarks: where they are, and what they say about the machine."""

import pytest

from benchmarks.records import describe_machine, machine_name, read_records, write_record
from stagewise.errors import InputError

MACHINE = {"cpu": "AMD EPYC 9654", "flags": ["avx2", "avx512f", "avx512_bf16"], "cores": 2, "gpu": None}


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = write_record("training", {"threads": 2}, {"runs": {"a": [1.5]}}, tmp_path)
    machine = describe_machine()
    assert path == tmp_path / machine_name(machine) / "training.json"
    (record,) = read_records(tmp_path)["training"].values()
    assert record["machine"] == machine and machine["cores"] > 0 and machine["memory_gb"] > 0
    assert record["settings"] == {"threads": 2} and record["runs"] == {"a": [1.5]}
    assert len(record["commit"]) == 40 and len(record["date"]) == 10 and "torch" in record["packages"]


def test_machines_of_other_flags_or_gpus_have_other_folders():
    assert machine_name(MACHINE) == "amd-epyc-9654-avx512-bf16-2-cores"
    assert machine_name(MACHINE | {"flags": ["avx2"]}) == "amd-epyc-9654-2-cores"
    gpu = {"name": "NVIDIA H100", "driver": "580.1", "memory_mib": 81559}
    assert machine_name(MACHINE | {"gpu": gpu, "flags": []}) == "nvidia-h100-2-cores"


def test_a_record_under_another_name_is_refused(tmp_path):
    path = write_record("training", {}, {}, tmp_path)
    path.rename(path.with_name("scoring.json"))
    with pytest.raises(InputError, match="no record of 'scoring'"):
        read_records(tmp_path)
