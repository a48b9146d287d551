"""Snakemake's log says nothing about the person who ran it."""

import logging
from pathlib import Path

from stagewise.pipeline.run_log import keep_logs_shareable


def test_a_log_file_has_no_credential_host_user_or_folder(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "project").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "project")
    logger, file = logging.Logger("run"), tmp_path / "run.log"
    terminal = logging.StreamHandler()
    for handler in (logging.FileHandler(file), terminal):
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    before = terminal.formatter
    keep_logs_shareable(logger)
    assert terminal.formatter is before
    logger.info(
        f"SNAKEMAKE\n  Date: today\n  Host: canary\n  User: canary\n  Base directory: {Path.cwd()}\n  Snakefile: "
        f"{Path.cwd()}/Snakefile\n  Config: {home}/x.yaml, {home}-else\n  Command: --config https://a:canary@host/x?canary\n"
        "  input: /data/canary/x.csv, data/y.csv (/canary/z.csv) 1/2 'https://host/a/b' /x"
    )
    assert file.read_text() == (
        "SNAKEMAKE\n  Date: today\n  Base directory: .\n  Snakefile: ./Snakefile\n"
        "  Config: ~/x.yaml, (local)/home-else\n  Command: --config https://host/x\n"
        "  input: (local)/x.csv, data/y.csv ((local)/z.csv) 1/2 'https://host/a/b' /x\n"
    )
