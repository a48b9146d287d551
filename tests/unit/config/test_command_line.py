"""Files of ``--configfile`` that Snakemake would refuse in its own words."""

import pytest

from stagewise.config.command_line import check_config_files, config_files


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("--cores 2 all", []),
        ("--configfile a.yaml b.yaml --cores 2", ["a.yaml", "b.yaml"]),
        ("-n --configfile a.yaml -- all", ["a.yaml"]),
        ("--configfile=a.yaml --configfiles b.yaml", ["a.yaml", "b.yaml"]),
        ("--config a=1 b=2 --configfile c.yaml", ["c.yaml"]),
    ],
)
def test_the_files_of_a_command_line(line, files):
    assert config_files(line.split()) == files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"experiment: caf\xe9\n", "UTF-8"),
        ("experiment: x\n".encode("utf-16"), "UTF-8"),
        (b"? [a, b]\n: 1\n", "key"),
        (b"training: {epochs: 3\n", "YAML"),
        (b"- 1\n", "mapping"),
        (b"# nothing\n", "holds no settings"),
        (b"", "holds no settings"),
        (None, "no such"),
    ],
)
def test_what_snakemake_cannot_read_is_one_sentence(tmp_path, content, says):
    path = tmp_path / "x.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as stop:
        check_config_files(["-n", "--configfile", str(path)])
    sentence = str(stop.value)
    assert sentence.startswith(f"error: {path}") and says.lower() in sentence.lower() and "\n" not in sentence
