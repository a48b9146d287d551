"""Configuration files that Snakemake's command line names, checked before Snakemake reads them.

Snakemake reads the files of ``--configfile`` before it reads the Snakefile, and its own errors name neither the file
nor the line. So the default profile, which is read earlier still, calls `check_config_files`.
"""

import sys

from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError, one_line

_OPTIONS = ("--configfile", "--configfiles")


def check_config_files(arguments: list[str]) -> None:
    """End the process with one sentence if a configuration file of a Snakemake command line cannot be read.

    Parameters
    ----------
    arguments
        The command line, without the program.
    """
    try:
        for path in config_files(arguments):
            if not read_yaml(path):
                raise InputError(f"{path}: holds no settings, which Snakemake refuses; write some or leave it out")
    except InputError as error:
        sys.exit(f"error: {one_line(error)}")


def config_files(arguments: list[str]) -> list[str]:
    """List the configuration files of a command line: those after each ``--configfile``, up to the next option."""
    files, takes = [], False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            takes = name in _OPTIONS and not equals
            files += [value] if name in _OPTIONS and equals else []
        elif takes:
            files.append(argument)
    return files
